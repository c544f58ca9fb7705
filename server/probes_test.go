package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// get returns the answer of any of the bridge's HTTP listeners.
func (b *bridge) get(addr, path string) (int, string) {
	b.t.Helper()
	response, err := b.http.Get("http://" + addr + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (b *bridge) awaitReadiness(status int, text string) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("readiness %d %q", status, text), func() bool {
		got, answer := b.get(b.HTTPAddr(), "/readyz")
		return got == status && answer == text
	})
}

func (b *bridge) awaitHealth(service string, want healthv1.HealthCheckResponse_ServingStatus) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("health of %q: %v", service, want), func() bool {
		answer, err := healthv1.NewHealthClient(b.conn).Check(b.t.Context(), &healthv1.HealthCheckRequest{Service: service})
		return err == nil && answer.GetStatus() == want
	})
}

func TestProbesOfAReadyBridge(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.MetricsAddr = "127.0.0.1:0"
	b := startBridge(t, config)
	b.awaitReadiness(http.StatusOK, "ok\n")
	for _, addr := range []string{b.HTTPAddr(), b.MetricsAddr()} {
		for _, path := range []string{"/livez", "/readyz"} {
			if status, text := b.get(addr, path); status != http.StatusOK || text != "ok\n" {
				t.Errorf("%s%s: %d %q", addr, path, status, text)
			}
		}
	}
	for _, name := range append(b.OwnServices(), "") {
		b.awaitHealth(name, healthv1.HealthCheckResponse_SERVING)
	}
}

// TestReadyWithoutTheCluster: were no bridge ready while the cluster is away, nobody would take callbacks.
func TestReadyWithoutTheCluster(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.NATSURL = "nats://127.0.0.1:1"
	b := startBridge(t, config)
	b.awaitReadiness(http.StatusOK, "ok\n")
	b.awaitHealth("", healthv1.HealthCheckResponse_SERVING)
	b.awaitHealth(deskbridgev1.SessionEventService_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_NOT_SERVING)
}

func TestNotReadyWithoutRoom(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.NATSURL, config.SpoolMaxBytes = "nats://127.0.0.1:1", 1
	b := startBridge(t, config)
	b.awaitReadiness(http.StatusServiceUnavailable, "journal: the disk or the spool is nearly full\n")
	b.awaitHealth("", healthv1.HealthCheckResponse_NOT_SERVING)
	if status, text := b.get(b.HTTPAddr(), "/livez"); status != http.StatusOK {
		t.Errorf("a restart would not help, but livez says %d %q", status, text)
	}
}

// TestShutdownBeginsWithReadiness: while balancers look elsewhere all is served, each answer ends its connection, and
// what was taken still reaches the readers before they are told to go.
func TestShutdownBeginsWithReadiness(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.ShutdownDelay = 5 * time.Second
	b := startBridge(t, config)
	b.awaitReadiness(http.StatusOK, "ok\n")
	reader := b.subscribe(&deskbridgev1.SubscribeRequest{})
	if reader.next().GetOpened() == nil || reader.next().GetCaughtUp() == nil {
		t.Fatal("the stream did not open")
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	b.awaitReadiness(http.StatusServiceUnavailable, "shutting down\n")
	b.awaitHealth("", healthv1.HealthCheckResponse_NOT_SERVING)

	response, err := b.http.Post(b.url("/v1/callbacks/desk?"+documentQuery), "application/json",
		strings.NewReader(`{"SessionId":"late","Event":"SessionBegin"}`))
	if err != nil {
		t.Fatal(err)
	}
	if status, text := readAnswer(t, response); status != http.StatusOK || text != okAnswer || !response.Close {
		t.Errorf("answer %d %s, the last of its connection: %v", status, text, response.Close)
	}
	var kinds []string
	for {
		answer, err := reader.Recv()
		if err != nil {
			break
		}
		kinds = append(kinds, fmt.Sprintf("%T", answer.GetKind()))
	}
	want := []string{"*deskbridgev1.SubscribeResponse_Events", "*deskbridgev1.SubscribeResponse_Draining"}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("the reader got %v, want %v", kinds, want)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestShutdownEndsStreamsOfHealth, which tell that the bridge is not ready and would then last for ever, and of reflection.
func TestShutdownEndsStreamsOfHealth(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.ShutdownDelay, config.DrainTimeout = 3*time.Second, 4*testDeadline // health is told each second
	b := startBridge(t, config)
	b.awaitHealth("", healthv1.HealthCheckResponse_SERVING)
	conn, err := grpc.NewClient(b.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
	defer cancel()
	watch, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if err != nil {
		t.Fatal(err)
	}
	reflection, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	var last healthv1.HealthCheckResponse_ServingStatus
	for err == nil {
		var answer *healthv1.HealthCheckResponse
		if answer, err = watch.Recv(); err == nil {
			last = answer.GetStatus()
		}
	}
	if last != healthv1.HealthCheckResponse_NOT_SERVING || status.Code(err) != codes.Unavailable {
		t.Errorf("health ends with %v: %v", last, err)
	}
	if _, err := reflection.Recv(); status.Code(err) != codes.Canceled { // grpc-go's own: it waits for a request
		t.Errorf("reflection ends with %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
