package main

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const epoch = "e1"

// fakeBridge serves the events it is given to every subscriber, whatever the filter, and a quarantine of one.
type fakeBridge struct {
	deskbridgev1.UnimplementedSessionEventServiceServer
	deskbridgev1.UnimplementedQuarantineServiceServer
	deskbridgev1.UnimplementedSubscriptionServiceServer

	events []*deskbridgev1.SessionEvent
	// cutAfter ends each stream after that many events, as a network does; 0 never.
	cutAfter int

	mu       sync.Mutex
	requests []*deskbridgev1.SubscribeRequest
}

func (b *fakeBridge) Subscribe(
	request *deskbridgev1.SubscribeRequest, stream grpc.ServerStreamingServer[deskbridgev1.SubscribeResponse],
) error {
	b.mu.Lock()
	b.requests = append(b.requests, request)
	b.mu.Unlock()
	first := 0
	for client.FormatCursor(epoch, uint64(first)) != request.GetAfterCursor() && request.GetAfterCursor() != "" {
		if first++; first > len(b.events) {
			return expired()
		}
	}
	if err := b.send(stream, uint64(first), &deskbridgev1.SubscribeResponse{Kind: &deskbridgev1.SubscribeResponse_Opened{
		Opened: &deskbridgev1.SubscriptionOpened{Epoch: epoch, StartPosition: uint64(first)},
	}}); err != nil {
		return err
	}
	return b.sendEvents(request, stream, first)
}

