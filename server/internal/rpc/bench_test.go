package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// rawFrame is what the raw peer sends, and what all clients of the benchmarks receive: bytes as they are.
type rawFrame struct{ data []byte }

// rawCodec passes bytes through, so that the clients cost both sides of a comparison the same and little.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*rawFrame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f.data)}, nil
	}
	data, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(data)}, err
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*rawFrame)
	if !ok {
		return proto.Unmarshal(data.Materialize(), v.(proto.Message))
	}
	f.data = f.data[:0]
	for _, buffer := range data {
		f.data = append(f.data, buffer.ReadOnlyData()...)
	}
	return nil
}

// benchServer is a gRPC server on loopback, and a client of it.
func benchServer(b *testing.B, register func(s *grpc.Server), options ...grpc.ServerOption) *grpc.ClientConn {
	b.Helper()
	listener, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	open := access.NewControl(access.Open(), 1)
	guard := NewGuard(open, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	server := grpc.NewServer(append(options, guard.Options()...)...)
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return conn
}

// benchEvents fills a journal with events of about 400 bytes, and runs a hub on it until it knows them all.
func benchEvents(b *testing.B, count int) *SessionEvents {
	b.Helper()
	j, err := journal.Open(b.Context(), journal.Config{Dir: b.TempDir(), AckTimeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	hub := fanout.New(fanout.Config{Journal: fanout.From(j)})
	running, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- hub.Run(running) }()
	b.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, j.Close()); err != nil {
			b.Error(err)
		}
	})
	appends, ctx := errgroup.WithContext(b.Context())
	appends.SetLimit(1024)
	for n := range count {
		appends.Go(func() error {
			_, err := j.Append(ctx, benchEntry(n))
			return err
		})
	}
	if err := appends.Wait(); err != nil {
		b.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); hub.Head() < uint64(count); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatal("the hub does not reach the head")
		}
	}
	return NewSessionEvents(SessionEventsConfig{
		Journal: j, Hub: hub, Logger: slog.New(slog.DiscardHandler), MaxStreams: 10_000, SendTimeout: time.Minute,
		DrainSpread: time.Second,
	})
}

func benchEntry(n int) journal.Entry {
	session := fmt.Sprintf("2baf4d84-beb4-4607-a1ea-%012d", n/8)
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
					Text: &deskbridgev1.TextElement{Text: proto.String(strings.Repeat("How? ", 32))},
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

// readStream reads a subscription of everything to the end and returns its frames' sizes in bytes.
func readStream(ctx context.Context, conn *grpc.ClientConn, keep bool) ([][]byte, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true},
		deskbridgev1.SessionEventService_Subscribe_FullMethodName)
	if err != nil {
		return nil, err
	}
	request := &deskbridgev1.SubscribeRequest{
		Start: &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
		},
		StopWhenCaughtUp: true,
	}
	if err := stream.SendMsg(request); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var frames [][]byte
	for frame := new(rawFrame); ; {
		if err := stream.RecvMsg(frame); err == io.EOF { //nolint:errorlint // grpc-go returns io.EOF itself
			return frames, nil
		} else if err != nil {
			return nil, err
		}
		if keep {
			frames = append(frames, append([]byte(nil), frame.data...))
		}
	}
}

// readStreams reads this many streams at once.
func readStreams(b *testing.B, conn *grpc.ClientConn, subscribers int) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	for range subscribers {
		group.Go(func() error {
			_, err := readStream(ctx, conn, false)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDeliver sends recent events to many subscribers of everything; the raw peer is a loop that sends the very
// same frames.
func BenchmarkDeliver(b *testing.B) {
	for _, subscribers := range []int{1, 100, 1000} {
		events := min(50_000, 5_000_000/subscribers)
		service := benchEvents(b, events)
		ours := benchServer(b, func(s *grpc.Server) { deskbridgev1.RegisterSessionEventServiceServer(s, service) },
			grpc.ForceServerCodecV2(NewCodec()))
		frames, err := readStream(b.Context(), ours, true)
		if err != nil {
			b.Fatal(err)
		}
		raw := benchServer(b, func(s *grpc.Server) { s.RegisterService(rawService(frames), nil) },
			grpc.ForceServerCodecV2(rawCodec{}))
		for name, conn := range map[string]*grpc.ClientConn{"deskbridge": ours, "raw": raw} {
			b.Run(fmt.Sprintf("%d/%s", subscribers, name), func(b *testing.B) {
				for b.Loop() {
					readStreams(b, conn, subscribers)
				}
				b.ReportMetric(float64(b.N*events*subscribers)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

// rawService sends the frames to whoever subscribes.
func rawService(frames [][]byte) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: deskbridgev1.SessionEventService_ServiceDesc.ServiceName,
		Streams: []grpc.StreamDesc{{
			StreamName:    "Subscribe",
			ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				if err := stream.RecvMsg(&deskbridgev1.SubscribeRequest{}); err != nil {
					return err
				}
				for _, frame := range frames {
					if err := stream.SendMsg(&rawFrame{data: frame}); err != nil {
						return err
					}
				}
				return nil
			},
		}},
	}
}

// BenchmarkReplay reads more events than are kept in memory, from the journal through to a client.
func BenchmarkReplay(b *testing.B) {
	const events = 1_000_000
	service := benchEvents(b, events)
	conn := benchServer(b, func(s *grpc.Server) { deskbridgev1.RegisterSessionEventServiceServer(s, service) },
		grpc.ForceServerCodecV2(NewCodec()))
	for b.Loop() {
		readStreams(b, conn, 1)
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}
