package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// vanishing is a listener whose connections can vanish: they stay open, and nothing passes any more. So does a peer that
// loses its power, or a firewall that forgets.
type vanishing struct {
	net.Listener
	mu          sync.Mutex
	connections []*vanishingConn
}

func (l *vanishing) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	wrapped := &vanishingConn{Conn: conn, vanished: make(chan struct{}), closed: make(chan struct{})}
	l.connections = append(l.connections, wrapped)
	return wrapped, nil
}

// vanish takes all connections of now.
func (l *vanishing) vanish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.connections {
		conn.vanish()
	}
}

func (l *vanishing) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.connections)
}

type vanishingConn struct {
	net.Conn
	once, closeOnce  sync.Once
	vanished, closed chan struct{}
}

func (c *vanishingConn) vanish() { c.once.Do(func() { close(c.vanished) }) }

func (c *vanishingConn) isGone() bool {
	select {
	case <-c.vanished:
		return true
	default:
		return false
	}
}

func (c *vanishingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.isGone() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *vanishingConn) Write(b []byte) (int, error) {
	if c.isGone() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *vanishingConn) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestSubscribeLeavesAConnectionThatVanished(t *testing.T) {
	t.Parallel()
	listener := &vanishing{Listener: listen(t, "127.0.0.1:0")}
	bridge := &scriptedBridge{scripts: []script{
		func(request *subscribeRequest, stream serverStream) error {
			if err := plays(nil, opened(0, 2), batch(1))(request, stream); err != nil {
				return err
			}
			<-stream.Context().Done()
			return stream.Context().Err()
		},
		plays(nil, opened(1, 2), batch(2), caughtUp(2)),
	}}
	serve(t, bridge, listener)
	c := newClient(t, client.Config{Address: listener.Addr().String()})
	request := batchRequest()
	request.HeartbeatInterval = durationpb.New(200 * time.Millisecond)
	var positions []uint64
	var reconnected reconnects
	for event, err := range c.Subscribe(t.Context(), request, client.WithHooks(reconnected.hooks())) {
		if err != nil {
			t.Fatal(err)
		}
		if positions = append(positions, event.GetPosition()); event.GetPosition() == 1 {
			listener.vanish()
		}
	}
	if len(positions) != 2 || listener.accepted() < 2 {
		t.Errorf("events %v over %d connections", positions, listener.accepted())
	}
	// Once, but for a machine so slow that a good stream seems silent. On the old connection it would be dozens of times,
	// until the keepalive ends that.
	if n := len(reconnected.causes); n == 0 || n > 10 || !errors.Is(reconnected.causes[0], client.ErrSilent) {
		t.Errorf("reconnected because of %v", reconnected.causes)
	}
}

func TestSubscribeOutlivesARestart(t *testing.T) {
	t.Parallel()
	listener := listen(t, "127.0.0.1:0")
	address := listener.Addr().String()
	bridge := &scriptedBridge{scripts: []script{
		stalls(opened(0, 2), batch(1)),
		plays(nil, opened(1, 2), batch(2), caughtUp(2)),
	}}
	server := serve(t, bridge, listener)
	attempts := 0
	hooks := client.Hooks{Reconnecting: func(cause error, _ time.Duration) {
		if status.Code(cause) != codes.Unavailable {
			t.Errorf("reconnecting because of %v", cause)
		}
		if attempts++; attempts == 2 { // after the cut, and a connection that was refused
			serve(t, bridge, listen(t, address))
		}
	}}
	c := newClient(t, client.Config{Address: address})
	var positions []uint64
	for event, err := range c.Subscribe(t.Context(), batchRequest(), client.WithHooks(hooks)) {
		if err != nil {
			t.Fatal(err)
		}
		if positions = append(positions, event.GetPosition()); len(positions) == 1 {
			server.Stop()
		}
	}
	if len(positions) != 2 {
		t.Errorf("events %v", positions)
	}
}

// gRPC paces its dials by itself and fails all calls in between: a client that left it to that would find a bridge that
// is back only after two waits, one behind the other.
func TestSubscribeDialsAtItsOwnPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const refusals = 8
		listener := bufconn.Listen(1 << 20)
		serve(t, &scriptedBridge{scripts: []script{plays(nil, opened(0, 0), caughtUp(0))}}, listener)
		dials := 0
		dialer := func(ctx context.Context, _ string) (net.Conn, error) {
			if dials++; dials <= refusals {
				return nil, errors.New("refused")
			}
			return listener.DialContext(ctx)
		}
		c := newClient(t, client.Config{
			Address: "passthrough:///bridge", Plaintext: true,
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(dialer)},
		})
		var reconnected reconnects
		if _, err := collect(t, c, batchRequest(), client.WithHooks(reconnected.hooks())); err != nil {
			t.Fatal(err)
		}
		if dials != refusals+1 || len(reconnected.causes) != refusals {
			t.Errorf("%d dials in %d attempts", dials, len(reconnected.causes)+1)
		}
	})
}

