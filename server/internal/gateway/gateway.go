// Package gateway is the HTTP edge: it puts the generated grpc-gateway handlers on their routes, and in front of the
// webhook the checks that must come before its body is read. It decodes no event and decides nothing about one.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	gatewayv1 "github.com/deskbridge/deskbridge/gen/gateway/deskbridge/v1"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/callback"
)

// CallbackPath is the webhook's path, as gateway.yaml has it.
const CallbackPath = "/v1/callbacks/desk"

// Config is what the edge needs. All fields are required, but Traces.
type Config struct {
	// Callbacks is called in the process: the webhook is on no gRPC port.
	Callbacks deskbridgev1.CallbackServiceServer
	// Events is a connection to the gRPC server. Streams can't be called in the process, and interceptors see both ways.
	Events grpc.ClientConnInterface
	// Authenticator checks each callback's URL.
	Authenticator *callback.Authenticator
	Logger        *slog.Logger
	Metrics       prometheus.Registerer
	// Traces makes a span of each callback; nil makes none.
	Traces trace.TracerProvider
	// MaxBodyBytes bounds a callback's body.
	MaxBodyBytes int64
	// BodyTimeout bounds how long a callback's body may take to arrive.
	BodyTimeout time.Duration
	// SendTimeout bounds how long a part of an event stream may wait for a reader that takes nothing.
	SendTimeout time.Duration
	// MaxCallbacks bounds how many callbacks are under way at once; more are refused.
	MaxCallbacks int
}

// Gateway is the handler of the HTTP listener.
type Gateway struct {
	http.Handler
	edge *edge
}

// AwaitCallbacks returns when no callback is under way, or ctx is done. New ones are not kept out.
func (g *Gateway) AwaitCallbacks(ctx context.Context) error {
	ticker := time.NewTicker(awaitInterval)
	defer ticker.Stop()
	for len(g.edge.slots) > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// awaitInterval is how often AwaitCallbacks looks: to have each callback say that it has ended would cost all of them.
const awaitInterval = 5 * time.Millisecond

// New returns the gateway.
func New(config Config) (*Gateway, error) {
	beStrictOnce()
	edge, err := newEdge(config)
	if err != nil {
		return nil, fmt.Errorf("callback routes: %w", err)
	}
	events := runtime.NewServeMux(
		runtime.WithUnescapingMode(runtime.UnescapingModeAllCharacters),
		// A caller's headers must not become what the edge itself says of it. Authorization passes anyway.
		runtime.WithIncomingHeaderMatcher(func(name string) (string, bool) {
			return "grpcgateway-accept", name == "Accept" // how the stream is written, for the list of subscriptions
		}),
		runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD { return access.EdgeMetadata(r) }),
		// Else a form that is posted here would get the generated stream.
		runtime.WithDisablePathLengthFallback(),
		runtime.WithErrorHandler(answerError),
		// As in the streams: what is not set is left out.
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{}),
	)
	client := deskbridgev1.NewSessionEventServiceClient(config.Events)
	if err := gatewayv1.RegisterSessionEventServiceHandlerClient(context.Background(), events, client); err != nil {
		return nil, fmt.Errorf("event routes: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(CallbackPath, traced(edge, config.Traces))
	mux.HandleFunc("/v1/callbacks/", edge.notFound)
	streams := &eventStreams{client: client, mux: events, sendTimeout: config.SendTimeout}
	mux.Handle("GET "+SubscribePath, textOnly(events, streams))
	mux.Handle("/", textOnly(events, events))
	return &Gateway{Handler: IdentifyRequests(mux), edge: edge}, nil
}

// answerError answers with an error. The library would put its text where a 401 names the scheme of credentials.
func answerError(
	ctx context.Context, mux *runtime.ServeMux, form runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	runtime.DefaultHTTPErrorHandler(ctx, mux, form, challenger{w}, r, err)
}

type challenger struct{ http.ResponseWriter }

func (c challenger) WriteHeader(code int) {
	if code == http.StatusUnauthorized {
		c.Header().Set("WWW-Authenticate", "Bearer")
	}
	c.ResponseWriter.WriteHeader(code)
}

// traced makes a span of each request, in the trace that the request names if it names one.
func traced(next http.Handler, provider trace.TracerProvider) http.Handler {
	if provider == nil {
		return next
	}
	return otelhttp.NewHandler(next, "callback", otelhttp.WithTracerProvider(provider),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(name string, _ *http.Request) string { return name }))
}
