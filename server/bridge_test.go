package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	// testDeadline bounds every wait of a test: it is reached only by a fault.
	testDeadline  = 30 * time.Second
	testApp       = "1600012345"
	documentQuery = "SdkAppid=" + testApp +
		"&CallbackCommand=Desk.SessionEventNotify&contenttype=json&ClientIP=127.0.0.1&OptPlatform=Web"
)

// bridge is a running server, as its users see it.
type bridge struct {
	*server.Server
	t      *testing.T
	conn   *grpc.ClientConn
	events deskbridgev1.SessionEventServiceClient
	http   *http.Client
	stop   func() error
}

// testConfig is the default on free ports and a directory of the test.
func testConfig(t *testing.T) server.Config {
	t.Helper()
	config := server.DefaultConfig()
	config.HTTPAddr, config.GRPCAddr = "127.0.0.1:0", "127.0.0.1:0"
	config.DataDir = t.TempDir()
	config.DrainSpread = 10 * time.Millisecond
	config.AckTimeout = testDeadline // a busy machine may need more than the vendor's patience; that is no fault here
	return config
}

// startBridge runs a server until the test ends, or until stop.
func startBridge(t *testing.T, config server.Config) *bridge {
	t.Helper()
	return startLogged(t, config, slog.New(slog.NewTextHandler(t.Output(), nil)))
}

func startLogged(t *testing.T, config server.Config, logger *slog.Logger) *bridge {
	t.Helper()
	s, err := server.New(t.Context(), config, logger)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	conn, err := grpc.NewClient(s.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	b := &bridge{
		Server: s, t: t, conn: conn,
		events: deskbridgev1.NewSessionEventServiceClient(conn),
		http:   &http.Client{Transport: transport, Timeout: testDeadline},
	}
	stopped := false
	b.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-done
		transport.CloseIdleConnections()
		_ = conn.Close()
		return err
	}
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("the bridge did not end cleanly: %v", err)
		}
	})
	return b
}

func (b *bridge) url(path string) string { return "http://" + b.HTTPAddr() + path }

// post sends a callback and returns the answer's status and body.
func (b *bridge) post(query, body string) (int, string) {
	b.t.Helper()
	response, err := b.http.Post(b.url("/v1/callbacks/desk?"+query), "application/json", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	return readAnswer(b.t, response)
}

func readAnswer(t *testing.T, response *http.Response) (int, string) {
	t.Helper()
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&text, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, text.String()
}

const okAnswer = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`

// mustPost sends a callback that must be taken.
func (b *bridge) mustPost(query, body string) {
	b.t.Helper()
	if status, text := b.post(query, body); status != http.StatusOK || text != okAnswer {
		b.t.Fatalf("answer to the callback: %d %s", status, text)
	}
}

// stream is a subscription whose responses a test reads one by one.
type stream struct {
	t *testing.T
	grpc.ServerStreamingClient[deskbridgev1.SubscribeResponse]
	cancel context.CancelFunc
}

func (b *bridge) subscribe(request *deskbridgev1.SubscribeRequest) *stream {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), testDeadline)
	b.t.Cleanup(cancel)
	s, err := b.events.Subscribe(ctx, request)
	if err != nil {
		b.t.Fatal(err)
	}
	return &stream{t: b.t, ServerStreamingClient: s, cancel: cancel}
}

func (s *stream) next() *deskbridgev1.SubscribeResponse {
	s.t.Helper()
	response, err := s.Recv()
	if err != nil {
		s.t.Fatalf("the stream ended: %v", err)
	}
	if response.GetCursor() == "" {
		s.t.Fatalf("a response without a cursor: %v", response)
	}
	return response
}

// collect reads to the end of a stream that stops when it has caught up, and returns its events.
func (s *stream) collect() []*deskbridgev1.SessionEvent {
	s.t.Helper()
	var events []*deskbridgev1.SessionEvent
	for {
		response, err := s.Recv()
		if err == io.EOF { //nolint:errorlint // grpc-go returns io.EOF itself
			return events
		}
		if err != nil {
			s.t.Fatal(err)
		}
		events = append(events, response.GetEvents().GetEvents()...)
	}
}

func fromEarliest() *deskbridgev1.SubscribeRequest_StartPosition {
	return &deskbridgev1.SubscribeRequest_StartPosition{
		StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
	}
}

// allEvents is what a batch reader finds in the journal.
func (b *bridge) allEvents(filter *deskbridgev1.EventFilter) []*deskbridgev1.SessionEvent {
	b.t.Helper()
	return b.subscribe(&deskbridgev1.SubscribeRequest{
		Filter: filter, Start: fromEarliest(), StopWhenCaughtUp: true,
	}).collect()
}
