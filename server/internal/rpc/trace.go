package rpc

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
)

// traceparentField is SessionEvent.traceparent. A test holds it against the descriptor.
const traceparentField = 21

const traceparentHeader = "traceparent"

// IsTraced tells the methods whose calls are worth a span from streams and from the questions of machines.
func IsTraced(method string) bool {
	return strings.HasPrefix(method, "/deskbridge.") &&
		method != deskbridgev1.SessionEventService_Subscribe_FullMethodName
}

// traceparent is the context's span in the form in which an event carries it; empty without one.
func traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparentHeader]
}

// tracedEvent is an event whose delivery is worth a span, in the trace that it brought along.
type tracedEvent struct {
	trace    context.Context //nolint:containedctx // holds the trace alone
	position uint64
}

// traced returns the events of an item whose delivery to a live stream is traced. Events that come from the journal
// are not: their traces may be years old, and would grow with every replay.
func (p *pump) traced(item *fanout.Item) (traced []tracedEvent) {
	if p.service.config.Tracer == nil || !p.live.Load() {
		return nil
	}
	for _, event := range item.Events {
		ctx := propagation.TraceContext{}.Extract(context.Background(),
			propagation.MapCarrier{traceparentHeader: storedTraceparent(event.Data)})
		if trace.SpanContextFromContext(ctx).IsSampled() {
			traced = append(traced, tracedEvent{ctx, event.Position})
		}
	}
	return traced
}

// trace adds a span for each event that was just sent.
func (p *pump) trace(events []tracedEvent, began time.Time) {
	for _, event := range events {
		_, span := p.service.config.Tracer.Start(event.trace, "deliver",
			trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindProducer),
			trace.WithAttributes(
				attribute.String("deskbridge.subscription", p.request.GetName()),
				attribute.Int64("deskbridge.position", int64(event.position)),
			))
		span.End()
	}
}

// storedTraceparent reads the field of an encoded event.
func storedTraceparent(event []byte) string {
	for len(event) > 0 {
		number, kind, n := protowire.ConsumeTag(event)
		if n < 0 {
			return ""
		}
		event = event[n:]
		if number == traceparentField && kind == protowire.BytesType {
			value, _ := protowire.ConsumeString(event)
			return value
		}
		if n = protowire.ConsumeFieldValue(number, kind, event); n < 0 {
			return ""
		}
		event = event[n:]
	}
	return ""
}
