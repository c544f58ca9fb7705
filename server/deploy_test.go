package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

// TestRollingDeploy restarts two bridges on a cluster, each twice, behind a balancer that goes by their probes. The
// sender keeps its connections open and sees no failed callback, other than one at most, on a connection that ended before
// the bridge had read it: not a byte of an answer came, and it is stored nowhere. The subscribers resume, and have every
// event once.
func TestRollingDeploy(t *testing.T) {
	t.Parallel()
	d := &deployment{
		urls: journaltest.StartCluster(t, 3).URLs(), webhook: startBalancer(t), streams: startBalancer(t),
	}
	d.bridges = []*bridge{d.start(t), d.start(t)}
	d.balance(d.bridges...)

	senders := startDeploySenders(t, d.webhook.addr(), 8)
	var readers []*deployReader
	for range 3 {
		readers = append(readers, startDeployReader(t, d.streams.addr()))
	}
	for round := range 4 {
		senders.await(t, 60)
		d.replace(t, round%2, func() { senders.await(t, 60) })
	}
	senders.await(t, 60)
	acknowledged, failed := senders.stop(t)
	t.Logf("%d acknowledged, %d on connections that ended", len(acknowledged), len(failed))
	if len(failed) > 1 { // which --shutdown-delay makes rare: without it there are some at the restarts
		t.Errorf("%d callbacks met a connection's end: %q", len(failed), failed)
	}

	// What the bridges have stored, however late, is in front of the marker.
	d.bridges[0].mustPost(documentQuery, drawCallback(rand.New(rand.NewPCG(1, 1)), marker, marker))
	for i, r := range readers {
		got := r.awaitMarker(t)
		if !sameKeys(got, acknowledged) {
			t.Errorf("reader %d has %d events, which are not the %d acknowledged ones", i, len(got), len(acknowledged))
		}
		if !slices.Equal(got, readers[0].awaitMarker(t)) {
			t.Errorf("reader %d has not the same order as the first", i)
		}
		checkSessionOrder(t, got)
		for _, key := range failed {
			if slices.Contains(got, key) {
				t.Errorf("the connection of %q ended without an answer, but the callback is stored", key)
			}
		}
	}
}

// marker is the session and the key of the last callback.
const marker = "marker"

// deployment is bridges on a cluster, behind balancers.
type deployment struct {
	urls             string
	bridges          []*bridge
	webhook, streams *balancer
}

func (d *deployment) start(t *testing.T) *bridge {
	t.Helper()
	config := clusterConfig(t, d.urls)
	config.ShutdownDelay = time.Second
	return startBridge(t, config)
}

func (d *deployment) balance(bridges ...*bridge) {
	var http, grpc []string
	for _, b := range bridges {
		http, grpc = append(http, b.HTTPAddr()), append(grpc, b.GRPCAddr())
	}
	d.webhook.direct(http)
	d.streams.direct(grpc)
}

// replace ends a bridge, and starts another one in its place when meanwhile returns.
func (d *deployment) replace(t *testing.T, i int, meanwhile func()) {
	t.Helper()
	stopped := make(chan error, 1)
	go func() { stopped <- d.bridges[i].stop() }()
	eventually(t, "the probe fails", testDeadline, func() bool { return !isReady(d.bridges[i].HTTPAddr()) })
	d.balance(d.bridges[1-i])
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	meanwhile()
	d.bridges[i] = d.start(t)
	d.balance(d.bridges...)
}

func isReady(addr string) bool {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testDeadline}
	response, err := client.Get("http://" + addr + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

func sameKeys(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func checkSessionOrder(t *testing.T, keys []string) {
	t.Helper()
	last := map[string]int{}
	for _, key := range keys {
		var session string
		var n, attempt int
		if _, err := fmt.Sscanf(key, "%s %d %d", &session, &n, &attempt); err != nil {
			t.Fatal(err)
		}
		if n != last[session]+1 {
			t.Errorf("%q came behind number %d", key, last[session])
		}
		last[session] = n
	}
}

// balancer hands each new connection to the next backend that can be dialed.
type balancer struct {
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex
	backends []string
	next     int
	open     map[net.Conn]struct{}
}

func startBalancer(t *testing.T) *balancer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener, open: map[net.Conn]struct{}{}}
	b.running.Go(b.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		b.mu.Lock()
		for conn := range b.open {
			_ = conn.Close()
		}
		b.mu.Unlock()
		b.running.Wait()
	})
	return b
}

func (b *balancer) addr() string { return b.listener.Addr().String() }

func (b *balancer) direct(backends []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = backends
}

func (b *balancer) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.join(conn) })
	}
}

func (b *balancer) join(front net.Conn) {
	defer front.Close()
	back := b.dial()
	if back == nil {
		return
	}
	defer back.Close()
	b.mu.Lock()
	b.open[front], b.open[back] = struct{}{}, struct{}{}
	b.mu.Unlock()
	var ways sync.WaitGroup
	ways.Go(func() { pass(back, front) })
	ways.Go(func() { pass(front, back) })
	ways.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, front)
	delete(b.open, back)
}

