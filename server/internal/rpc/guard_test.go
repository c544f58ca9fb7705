package rpc

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/emptypb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
)

// closedServer is a server that nobody may use, and a client of it. It gives the contexts of the calls, as the transport
// makes them.
func closedServer(t *testing.T) (*grpc.ClientConn, <-chan context.Context) {
	t.Helper()
	policy, err := access.Parse([]byte("principals: {a: {certificates: [a], admin: true}}"))
	if err != nil {
		t.Fatal(err)
	}
	guard := NewGuard(access.NewControl(policy, 1), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	contexts := make(chan context.Context, 100)
	server := grpc.NewServer(grpc.StreamInterceptor(guard.guard),
		grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			contexts <- ctx
			return guard.tap(ctx, info)
		}))
	registrar := guard.Registrar(server)
	deskbridgev1.RegisterSessionEventServiceServer(registrar, &SessionEvents{})
	deskbridgev1.RegisterQuarantineServiceServer(registrar, &Callbacks{})

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return conn, contexts
}

// TestRefusedCallsLeaveNothing: a call is refused without waiting for its request, and the timer of its deadline, which
// its client may set to years, doesn't outlive it.
func TestRefusedCallsLeaveNothing(t *testing.T) {
	t.Parallel()
	conn, contexts := closedServer(t)
	for _, method := range []string{
		deskbridgev1.SessionEventService_Subscribe_FullMethodName,
		deskbridgev1.SessionEventService_GetJournalInfo_FullMethodName,
		deskbridgev1.QuarantineService_DropQuarantinedCallback_FullMethodName,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 10_000*time.Hour)
		// The client sends no request, and doesn't end its side.
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		refused := make(chan error, 1)
		go func() { refused <- stream.RecvMsg(&emptypb.Empty{}) }()
		select {
		case err := <-refused:
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s: %v", method, err)
			}
		case <-time.After(testDeadline):
			t.Errorf("%s waits for a request", method)
		}
		select {
		case <-(<-contexts).Done():
		case <-time.After(testDeadline):
			t.Errorf("%s: the context of a refused call goes on", method)
		}
		cancel()
	}
}
