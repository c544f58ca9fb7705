package server_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// collector is an OpenTelemetry collector that keeps what it gets.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []*tracev1.Span
}

func startCollector(t *testing.T) (*collector, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, s := &collector{}, grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(s, c)
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(listener) })
	t.Cleanup(func() { s.Stop(); running.Wait() })
	return c, "http://" + listener.Addr().String()
}

func (c *collector) Export(
	_ context.Context, request *collectorv1.ExportTraceServiceRequest,
) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// span returns the one of that name in a trace.
func (c *collector) span(trace, name string) *tracev1.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, span := range c.spans {
		if hex.EncodeToString(span.GetTraceId()) == trace && span.GetName() == name {
			return span
		}
	}
	return nil
}

const (
	givenTrace       = "0af7651916cd43dd8448eb211c80319c"
	givenTraceparent = "00-" + givenTrace + "-b7ad6b7169203331-01"
)

func (b *bridge) postTraced(body string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost,
		b.url("/v1/callbacks/desk?"+documentQuery), strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Traceparent", givenTraceparent)
	response, err := b.http.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if status, text := readAnswer(b.t, response); status != http.StatusOK || text != okAnswer {
		b.t.Fatalf("answer to the callback: %d %s", status, text)
	}
}

// TestTraceFromCallbackToDelivery: the trace comes in with the callback, is stored with the event, and comes out at the
// delivery and at the consumer.
func TestTraceFromCallbackToDelivery(t *testing.T) {
	t.Parallel()
	c, endpoint := startCollector(t)
	config := testConfig(t)
	config.TracesEndpoint = endpoint
	b := startBridge(t, config)
	reader := b.subscribe(&deskbridgev1.SubscribeRequest{Name: "crm"})
	reader.awaitCaughtUp()
	b.postTraced(`{"SessionId":"a","Event":"SessionBegin"}`)
	event := reader.next().GetEvents().GetEvents()[0]
	reader.cancel()
	if err := b.stop(); err != nil { // which sends what there is
		t.Fatal(err)
	}
	callback, delivery := c.span(givenTrace, "callback"), c.span(givenTrace, "deliver")
	if callback == nil || delivery == nil {
		t.Fatalf("spans of the trace: callback %v, delivery %v", callback, delivery)
	}
	span := hex.EncodeToString(callback.GetSpanId())
	if want := "00-" + givenTrace + "-" + span + "-01"; event.GetTraceparent() != want {
		t.Errorf("the event has traceparent %q, want %q", event.GetTraceparent(), want)
	}
	if parent := hex.EncodeToString(delivery.GetParentSpanId()); parent != span {
		t.Errorf("the delivery's parent is %s, want the callback's span, %s", parent, span)
	}
}

// TestTraceIsNoPartOfACallback: neither its id nor whether it is a repeat depends on the trace it comes in.
func TestTraceIsNoPartOfACallback(t *testing.T) {
	t.Parallel()
	_, endpoint := startCollector(t)
	config := testConfig(t)
	config.TracesEndpoint = endpoint
	traced, plain := startBridge(t, config), startBridge(t, testConfig(t))
	const body = `{"SessionId":"a","Event":"SessionBegin"}`
	traced.mustPost(documentQuery, body)
	traced.postTraced(body)
	plain.postTraced(body)
	withTrace, without := traced.allEvents(nil), plain.allEvents(nil)
	if len(withTrace) != 1 || len(without) != 1 || withTrace[0].GetId() != without[0].GetId() {
		t.Errorf("with traces %v, without %v", withTrace, without)
	}
	if withTrace[0].GetTraceparent() == "" || without[0].GetTraceparent() != "" {
		t.Errorf("traceparent %q with traces, %q without", withTrace[0].GetTraceparent(), without[0].GetTraceparent())
	}
}