// pass copies one way, and passes on the end of it.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if tcp, ok := to.(*net.TCPConn); ok && err == nil {
		_ = tcp.CloseWrite()
		return
	}
	_, _ = to.Close(), from.Close()
}

func (b *balancer) dial() net.Conn {
	b.mu.Lock()
	backends, first := b.backends, b.next
	b.next++
	b.mu.Unlock()
	for i := range backends {
		conn, err := net.Dial("tcp", backends[(first+i)%len(backends)])
		if err == nil {
			return conn
		}
	}
	return nil
}

// deploySenders post callbacks, each those of one session over a connection that it keeps.
type deploySenders struct {
	running sync.WaitGroup
	cancel  context.CancelFunc

	mu           sync.Mutex
	acknowledged []string
	failed       []string // their connection ended before a byte of an answer
	refused      []error  // answers other than OK, broken ones, and none in time
}

func startDeploySenders(t *testing.T, addr string, count int) *deploySenders {
	ctx, cancel := context.WithCancel(t.Context())
	s := &deploySenders{cancel: cancel}
	t.Cleanup(func() {
		cancel()
		s.running.Wait()
	})
	for n := range count {
		s.running.Go(func() { s.run(ctx, addr, n) })
	}
	return s
}

func (s *deploySenders) run(ctx context.Context, addr string, number int) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: testDeadline}
	rng := rand.New(rand.NewPCG(2, uint64(number)))
	session := fmt.Sprintf("s%d", number)
	for n, attempt := 1, 1; ctx.Err() == nil; attempt++ {
		key := fmt.Sprintf("%s %d %d", session, n, attempt)
		err := postOnce(context.WithoutCancel(ctx), client, addr, drawCallback(rng, session, key))
		if s.note(key, err) {
			n, attempt = n+1, 0
		}
		time.Sleep(time.Duration(5+rng.IntN(20)) * time.Millisecond) // a moderate load
	}
}

// note reports whether the callback was acknowledged.
func (s *deploySenders) note(key string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.acknowledged = append(s.acknowledged, key)
	case errors.Is(err, errAnswer):
		s.refused = append(s.refused, fmt.Errorf("%s: %w", key, err))
	default:
		s.failed = append(s.failed, key)
	}
	return err == nil
}

var errAnswer = errors.New("not acknowledged")

// postOnce never tries twice: an error other than errAnswer says that the connection ended before an answer began.
func postOnce(ctx context.Context, client *http.Client, addr, body string) error {
	began := false
	trace := &httptrace.ClientTrace{GotFirstResponseByte: func() { began = true }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost,
		"http://"+addr+"/v1/callbacks/desk?"+documentQuery, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.GetBody = nil // The transport would send it again by itself.
	response, err := client.Do(request)
	var failure *url.Error
	if errors.As(err, &failure) && (began || failure.Timeout()) {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(text) != okAnswer {
		return fmt.Errorf("%w: %d %s %v", errAnswer, response.StatusCode, text, err) //nolint:errorlint // often nil
	}
	return nil
}

// await waits for some more acknowledgements.
func (s *deploySenders) await(t *testing.T, more int) {
	t.Helper()
	target := s.count() + more
	eventually(t, "more callbacks are acknowledged", testDeadline, func() bool { return s.count() >= target })
}

func (s *deploySenders) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acknowledged)
}

func (s *deploySenders) stop(t *testing.T) (acknowledged, failed []string) {
	t.Helper()
	s.cancel()
	s.running.Wait()
	for _, err := range s.refused {
		t.Error(err)
	}
	return s.acknowledged, s.failed
}

// deployReader is a consumer as the documentation has it: it resumes by itself.
type deployReader struct {
	mu    sync.Mutex
	keys  []string
	fault error
}

func startDeployReader(t *testing.T, addr string) *deployReader {
	t.Helper()
	c, err := client.New(client.Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &deployReader{}
	var running sync.WaitGroup
	running.Go(func() {
		for event, err := range c.Subscribe(ctx, &deskbridgev1.SubscribeRequest{
			Start: fromEarliest(), HeartbeatInterval: durationpb.New(time.Second),
		}) {
			r.take(event, err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = c.Close()
	})
	return r
}

func (r *deployReader) take(event *deskbridgev1.SessionEvent, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fault = err
		return
	}
	r.keys = append(r.keys, event.GetMessage().GetKey())
}

// awaitMarker returns what came before the marker.
func (r *deployReader) awaitMarker(t *testing.T) []string {
	t.Helper()
	end := -1
	eventually(t, "the marker has come", testDeadline, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		end = slices.Index(r.keys, marker)
		return end >= 0 || r.fault != nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault != nil {
		t.Fatal(r.fault)
	}
	return r.keys[:end]
}
