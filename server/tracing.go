package server

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	oteltrace "go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	"github.com/deskbridge/deskbridge/server/internal/rpc"
)

// tracing makes spans and sends them to a collector. Nil makes none, and costs nothing.
type tracing struct{ provider *trace.TracerProvider }

// flushTimeout bounds how long the end of the bridge waits for a collector to take the last spans.
const flushTimeout = 2 * time.Second

// newTracing returns nil without an endpoint, be it the setting's or that of OpenTelemetry's own variables. They also
// say how many traces are taken, whether the connection is secure and under which name the bridge appears.
func newTracing(ctx context.Context, endpoint string) (*tracing, error) {
	if endpoint == "" && os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" &&
		os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil //nolint:nilnil // off
	}
	var options []otlptracegrpc.Option
	if endpoint != "" {
		options = append(options, otlptracegrpc.WithEndpointURL(endpoint))
	}
	exporter, err := otlptracegrpc.New(ctx, options...) // it connects later
	if err != nil {
		return nil, fmt.Errorf("--traces-endpoint: %w", err)
	}
	self, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("deskbridge")), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	return &tracing{trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(self))}, nil
}

// tracerProvider is nil when there are no traces.
func (t *tracing) tracerProvider() oteltrace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

func (t *tracing) tracer() oteltrace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("github.com/deskbridge/deskbridge")
}

// grpcOptions trace the calls that are answered. A stream lasts for days; its deliveries have spans instead.
func (t *tracing) grpcOptions() []grpc.ServerOption {
	if t == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(t.provider),
		otelgrpc.WithPropagators(propagation.TraceContext{}),
		otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool { return rpc.IsTraced(info.FullMethodName) }),
	))}
}

// close sends the last spans. A collector that is away is no failure of the bridge.
func (t *tracing) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx)
}
