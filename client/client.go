// Package client reads session events from a deskbridge, with the parts that every consumer would otherwise write for
// itself: a subscription survives cuts, restarts and dead connections without a gap and without a repeat, and ends only
// with an error that the application has to decide.
//
//	bridge, err := client.New(client.Config{Address: "127.0.0.1:9090"})
//	…
//	defer bridge.Close()
//	for event, err := range bridge.Subscribe(ctx, &deskbridgev1.SubscribeRequest{}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.GetTypeName(), event.GetSessionId())
//	}
//
// It must not import anything of the server, and adds nothing to the contract: what it does, any client in any language
// can do from the same messages.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

// ErrClosed means that the Client was closed while it was in use, or before.
var ErrClosed = errors.New("deskbridge client is closed")

// Config says how to reach a bridge.
type Config struct {
	// Address of the bridge's gRPC port: "host:port", "unix:/path" or any other gRPC target. Required.
	Address string

	// TLS is used to reach the bridge. When nil, an Address on this machine (a loopback address, localhost, a unix
	// socket) is reached in plain text, and every other with TLS and the system's roots.
	TLS *tls.Config

	// Plaintext turns TLS off for an Address on another machine: for networks that encrypt underneath, such as a
	// service mesh. Everything crosses the network readable, the token too.
	Plaintext bool

	// Token returns the bearer token to send. It is asked before each call and each reconnect, also concurrently, and
	// should answer from memory or a file; see TokenFile. No token is sent when nil. When it fails, the call fails with
	// UNAVAILABLE, and a subscription tries again.
	Token func(ctx context.Context) (string, error)

	// DialOptions are added behind those of this package, and override them: interceptors, tracing, a dialer.
	DialOptions []grpc.DialOption
}

// Client is a connection to a bridge. Its methods may be called concurrently; all calls and subscriptions share one
// connection. It connects when first used, and again whenever needed.
//
// It is a grpc.ClientConnInterface: hand it to the generated constructors to call the bridge's other methods over the
// same connection, as in deskbridgev1.NewSessionEventServiceClient(bridge). The errors of unary calls are then of type
// *Error.
type Client struct {
	dial   func() (*grpc.ClientConn, error)
	closed chan struct{}

	mu      sync.Mutex // guards what follows
	current *connection
	// retired are the connections that were replaced, until their last call has ended.
	retired map[*connection]struct{}
}

var _ grpc.ClientConnInterface = (*Client)(nil)

// New returns a client. It does no I/O: an error is one of the Config.
func New(config Config) (*Client, error) {
	if config.Address == "" {
		return nil, errors.New("client: Config.Address is empty")
	}
	if config.Plaintext && config.TLS != nil {
		return nil, errors.New("client: Config.Plaintext and Config.TLS exclude each other")
	}
	dial := func() (*grpc.ClientConn, error) { return grpc.NewClient(config.Address, dialOptions(config)...) }
	conn, err := dial()
	if err != nil {
		return nil, fmt.Errorf("client: Config.Address: %w", err)
	}
	return &Client{
		dial: dial, closed: make(chan struct{}),
		current: &connection{ClientConn: conn}, retired: map[*connection]struct{}{},
	}, nil
}

// Close ends all calls and subscriptions with ErrClosed. Closing again does nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed() {
		return nil
	}
	close(c.closed)
	err := c.current.Close()
	for conn := range c.retired {
		err = errors.Join(err, conn.Close())
	}
	return err
}

// Invoke makes a unary call for generated code.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	conn := c.begin()
	defer c.end(conn)
	return c.callError(conn.Invoke(ctx, method, args, reply, options...))
}

// NewStream opens a stream for generated code. Such a stream has none of what Subscribe adds.
func (c *Client) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	conn := c.begin()
	end := sync.OnceFunc(func() { c.end(conn) })
	options = append(slices.Clip(options), grpc.OnFinish(func(error) { end() }))
	stream, err := conn.NewStream(ctx, desc, method, options...)
	if err != nil {
		end()
	}
	return stream, c.callError(err)
}

// callError adds to an error of gRPC that it is from a closed client.
func (c *Client) callError(err error) error {
	if err != nil && c.isClosed() {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return asError(err)
}

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func dialOptions(config Config) []grpc.DialOption {
	transport, secure := transportCredentials(config)
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		// Together they notice a dead connection before the third heartbeat of ten seconds is missed.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 15 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: minBackoff, Multiplier: backoffGrowth, Jitter: 0.5, MaxDelay: maxBackoff,
			},
			MinConnectTimeout: 10 * time.Second,
		}),
	}
	if config.Token != nil {
		options = append(options, grpc.WithPerRPCCredentials(bearer{token: config.Token, secure: secure}))
	}
	return append(options, config.DialOptions...)
}
