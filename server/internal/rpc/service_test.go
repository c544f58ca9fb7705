package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// testDeadline bounds every wait of a test: it is reached only by a fault.
const testDeadline = 30 * time.Second

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testDeadline); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", testDeadline, what)
		}
	}
}

// startService makes a service of an empty journal, with a hub that runs until the test ends.
func startService(
	t testing.TB, stored journal.Config, hubs fanout.Config, config SessionEventsConfig,
) *SessionEvents {
	t.Helper()
	stored.Dir, stored.AckTimeout = t.TempDir(), time.Minute
	j, err := journal.Open(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	hubs.Journal = fanout.From(j)
	hub := fanout.New(hubs)
	running, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- hub.Run(running) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, j.Close()); err != nil {
			t.Error(err)
		}
	})
	config.Journal, config.Hub = j, hub
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	config.MaxStreams = cmp.Or(config.MaxStreams, 10_000)
	config.SendTimeout = cmp.Or(config.SendTimeout, testDeadline)
	config.PartTimeout = cmp.Or(config.PartTimeout, testDeadline)
	config.DrainSpread = cmp.Or(config.DrainSpread, time.Millisecond)
	return NewSessionEvents(config)
}

// serve makes the service a gRPC server's on loopback.
func serve(t testing.TB, service *SessionEvents) (addr string) {
	t.Helper()
	return startServer(t, func(s *grpc.Server) { deskbridgev1.RegisterSessionEventServiceServer(s, service) },
		grpc.ForceServerCodecV2(NewCodec()))
}

func startServer(t testing.TB, register func(s *grpc.Server), options ...grpc.ServerOption) (addr string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := access.NewControl(access.Open(), 1)
	guard := NewGuard(open, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	server := grpc.NewServer(append(options, guard.Options()...)...)
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// smallWindow is the least that HTTP/2 has for what a reader has not taken, whatever its connection could carry.
func smallWindow() grpc.DialOption { return grpc.WithStaticStreamWindowSize(64 << 10) }

func connect(t testing.TB, addr string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// store appends entries from first on, and waits until the hub knows them.
func store(t testing.TB, service *SessionEvents, first, count int, entryOf func(n int) journal.Entry) {
	t.Helper()
	target := service.config.Hub.Head() + uint64(count)
	appends, ctx := errgroup.WithContext(t.Context())
	appends.SetLimit(1024)
	for n := range count {
		appends.Go(func() error {
			_, err := service.config.Journal.Append(ctx, entryOf(first+n))
			return err
		})
	}
	if err := appends.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the hub knows all events", func() bool { return service.config.Hub.Head() >= target })
}

// makeEntry is an entry of some 240 bytes and the text.
func makeEntry(session string, n int, text string) journal.Entry {
	event := &deskbridgev1.SessionEvent{
		Id:                fmt.Sprintf("bench-%d", n),
		Type:              deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_USER_SEND_MSG,
		TypeName:          proto.String("Human.UserSendMsg"),
		SessionId:         proto.String(session),
		EventTime:         timestamppb.Now(),
		ReceiveTime:       timestamppb.Now(),
		SdkAppId:          "1600012345",
		ClientUserId:      proto.String("buyer_0042"),
		CustomerServiceId: proto.String("@customer_service_account"),
		Message: &deskbridgev1.Message{
			Key: proto.String("152_1600012345_abcdefg"),
			Elements: []*deskbridgev1.MessageElement{{
				TypeName: proto.String("TIMTextElem"),
				Content: &deskbridgev1.MessageElement_Text{
					Text: &deskbridgev1.TextElement{Text: proto.String(text)},
				},
			}},
		},
	}
	data, err := proto.Marshal(event)
	if err != nil {
		panic(err) // a fixed message
	}
	return journal.Entry{AppID: "1600012345", SessionID: session, DedupeKey: event.GetId(), Data: data}
}