func expired() error {
	s, err := status.New(codes.OutOfRange, "no such cursor\x1b[2J").WithDetails(&deskbridgev1.ErrorDetail{
		Reason:         deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED,
		EarliestCursor: "e1:2", LatestCursor: "e1:9",
	})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

func (b *fakeBridge) send(
	stream grpc.ServerStreamingServer[deskbridgev1.SubscribeResponse], position uint64,
	response *deskbridgev1.SubscribeResponse,
) error {
	response.Cursor = client.FormatCursor(epoch, position)
	return stream.Send(response)
}

func (b *fakeBridge) sendEvents(
	request *deskbridgev1.SubscribeRequest, stream grpc.ServerStreamingServer[deskbridgev1.SubscribeResponse], first int,
) error {
	for i, event := range b.events[first:] {
		if b.cutAfter > 0 && i == b.cutAfter {
			return status.Error(codes.Unavailable, "cut\x1b[2J")
		}
		batch := &deskbridgev1.EventBatch{Events: []*deskbridgev1.SessionEvent{event}}
		response := &deskbridgev1.SubscribeResponse{Kind: &deskbridgev1.SubscribeResponse_Events{Events: batch}}
		if err := b.send(stream, event.GetPosition(), response); err != nil {
			return err
		}
	}
	caughtUp := &deskbridgev1.SubscribeResponse{Kind: &deskbridgev1.SubscribeResponse_CaughtUp{}}
	if err := b.send(stream, uint64(len(b.events)), caughtUp); err != nil || request.GetStopWhenCaughtUp() {
		return err
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

func (b *fakeBridge) GetJournalInfo(
	context.Context, *deskbridgev1.GetJournalInfoRequest,
) (*deskbridgev1.GetJournalInfoResponse, error) {
	return &deskbridgev1.GetJournalInfoResponse{
		Epoch: epoch, EarliestCursor: "e1:2", LatestCursor: "e1:9", EventCount: 6, SizeBytes: 1 << 21,
		Earliest: &deskbridgev1.JournalPoint{Position: 3, StoreTime: timestamppb.Now()},
		Latest:   &deskbridgev1.JournalPoint{Position: 9, StoreTime: timestamppb.Now()},
	}, nil
}

func (b *fakeBridge) ListSubscriptions(
	_ context.Context, request *deskbridgev1.ListSubscriptionsRequest,
) (*deskbridgev1.ListSubscriptionsResponse, error) {
	if request.GetPageToken() == "" {
		return &deskbridgev1.ListSubscriptionsResponse{
			Subscriptions: []*deskbridgev1.Subscription{{
				SubscriptionId: 1, Name: "crm-sync", PeerAddress: "192.0.2.1:5000", Position: 40, LagEvents: 2,
				Transport:   deskbridgev1.SubscriptionTransport_SUBSCRIPTION_TRANSPORT_GRPC,
				State:       deskbridgev1.SubscriptionState_SUBSCRIPTION_STATE_CATCHING_UP,
				Filter:      &deskbridgev1.EventFilter{SessionIds: []string{"a\x1b[2J"}},
				ReadMask:    &fieldmaskpb.FieldMask{Paths: []string{"session_id"}},
				LagDuration: durationpb.New(1500 * time.Millisecond), OpenTime: timestamppb.Now(),
			}}, NextPageToken: "more",
		}, nil
	}
	return &deskbridgev1.ListSubscriptionsResponse{
		Subscriptions: []*deskbridgev1.Subscription{{SubscriptionId: 2, OpenTime: timestamppb.Now()}},
	}, nil
}

func (b *fakeBridge) ListQuarantinedCallbacks(
	_ context.Context, request *deskbridgev1.ListQuarantinedCallbacksRequest,
) (*deskbridgev1.ListQuarantinedCallbacksResponse, error) {
	if request.GetPageToken() == "" {
		return &deskbridgev1.ListQuarantinedCallbacksResponse{
			Callbacks: []*deskbridgev1.QuarantinedCallback{quarantined(1)}, NextPageToken: "more",
		}, nil
	}
	return &deskbridgev1.ListQuarantinedCallbacksResponse{
		Callbacks: []*deskbridgev1.QuarantinedCallback{quarantined(2)},
	}, nil
}

func quarantined(id uint64) *deskbridgev1.QuarantinedCallback {
	return &deskbridgev1.QuarantinedCallback{
		QuarantineId: id, Reason: deskbridgev1.QuarantineReason_QUARANTINE_REASON_UNDECODABLE,
		Explanation: "not a JSON object", CallbackCommand: "Desk.SessionEventNotify", BodySize: 9,
	}
}

func (b *fakeBridge) GetQuarantinedCallback(
	_ context.Context, request *deskbridgev1.GetQuarantinedCallbackRequest,
) (*deskbridgev1.GetQuarantinedCallbackResponse, error) {
	if request.GetQuarantineId() != 1 {
		return nil, status.Error(codes.NotFound, "no such callback")
	}
	callback := quarantined(1)
	callback.Body = []byte("\x1b[2J{\n\x00}")
	callback.Headers = map[string]string{"User-Agent": "vendor"}
	return &deskbridgev1.GetQuarantinedCallbackResponse{Callback: callback}, nil
}

func (b *fakeBridge) RedriveQuarantinedCallback(
	_ context.Context, request *deskbridgev1.RedriveQuarantinedCallbackRequest,
) (*deskbridgev1.RedriveQuarantinedCallbackResponse, error) {
	if request.GetQuarantineId() != 1 {
		return &deskbridgev1.RedriveQuarantinedCallbackResponse{Explanation: "still not JSON"}, nil
	}
	return &deskbridgev1.RedriveQuarantinedCallbackResponse{Stored: true, Position: 44}, nil
}

func (b *fakeBridge) DropQuarantinedCallback(
	_ context.Context, request *deskbridgev1.DropQuarantinedCallbackRequest,
) (*deskbridgev1.DropQuarantinedCallbackResponse, error) {
	if request.GetQuarantineId() != 1 {
		return nil, status.Error(codes.NotFound, "no such callback")
	}
	return &deskbridgev1.DropQuarantinedCallbackResponse{}, nil
}

// serve runs the bridge and returns its address.
func serve(t *testing.T, bridge *fakeBridge) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	deskbridgev1.RegisterSessionEventServiceServer(server, bridge)
	deskbridgev1.RegisterQuarantineServiceServer(server, bridge)
	deskbridgev1.RegisterSubscriptionServiceServer(server, bridge)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// buffer may be read while a command writes.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// deskctl runs the program without a terminal.
func deskctl(ctx context.Context, stdin string, args ...string) (code int, out, err string) {
	var outText, errText buffer
	console := &console{in: bytes.NewReader([]byte(stdin)), out: &outText, err: &errText}
	code = run(ctx, args, console)
	return code, outText.String(), errText.String()
}
