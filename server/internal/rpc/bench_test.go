package rpc

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
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

func passThrough() grpc.DialOption {
	return grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}))
}

// recentEvents is a service of many events.
func recentEvents(b *testing.B, count int) *SessionEvents {
	b.Helper()
	service := startService(b, journal.Config{}, fanout.Config{}, SessionEventsConfig{SendTimeout: time.Minute})
	store(b, service, 0, count, benchEntry)
	return service
}

func benchEntry(n int) journal.Entry {
	return makeEntry(fmt.Sprintf("2baf4d84-beb4-4607-a1ea-%012d", n/8), n, strings.Repeat("How? ", 32))
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
		service := recentEvents(b, events)
		ours := connect(b, serve(b, service), passThrough())
		frames, err := readStream(b.Context(), ours, true)
		if err != nil {
			b.Fatal(err)
		}
		raw := connect(b, startServer(b, func(s *grpc.Server) { s.RegisterService(rawService(frames), nil) },
			grpc.ForceServerCodecV2(rawCodec{})), passThrough())
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
	service := recentEvents(b, events)
	conn := connect(b, serve(b, service), passThrough())
	for b.Loop() {
		readStreams(b, conn, 1)
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}
