package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// withChild runs a measurement against a bridge in its own process.
func withChild(ctx context.Context, measure func(c *child) error) (err error) {
	dir, err := os.MkdirTemp("", "deskbridge-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return withChildAs(ctx, "--serve="+dir, measure)
}

func withChildAs(ctx context.Context, flag string, measure func(c *child) error) error {
	c, err := startChild(ctx, flag)
	if err != nil {
		return err
	}
	return errors.Join(measure(c), c.stop())
}

// subscribers are open streams. Each hands what it gets to its own function.
type subscribers struct {
	cancel context.CancelFunc
	group  *errgroup.Group
	conns  []*grpc.ClientConn
}

const streamsPerConnection = 200

// subscribe opens this many streams and returns when all of them are live.
func subscribe(
	ctx context.Context, addr string, count int,
	request func(i int) *deskbridgev1.SubscribeRequest, take func(i int, events []*deskbridgev1.SessionEvent),
	options ...grpc.DialOption,
) (*subscribers, error) {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	s := &subscribers{cancel: cancel, group: group}
	var live sync.WaitGroup
	live.Add(count)
	for i := range count {
		if i%streamsPerConnection == 0 {
			conn, err := grpc.NewClient(addr, options...)
			if err != nil {
				return nil, errors.Join(err, s.close())
			}
			s.conns = append(s.conns, conn)
		}
		client := deskbridgev1.NewSessionEventServiceClient(s.conns[len(s.conns)-1])
		group.Go(func() error {
			return follow(ctx, client, request(i), live.Done, func(events []*deskbridgev1.SessionEvent) { take(i, events) })
		})
	}
	done := make(chan struct{})
	go func() {
		live.Wait()
		close(done)
	}()
	select {
	case <-done:
		return s, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.close())
	}
}

func follow(
	ctx context.Context, client deskbridgev1.SessionEventServiceClient, request *deskbridgev1.SubscribeRequest,
	live func(), take func([]*deskbridgev1.SessionEvent),
) error {
	stream, err := client.Subscribe(ctx, request)
	if err != nil {
		return err
	}
	once := sync.OnceFunc(live)
	for {
		response, err := stream.Recv()
		switch {
		case status.Code(err) == codes.Canceled:
			return nil
		case err != nil:
			return err
		case response.GetCaughtUp() != nil:
			once()
		case response.GetEvents() != nil:
			take(response.GetEvents().GetEvents())
		}
	}
}

func (s *subscribers) close() error {
	s.cancel()
	err := s.group.Wait()
	for _, conn := range s.conns {
		err = errors.Join(err, conn.Close())
	}
	return err
}

func everything(int) *deskbridgev1.SubscribeRequest { return &deskbridgev1.SubscribeRequest{} }

// benchIdle measures what a subscription takes that gets nothing.
func benchIdle(ctx context.Context, _ options, r *report) error {
	const count = 10_000
	return withChild(ctx, func(c *child) error {
		before, err := c.memory()
		if err != nil {
			return err
		}
		s, err := subscribe(ctx, c.grpcAddr, count, func(i int) *deskbridgev1.SubscribeRequest {
			return &deskbridgev1.SubscribeRequest{
				Filter: &deskbridgev1.EventFilter{SessionIds: []string{fmt.Sprintf("session-%d", i)}},
			}
		}, func(int, []*deskbridgev1.SessionEvent) {})
		if err != nil {
			return err
		}
		after, err := c.memory()
		r.table("Idle subscriptions", "subscriptions", "heap and stacks of the bridge for each")
		r.row(count, fmt.Sprintf("%.1f KiB", (float64(after)-float64(before))/count/1024))
		return errors.Join(err, s.close())
	})
}

// arrivals measures the way of events from the sender to the subscribers.
type arrivals struct {
	sent      []atomic.Int64 // UnixNano by number
	mu        sync.Mutex
	latencies []time.Duration
}

// subscribe opens streams of everything. What comes through them is glanced at.
func (a *arrivals) subscribe(ctx context.Context, addr string, count int) (*subscribers, error) {
	return subscribe(ctx, addr, count, everything, a.take, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newGlance())))
}

func (a *arrivals) take(_ int, events []*deskbridgev1.SessionEvent) {
	now := time.Now().UnixNano()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, event := range events {
		if n := event.GetPosition(); n < uint64(len(a.sent)) {
			a.latencies = append(a.latencies, time.Duration(now-a.sent[n].Load()))
		}
	}
}

func (a *arrivals) percentile(p float64) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.latencies) == 0 {
		return 0
	}
	slices.Sort(a.latencies)
	return a.latencies[int(p*float64(len(a.latencies)-1))]
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.latencies)
}

