package server

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// TestIdleConnectionsEnd: one without a stream ends after some minutes, though its peer answers every ping.
func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, listener := grpc.NewServer(grpcOptions(1)...), bufconn.Listen(loopbackBuffer)
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		conn, err := grpc.NewClient("passthrough:///idle", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		conn.Connect()
		synctest.Wait()
		time.Sleep(idleTimeout - time.Second)
		if state := conn.GetState(); state != connectivity.Ready {
			t.Errorf("early on it is %v", state)
		}
		time.Sleep(time.Minute)
		if state := conn.GetState(); state != connectivity.Idle {
			t.Errorf("in the end it is %v", state)
		}
		_ = conn.Close()
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
