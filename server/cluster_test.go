package server_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

var clusterCut = flag.Duration("cluster.cut", 20*time.Second, "how long a bridge is cut from its cluster")

// TestBridgesOnACluster posts to two bridges on three NATS servers while one bridge loses the servers for a while, and
// then each server stops and comes back, and the leader twice more. Every callback must be acknowledged, and every
// subscriber of either bridge, on the one stream that it opened at first, must get the same events: each once, those of a
// session in their order.
func TestBridgesOnACluster(t *testing.T) {
	t.Parallel()
	cluster := journaltest.StartCluster(t, 3)
	proxy := journaltest.StartProxy(t, cluster.Addr(0))
	cut, whole := startClusterBridge(t, proxy.URL()), startClusterBridge(t, cluster.URLs())
	readers := []*clusterReader{startClusterReader(cut), startClusterReader(cut), startClusterReader(whole)}
	traffic := startClusterTraffic(t, map[string]*bridge{"cut": cut, "whole": whole})

	traffic.await(t, 100)
	proxy.Cut()
	began := time.Now()
	for _, r := range readers[:2] {
		r.awaitReachable(t, false)
	}
	traffic.await(t, 100)
	if waiting := cut.spooledEntries(); waiting == 0 {
		t.Error("nothing is in the spool")
	}
	time.Sleep(time.Until(began.Add(*clusterCut))) // the length of the outage is what is tested
	proxy.Heal()
	for _, r := range readers[:2] {
		r.awaitReachable(t, true)
	}
	traffic.await(t, 100)
	for i := range 5 {
		if i >= 3 {
			i = cluster.Leader("events")
		}
		cluster.Stop(i)
		traffic.await(t, 50)
		cluster.Start(i)
		traffic.await(t, 50)
	}
	want := traffic.stop(t)

	cut.awaitDrained()
	var reference []string
	for i, r := range readers {
		got := r.await(t, want)
		if i > 0 && strings.Join(got, "\n") != strings.Join(reference, "\n") {
			t.Errorf("reader %d has not the same events in the same order as the first", i)
		}
		reference = got
	}
}

func startClusterBridge(t *testing.T, urls string) *bridge {
	t.Helper()
	return startBridge(t, clusterConfig(t, urls))
}

func clusterConfig(t *testing.T, urls string) server.Config {
	t.Helper()
	config := testConfig(t)
	config.AckTimeout = server.DefaultConfig().AckTimeout // the spool takes over in a part of it
	config.NATSURL = urls
	config.MetricsAddr = "127.0.0.1:0"
	return config
}

// spooledEntries reads the metric.
func (b *bridge) spooledEntries() (entries float64) {
	b.t.Helper()
	response, err := b.http.Get("http://" + b.MetricsAddr())
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	found := false
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "deskbridge_spool_entries "); ok {
			_, err := fmt.Sscan(value, &entries)
			found = err == nil
		}
	}
	if !found || response.StatusCode != http.StatusOK {
		b.t.Fatalf("no deskbridge_spool_entries in the metrics, status %d", response.StatusCode)
	}
	return entries
}

func (b *bridge) awaitDrained() {
	b.t.Helper()
	for deadline := time.Now().Add(testDeadline); b.spooledEntries() > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("the spool still has %v entries", b.spooledEntries())
		}
	}
}

// clusterTraffic posts to bridges, a few sessions each at the same time, every session one callback after the other.
type clusterTraffic struct {
	running sync.WaitGroup
	cancel  context.CancelFunc
	mu      sync.Mutex
	last    map[string]int // session → the last number that was acknowledged
	total   map[string]int // bridge → callbacks acknowledged
	refused []error
}

func startClusterTraffic(t *testing.T, bridges map[string]*bridge) *clusterTraffic {
	ctx, cancel := context.WithCancel(t.Context())
	traffic := &clusterTraffic{cancel: cancel, last: map[string]int{}, total: map[string]int{}}
	t.Cleanup(func() {
		cancel()
		traffic.running.Wait()
	})
	for name, b := range bridges {
		for n := range 6 {
			session, rng := fmt.Sprintf("%s-%d", name, n), rand.New(rand.NewPCG(1, uint64(n)))
			traffic.running.Go(func() { traffic.run(ctx, b, name, session, rng) })
		}
	}
	return traffic
}

