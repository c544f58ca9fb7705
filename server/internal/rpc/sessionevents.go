package rpc

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// SessionEventsConfig is what a SessionEvents needs. All fields are required, but Tracer and MaxStreamAge.
type SessionEventsConfig struct {
	Journal *journal.Journal
	Hub     *fanout.Hub
	Logger  *slog.Logger
	// Tracer makes a span of each delivery; nil makes none.
	Tracer trace.Tracer
	// MaxStreams bounds the streams open at once.
	MaxStreams int
	// MaxStreamAge ends a stream that has lasted this long, give or take a tenth, as a shutdown does. 0: no bound.
	MaxStreamAge time.Duration
	// SendTimeout bounds how long one response may wait for a reader that takes nothing.
	SendTimeout time.Duration
	// PartTimeout bounds how long a stream that is to drain waits for its reader to take what is under way, and to hear
	// of it.
	PartTimeout time.Duration
	// DrainSpread is the longest delay that a reader is told to wait before it reconnects.
	DrainSpread time.Duration
}

// SessionEvents serves SessionEventService. It is the prometheus.Collector of its streams.
type SessionEvents struct {
	deskbridgev1.UnimplementedSessionEventServiceServer
	config  SessionEventsConfig
	streams *admission
	opening *semaphore.Weighted
	readers readers
	metrics streamMetrics
	masked  maskedEvents
}

// maxOpening bounds the streams that are being opened at once.
const maxOpening = 256

// NewSessionEvents returns the service. Call Drain before the gRPC server is stopped.
func NewSessionEvents(config SessionEventsConfig) *SessionEvents {
	return &SessionEvents{
		config: config, streams: newAdmission(config.MaxStreams), opening: semaphore.NewWeighted(maxOpening),
		metrics: newStreamMetrics(),
	}
}

// Drain tells every stream to reconnect and ends it, and waits until all have ended or ctx is done. Streams that are
// opened afterwards are refused. Call it once.
func (s *SessionEvents) Drain(ctx context.Context) error {
	select {
	case <-s.streams.close():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
