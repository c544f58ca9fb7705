//go:build clients

package conformance_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

type (
	response = deskbridgev1.SubscribeResponse
	stream   = grpc.ServerStreamingServer[response]
	// script plays one stream.
	script func(stream) error
)

// scriptedBridge says what no bridge of this version says. It answers each call with the next script, and the calls
// after the last with that one again.
type scriptedBridge struct {
	deskbridgev1.UnimplementedSessionEventServiceServer

	address string
	scripts []script
	// named are the scripts of subscriptions with a name, each for all of its calls.
	named map[string]script

	mu    sync.Mutex
	calls []call
}

// call is a call that a scriptedBridge got.
type call struct {
	name     string // the subscription's
	after    string // the cursor
	token    string
	at, done time.Time
}

func (s *stage) script(scripts ...script) *scriptedBridge {
	s.Helper()
	var listening net.ListenConfig
	listener, err := listening.Listen(s.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	bridge := &scriptedBridge{address: listener.Addr().String(), scripts: scripts}
	server := grpc.NewServer()
	deskbridgev1.RegisterSessionEventServiceServer(server, bridge)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	s.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			s.Errorf("Serve: %v", err)
		}
	})
	return bridge
}

func (b *scriptedBridge) Subscribe(request *deskbridgev1.SubscribeRequest, stream stream) error {
	n := b.begin(stream.Context(), request)
	play := b.named[request.GetName()]
	if play == nil {
		play = b.scripts[min(n, len(b.scripts)-1)]
	}
	err := play(stream)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[n].done = time.Now()
	return err
}

func (b *scriptedBridge) begin(ctx context.Context, request *deskbridgev1.SubscribeRequest) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	c := call{name: request.GetName(), after: request.GetAfterCursor(), at: time.Now()}
	if tokens := md.Get("authorization"); len(tokens) == 1 {
		c.token = tokens[0]
	}
	b.calls = append(b.calls, c)
	return len(b.calls) - 1
}

// seen returns the calls so far.
func (b *scriptedBridge) seen() []call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]call(nil), b.calls...)
}

// awaitCalls waits until the subscription of a name has called so often.
func (b *scriptedBridge) awaitCalls(s *stage, name string, times int) {
	s.Helper()
	of := func(c call) bool { return c.name == name }
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if n := len(slices.DeleteFunc(b.seen(), func(c call) bool { return !of(c) })); n >= times {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("not within %v: %d calls of %s", patience, times, name)
		}
	}
}

// stalls sends responses and then nothing, until the client gives up.
func stalls(responses ...*response) script {
	return func(stream stream) error {
		if err := plays(nil, responses...)(stream); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
}

// plays sends responses and ends the stream.
func plays(end error, responses ...*response) script {
	return func(stream stream) error {
		for _, r := range responses {
			if err := stream.Send(r); err != nil {
				return err
			}
		}
		return end
	}
}

const epoch = "e1"

func cursorAt(position uint64) string { return client.FormatCursor(epoch, position) }

func opened(start, head uint64) *response {
	return &response{Cursor: cursorAt(start), Kind: &deskbridgev1.SubscribeResponse_Opened{
		Opened: &deskbridgev1.SubscriptionOpened{Epoch: epoch, StartPosition: start, HeadPosition: head},
	}}
}

func batch(events ...*deskbridgev1.SessionEvent) *response {
	return &response{
		Cursor: cursorAt(events[len(events)-1].GetPosition()),
		Kind:   &deskbridgev1.SubscribeResponse_Events{Events: &deskbridgev1.EventBatch{Events: events}},
	}
}

func caughtUp(head uint64) *response {
	return &response{Cursor: cursorAt(head), Kind: &deskbridgev1.SubscribeResponse_CaughtUp{
		CaughtUp: &deskbridgev1.CaughtUp{HeadPosition: head},
	}}
}

// eventsAt are events without content.
func eventsAt(positions ...uint64) []*deskbridgev1.SessionEvent {
	var events []*deskbridgev1.SessionEvent
	for _, position := range positions {
		events = append(events, &deskbridgev1.SessionEvent{Position: position, Id: cursorAt(position)})
	}
	return events
}