func TestSubscriptionsShareAConnection(t *testing.T) {
	t.Parallel()
	listener := &vanishing{Listener: listen(t, "127.0.0.1:0")}
	bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 1), batch(1), caughtUp(1))}}
	serve(t, bridge, listener)
	c := newClient(t, client.Config{Address: listener.Addr().String()})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := collect(t, c, batchRequest()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := listener.accepted(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A subscription in trouble looks for a connection of its own: that of the others may be well.
func TestTroubleOfOneSubscriptionDisturbsNoOtherCall(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]script{"refused": plays(unavailable()), "silent": stalls()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bridge := &scriptedBridge{scripts: []script{stalls(opened(0, 1), batch(1)), trouble}}
				c := serveInMemory(t, bridge)
				ctx, cancel := context.WithCancel(t.Context())
				var well reconnects
				var following sync.WaitGroup
				defer following.Wait()
				defer cancel()
				following.Go(func() {
					request := &subscribeRequest{HeartbeatInterval: durationpb.New(time.Hour)}
					follow(ctx, t, c, request, client.WithHooks(well.hooks()))
				})
				synctest.Wait()
				following.Go(func() {
					follow(ctx, t, c, &subscribeRequest{HeartbeatInterval: durationpb.New(time.Second)})
				})
				time.Sleep(20 * time.Second)
				if n := len(bridge.seen()); n < 4 {
					t.Errorf("%d calls: the one in trouble did not try again", n)
				}
				cancel()
				following.Wait()
				if len(well.causes) > 0 {
					t.Errorf("another subscription reconnected because of %v", well.causes)
				}
			})
		})
	}
}

// A proxy may allow so many streams on a connection, and have the next one wait.
func TestStreamsBeyondAConnectionsLimitGetAnother(t *testing.T) {
	t.Parallel()
	listener := &vanishing{Listener: listen(t, "127.0.0.1:0")}
	bridge := &scriptedBridge{scripts: []script{
		stalls(opened(0, 1), batch(1)), plays(nil, opened(0, 1), batch(1), caughtUp(1)),
	}}
	serve(t, bridge, listener, grpc.MaxConcurrentStreams(1))
	c := newClient(t, client.Config{Address: listener.Addr().String()})
	var first reconnects
	for event, err := range c.Subscribe(t.Context(), nil, client.WithHooks(first.hooks())) {
		if err != nil {
			t.Fatal(err)
		}
		if positions, err := collect(t, c, &subscribeRequest{
			StopWhenCaughtUp: true, HeartbeatInterval: durationpb.New(100 * time.Millisecond),
		}); err != nil || len(positions) != 1 || event.GetPosition() != 1 {
			t.Errorf("the second stream: events %v, %v", positions, err)
		}
		break
	}
	if len(first.causes) > 0 || listener.accepted() < 2 {
		t.Errorf("the first reconnected because of %v; %d connections", first.causes, listener.accepted())
	}
}

// While a connection is being made, all calls wait for it: those of others must not end with one that gives up.
func TestCancelledSubscriptionLeavesOtherCallsAlone(t *testing.T) {
	t.Parallel()
	listener := &vanishing{Listener: listen(t, "127.0.0.1:0")} // nobody accepts yet
	calling := make(chan struct{})
	c := newClient(t, client.Config{
		Address: listener.Addr().String(),
		DialOptions: []grpc.DialOption{grpc.WithUnaryInterceptor(func(
			ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
			options ...grpc.CallOption,
		) error {
			close(calling)
			return invoke(ctx, method, request, reply, conn, options...)
		})},
	})
	called := make(chan error, 1)
	go func() {
		service := deskbridgev1.NewSessionEventServiceClient(c)
		_, err := service.GetJournalInfo(context.Background(), &deskbridgev1.GetJournalInfoRequest{})
		called <- err
	}()
	<-calling
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	for _, err := range c.Subscribe(ctx, nil) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	}
	serve(t, &scriptedBridge{}, listener)
	e, ok := errors.AsType[*client.Error](<-called)
	if !ok || e.Reason != deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE {
		t.Errorf("a call of another ended with %v", e)
	}
	if n := listener.accepted(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestGeneratedCodeUsesTheClient(t *testing.T) {
	t.Parallel()
	listener := listen(t, "127.0.0.1:0")
	serve(t, &scriptedBridge{scripts: []script{plays(nil, opened(0, 0))}}, listener)
	service := deskbridgev1.NewSessionEventServiceClient(newClient(t, client.Config{Address: listener.Addr().String()}))

	_, err := service.GetJournalInfo(t.Context(), &deskbridgev1.GetJournalInfoRequest{})
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Reason != deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE {
		t.Errorf("unary call: %v", err)
	}
	stream, err := service.Subscribe(t.Context(), &subscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	response, err := stream.Recv()
	if err != nil || response.GetOpened() == nil {
		t.Errorf("stream: %v, %v", response, err)
	}
}

func TestNewRefusesAFaultyConfig(t *testing.T) {
	t.Parallel()
	tests := map[string]client.Config{
		"no address":        {},
		"both ways":         {Address: "bridge:9090", Plaintext: true, TLS: tlsConfig(nil)},
		"not a gRPC target": {Address: "bridge:9090", DialOptions: []grpc.DialOption{grpc.WithDisableServiceConfig(), grpc.WithDefaultServiceConfig("{")}},
	}
	for name, config := range tests {
		if c, err := client.New(config); err == nil {
			t.Errorf("%s: accepted", name)
			_ = c.Close()
		}
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	c := newClient(t, client.Config{Address: "127.0.0.1:1"})
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	err := c.Invoke(context.Background(), "/any/method", &subscribeRequest{}, &subscribeResponse{})
	if !errors.Is(err, client.ErrClosed) || status.Code(err) != codes.Canceled {
		t.Errorf("a call after Close ended with %v", err)
	}
}
