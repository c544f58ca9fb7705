package client_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// The types of the contract are on every other line here.
type (
	subscribeRequest  = deskbridgev1.SubscribeRequest
	subscribeResponse = deskbridgev1.SubscribeResponse
	serverStream      = grpc.ServerStreamingServer[subscribeResponse]
	// script plays the bridge for one stream.
	script func(*subscribeRequest, serverStream) error
)

// scriptedBridge answers each Subscribe call with the next script, and the calls after the last with that one again.
type scriptedBridge struct {
	deskbridgev1.UnimplementedSessionEventServiceServer

	mu       sync.Mutex
	scripts  []script
	requests []*subscribeRequest
	metadata []metadata.MD
}

func (b *scriptedBridge) Subscribe(request *subscribeRequest, stream serverStream) error {
	return b.take(stream.Context(), request)(request, stream)
}

func (b *scriptedBridge) take(ctx context.Context, request *subscribeRequest) script {
	b.mu.Lock()
	defer b.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	b.requests, b.metadata = append(b.requests, request), append(b.metadata, md)
	return b.scripts[min(len(b.requests), len(b.scripts))-1]
}

func (b *scriptedBridge) GetJournalInfo(
	context.Context, *deskbridgev1.GetJournalInfoRequest,
) (*deskbridgev1.GetJournalInfoResponse, error) {
	return nil, failure(codes.Unavailable, &deskbridgev1.ErrorDetail{
		Reason: deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE,
	})
}

// seen returns the requests so far.
func (b *scriptedBridge) seen() []*subscribeRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// starts returns the cursors that streams were opened after.
func (b *scriptedBridge) starts() []string {
	var cursors []string
	for _, request := range b.seen() {
		cursors = append(cursors, request.GetAfterCursor())
	}
	return cursors
}

// serveInMemory runs the bridge within the test's bubble and returns a client of it.
func serveInMemory(t *testing.T, bridge *scriptedBridge, options ...grpc.DialOption) *client.Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	serve(t, bridge, listener)
	dialer := func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
	return newClient(t, client.Config{
		Address:     "passthrough:///bridge",
		Plaintext:   true,
		DialOptions: append([]grpc.DialOption{grpc.WithContextDialer(dialer)}, options...),
	})
}

func serve(t testing.TB, bridge *scriptedBridge, listener net.Listener, options ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	server := grpc.NewServer(options...)
	deskbridgev1.RegisterSessionEventServiceServer(server, bridge)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return server
}

func newClient(t testing.TB, config client.Config) *client.Client {
	t.Helper()
	bridge, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bridge.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return bridge
}

// plays is a script that sends the responses and ends with the error.
func plays(end error, responses ...*subscribeResponse) script {
	return func(_ *subscribeRequest, stream serverStream) error {
		for _, response := range responses {
			if err := stream.Send(response); err != nil {
				return err
			}
		}
		return end
	}
}

// stalls is a script that sends the responses and then nothing, until the client gives up.
func stalls(responses ...*subscribeResponse) script {
	return func(request *subscribeRequest, stream serverStream) error {
		if err := plays(nil, responses...)(request, stream); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
}

const epoch = "e1"

func at(position uint64) string { return client.FormatCursor(epoch, position) }

func opened(start, head uint64) *subscribeResponse {
	return &subscribeResponse{Cursor: at(start), Kind: &deskbridgev1.SubscribeResponse_Opened{
		Opened: &deskbridgev1.SubscriptionOpened{Epoch: epoch, StartPosition: start, HeadPosition: head},
	}}
}

// batch has events at the positions.
func batch(positions ...uint64) *subscribeResponse {
	events := &deskbridgev1.EventBatch{}
	for _, position := range positions {
		events.Events = append(events.Events, &deskbridgev1.SessionEvent{Position: position})
	}
	return &subscribeResponse{
		Cursor: at(positions[len(positions)-1]),
		Kind:   &deskbridgev1.SubscribeResponse_Events{Events: events},
	}
}

func heartbeat(position, head uint64) *subscribeResponse {
	return &subscribeResponse{Cursor: at(position), Kind: &deskbridgev1.SubscribeResponse_Heartbeat{
		Heartbeat: &deskbridgev1.Heartbeat{HeadPosition: head},
	}}
}

func caughtUp(head uint64) *subscribeResponse {
	return &subscribeResponse{Cursor: at(head), Kind: &deskbridgev1.SubscribeResponse_CaughtUp{
		CaughtUp: &deskbridgev1.CaughtUp{HeadPosition: head},
	}}
}

// batchRequest asks for what there is.
func batchRequest() *subscribeRequest { return &subscribeRequest{StopWhenCaughtUp: true} }

func unavailable() error { return status.Error(codes.Unavailable, "the network is down") }

func failure(code codes.Code, detail *deskbridgev1.ErrorDetail) error {
	s, err := status.New(code, detail.GetReason().String()).WithDetails(proto.CloneOf(detail))
	if err != nil {
		panic(err)
	}
	return s.Err()
}

// collect ranges to the end and returns the positions and the error.
func collect(
	t *testing.T, bridge *client.Client, request *subscribeRequest, options ...client.SubscribeOption,
) ([]uint64, error) {
	t.Helper()
	var positions []uint64
	for event, err := range bridge.Subscribe(t.Context(), request, options...) {
		if err != nil {
			if event != nil {
				t.Errorf("an event came with the error %v", err)
			}
			return positions, err
		}
		positions = append(positions, event.GetPosition())
	}
	return positions, nil
}

// follow ranges until the context is cancelled.
func follow(
	ctx context.Context, t *testing.T, bridge *client.Client, request *subscribeRequest, options ...client.SubscribeOption,
) {
	for _, err := range bridge.Subscribe(ctx, request, options...) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// reconnects records what Hooks.Reconnecting is told.
type reconnects struct {
	causes []error
	delays []time.Duration
}

func (r *reconnects) hooks() client.Hooks {
	return client.Hooks{Reconnecting: func(cause error, delay time.Duration) {
		r.causes, r.delays = append(r.causes, cause), append(r.delays, delay)
	}}
}