// play posts callbacks at a steady rate and waits until the subscribers have them all. It collects garbage seldom, as
// what the load takes from the processors meanwhile would be counted as the bridge's latency.
func (a *arrivals) play(ctx context.Context, addr string, rate, count, readers int) error {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	a.sent = make([]atomic.Int64, count)
	a.latencies = make([]time.Duration, 0, count*readers)
	numbers := make(chan int64, count)
	group, ctx := errgroup.WithContext(ctx)
	for range 32 {
		group.Go(func() error {
			return postEach(ctx, addr, numbers, func(n int64) { a.sent[n].Store(time.Now().UnixNano()) })
		})
	}
	group.Go(func() error {
		defer close(numbers)
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		for n := range count {
			select {
			case <-ticker.C:
				numbers <- int64(n)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); a.count() < count*readers; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the subscribers have %d of %d events", a.count(), count*readers)
		}
	}
	return nil
}

// benchLatency measures the way from a callback's first byte to a subscriber, at a thousand a second, beside what the
// disk takes and what a relay takes that stores nothing.
func benchLatency(ctx context.Context, o options, r *report) error {
	const readers, rate = 100, 1000
	r.table("From a callback to its subscribers, synced to disk in between", "through", "subscribers", "p50", "p99",
		"p99 over a relay's")
	var relayed time.Duration
	measure := func(name string, readers int) func(c *child) error {
		return func(c *child) error {
			a := &arrivals{}
			s, err := a.subscribe(ctx, c.grpcAddr, readers)
			if err != nil {
				return err
			}
			err = a.play(ctx, c.httpAddr, rate, rate*int(3*o.Duration/time.Second), readers)
			p99 := a.percentile(.99)
			if relayed == 0 {
				relayed = p99
			}
			r.row(name, readers, a.percentile(.5), p99, ratio(float64(p99)/float64(relayed)))
			return errors.Join(err, s.close())
		}
	}
	p50, p99, err := measureSync(rate, rate*int(3*o.Duration/time.Second))
	if err != nil {
		return err
	}
	r.row("a file, written and synced, nothing else running", 0, p50, p99, "")
	for _, readers := range []int{1, readers} {
		relayed = 0
		if err := withChildAs(ctx, "--relay", measure("a relay that stores nothing", readers)); err != nil {
			return err
		}
		if err := withChild(ctx, measure("deskbridge", readers)); err != nil {
			return err
		}
	}
	return nil
}

// measureSync is the raw limit of anything that stores first: what comes at a steady rate is written to a file
// and synced, together where more than one came during the last sync.
func measureSync(rate, count int) (p50, p99 time.Duration, err error) {
	file, err := os.CreateTemp("", "deskbridge-bench-")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	came := make(chan time.Time, count)
	go func() {
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		for range count {
			<-ticker.C
			came <- time.Now()
		}
	}()
	took := make([]time.Duration, 0, count)
	for len(took) < count {
		group := []time.Time{<-came}
		for len(came) > 0 {
			group = append(group, <-came)
		}
		if _, err := file.Write(bytes.Repeat(vendorBody(0), len(group))); err != nil {
			return 0, 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, 0, err
		}
		for _, at := range group {
			took = append(took, time.Since(at))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100], nil
}

// benchSlow measures what one slow reader does to the others: in rounds with and without it in turn, as what a machine
// does from one minute to the next is more than what the reader does. The figures are medians of the rounds'.
func benchSlow(ctx context.Context, o options, r *report) error {
	const rounds = 3
	figures := map[bool][]slowRound{}
	for range rounds {
		for _, slow := range []bool{false, true} {
			figure, err := measureSlow(ctx, o, slow)
			if err != nil {
				return err
			}
			figures[slow] = append(figures[slow], figure)
		}
	}
	r.table("One reader at a hundredth of the speed among 999",
		"slow reader", "the others' p50", "p99", "p99 over without", "bridge's memory")
	alone := median(figures[false], func(f slowRound) time.Duration { return f.p99 })
	for _, slow := range []bool{false, true} {
		p99 := median(figures[slow], func(f slowRound) time.Duration { return f.p99 })
		r.row(slow, median(figures[slow], func(f slowRound) time.Duration { return f.p50 }), p99,
			ratio(float64(p99)/float64(alone)),
			fmt.Sprintf("%d MiB", median(figures[slow], func(f slowRound) uint64 { return f.memory })>>20))
	}
	return nil
}

// slowRound is what the readers of full speed saw, and what the bridge took.
type slowRound struct {
	p50, p99 time.Duration
	memory   uint64
}

func measureSlow(ctx context.Context, o options, slow bool) (figure slowRound, err error) {
	const readers, rate = 999, 50
	count := rate * int(4*o.Duration/time.Second)
	err = withChild(ctx, func(c *child) error {
		a := &arrivals{}
		s, err := a.subscribe(ctx, c.grpcAddr, readers)
		if err != nil {
			return err
		}
		if slow {
			straggler, err := subscribe(ctx, c.grpcAddr, 1, everything, func(_ int, events []*deskbridgev1.SessionEvent) {
				time.Sleep(time.Duration(len(events)) * 100 * time.Second / rate)
			})
			if err != nil {
				return err
			}
			defer func() { straggler.cancel() }() // it still sleeps
		}
		if err := a.play(ctx, c.httpAddr, rate, count, readers); err != nil {
			return err
		}
		memory, err := c.memory()
		figure = slowRound{p50: a.percentile(.5), p99: a.percentile(.99), memory: memory}
		return errors.Join(err, s.close())
	})
	return figure, err
}
