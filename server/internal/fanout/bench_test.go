package fanout

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// bench is a hub that is fed by hand, so that what is measured is the fan-out and not the journal.
type bench struct {
	b       *testing.B
	hub     *Hub
	tail    *tail
	record  []byte
	slowest func() uint64
}

func newBench(b *testing.B) *bench {
	h := New(Config{Journal: quiet{}})
	b.Cleanup(h.stop)
	h.restart(0)
	return &bench{b: b, hub: h, tail: &tail{hub: h}, record: entry(b, event("session-1", 1)).Data}
}

// read starts n readers and makes slowest tell how far the slowest one is.
func (x *bench) read(n int, filterOf func(i int) *deskbridgev1.EventFilter) (stop func()) {
	cursors := make([]atomic.Uint64, n)
	ctx, cancel := context.WithCancel(context.Background())
	var reading, caughtUp sync.WaitGroup
	caughtUp.Add(n)
	for i := range n {
		s := subscribe(x.b, x.hub, filterOf(i), Options{Heartbeat: time.Hour})
		reading.Go(func() {
			for item, err := s.Next(ctx); err == nil; item, err = s.Next(ctx) {
				cursors[i].Store(item.Position)
				if item.Kind == CaughtUp {
					caughtUp.Done()
				}
			}
		})
	}
	stop = func() { cancel(); reading.Wait() }
	x.b.Cleanup(stop)
	caughtUp.Wait()
	x.slowest = func() (position uint64) {
		position = cursors[0].Load()
		for i := range cursors {
			position = min(position, cursors[i].Load())
		}
		return position
	}
	return stop
}

// publish publishes n events in batches, and waits for readers that are far behind.
func (x *bench) publish(n, batch int) {
	records := make([]journal.Record, batch)
	for range n / batch {
		for i := range records {
			records[i] = journal.Record{Position: x.tail.after + uint64(i) + 1, Data: x.record}
		}
		x.tail.take(records)
		x.await(x.tail.after - min(x.tail.after, 20_000))
	}
}

func (x *bench) await(position uint64) {
	for x.slowest() < position {
		time.Sleep(50 * time.Microsecond)
	}
}

func everything(int) *deskbridgev1.EventFilter { return nil }

// BenchmarkDelivery gives every event to every subscription.
func BenchmarkDelivery(b *testing.B) {
	for _, readers := range []int{1, 100, 1000} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("%d readers/%d at once", readers, batch), func(b *testing.B) {
				x := newBench(b)
				x.read(readers, everything)
				b.ReportAllocs()
				b.ResetTimer()
				x.publish(b.N/batch*batch, batch)
				x.await(x.tail.after)
				b.ReportMetric(float64(b.N*readers)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	}
}

// BenchmarkSessions gives every event to the one of many subscriptions that follows its session.
func BenchmarkSessions(b *testing.B) {
	for _, readers := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(readers, " sessions"), func(b *testing.B) {
			x := newBench(b)
			x.read(readers, func(i int) *deskbridgev1.EventFilter {
				return &deskbridgev1.EventFilter{SessionIds: []string{fmt.Sprint("session-", i)}}
			})
			x.slowest = func() uint64 { return x.tail.after }
			b.ReportAllocs()
			b.ResetTimer()
			x.publish(b.N/64*64, 64)
		})
	}
}

// BenchmarkIdle tells what a subscription without events takes, with and without the goroutine that waits in its Next.
func BenchmarkIdle(b *testing.B) {
	const readers = 10_000
	for b.Loop() {
		x := newBench(b)
		before := memory()
		stop := x.read(readers, func(i int) *deskbridgev1.EventFilter {
			return &deskbridgev1.EventFilter{SessionIds: []string{fmt.Sprint("session-", i)}}
		})
		after := memory()
		stop()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/readers, "heap-bytes/reader")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/readers, "stack-bytes/reader")
	}
}

func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// BenchmarkReplay reads a journal from its beginning, through the hub and without it.
func BenchmarkReplay(b *testing.B) {
	const events = 100_000
	j := openJournal(b)
	fill(b, j, events)
	b.Run("journal alone", func(b *testing.B) {
		for b.Loop() {
			r := j.NewReader(0)
			for last := uint64(0); last < events; {
				records, err := r.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				last = records[len(records)-1].Position
			}
			r.Close()
		}
		b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
	})
	h := runHub(b, Config{Journal: From(j), WindowBytes: 1})
	waitHead(b, h, events)
	for name, f := range map[string]*deskbridgev1.EventFilter{
		"everything": nil, "session": {SessionIds: []string{"session-1"}}, "type": {TypeNames: []string{"SessionEnd"}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := subscribe(b, h, f, Options{Target: events})
				take(b, s, events)
				s.Close()
			}
			b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func fill(b *testing.B, j *journal.Journal, n int) {
	var writing sync.WaitGroup
	const writers = 50
	for w := range writers {
		writing.Go(func() { appendEvents(b, j, fmt.Sprint("session-", w), 0, n/writers) })
	}
	writing.Wait()
}