func (c *clusterTraffic) run(ctx context.Context, b *bridge, name, session string, rng *rand.Rand) {
	for n := 1; ctx.Err() == nil; n++ {
		body := drawCallback(rng, session, fmt.Sprintf("%s %d", session, n))
		err := b.tryPost(context.WithoutCancel(ctx), body)
		c.mu.Lock()
		if err == nil {
			c.last[session] = n
			c.total[name]++
		} else {
			c.refused = append(c.refused, fmt.Errorf("%s %d: %w", session, n, err))
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
		time.Sleep(time.Duration(5+rng.IntN(20)) * time.Millisecond) // a moderate load
	}
}

// await waits until each bridge has acknowledged some more.
func (c *clusterTraffic) await(t *testing.T, more int) {
	t.Helper()
	target := c.totals()
	for deadline := time.Now().Add(testDeadline); ; time.Sleep(10 * time.Millisecond) {
		now, reached := c.totals(), len(target) > 0
		for name := range now {
			reached = reached && now[name] >= target[name]+more
		}
		if reached {
			return
		}
		if len(target) == 0 {
			target = now
		}
		if time.Now().After(deadline) {
			t.Fatalf("the traffic stands still: %v, was %v, refused: %v", now, target, c.refused)
		}
	}
}

func (c *clusterTraffic) totals() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.total)
}

// stop returns the last number of every session.
func (c *clusterTraffic) stop(t *testing.T) map[string]int {
	t.Helper()
	c.cancel()
	c.running.Wait()
	for _, err := range c.refused {
		t.Errorf("not acknowledged: %v", err)
	}
	return c.last
}

// clusterReader is a subscriber that never reconnects.
type clusterReader struct {
	mu          sync.Mutex
	keys        []string // of the messages, in order of arrival
	last        map[string]int
	fault       error
	unreachable bool // as the last heartbeat had it, unless events came behind it
}

func startClusterReader(b *bridge) *clusterReader {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := b.events.Subscribe(ctx, &deskbridgev1.SubscribeRequest{
		Start: fromEarliest(), HeartbeatInterval: durationpb.New(time.Second),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	r := &clusterReader{last: map[string]int{}}
	var running sync.WaitGroup
	running.Go(func() {
		for err == nil {
			var response *deskbridgev1.SubscribeResponse
			if response, err = stream.Recv(); err == nil {
				err = r.take(response)
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fault = err
	})
	b.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return r
}

func (r *clusterReader) take(response *deskbridgev1.SubscribeResponse) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if heartbeat := response.GetHeartbeat(); heartbeat != nil {
		r.unreachable = heartbeat.GetJournalUnreachable()
	}
	for _, event := range response.GetEvents().GetEvents() {
		key := event.GetMessage().GetKey()
		var session string
		var n int
		if _, err := fmt.Sscanf(key, "%s %d", &session, &n); err != nil {
			return fmt.Errorf("%s: %w", event.GetTypeName(), err)
		}
		if n != r.last[session]+1 {
			return fmt.Errorf("position %d has %q behind number %d", event.GetPosition(), key, r.last[session])
		}
		r.last[session] = n
		r.keys = append(r.keys, key)
		r.unreachable = false
	}
	return nil
}

// awaitReachable waits for a heartbeat with or without journal_unreachable, or for events, on the stream that was
// opened at first.
func (r *clusterReader) awaitReachable(t *testing.T, want bool) {
	t.Helper()
	r.awaitState(t, fmt.Sprintf("journal_unreachable %t", !want), func() bool { return r.unreachable == !want })
}

// await waits until everything has come, and returns it.
func (r *clusterReader) await(t *testing.T, want map[string]int) (keys []string) {
	t.Helper()
	r.awaitState(t, "all events", func() bool {
		keys = r.keys
		return maps.Equal(r.last, want)
	})
	return keys
}

func (r *clusterReader) awaitState(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testDeadline); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		done, fault, got := reached(), r.fault, maps.Clone(r.last)
		r.mu.Unlock()
		switch {
		case done:
			return
		case fault != nil:
			t.Fatalf("no sign of %s: %v", what, fault)
		case time.Now().After(deadline):
			t.Fatalf("no sign of %s; got %v", what, got)
		}
	}
}

func TestClusterSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*server.Config){
		"nats-url":        func(c *server.Config) { c.NATSCA = "ca.pem" },
		"nats-key-file":   func(c *server.Config) { c.NATSURL, c.NATSCert = "nats://a", "cert.pem" },
		"replicas":        func(c *server.Config) { c.Replicas = 2 },
		"spool-max-bytes": func(c *server.Config) { c.SpoolMaxBytes = 0 },
	} {
		config := testConfig(t)
		change(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), "--"+name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
	}
}
