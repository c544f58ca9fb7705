package rpc

import (
	"context"
	"log/slog"
	"sync"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// SessionEventsConfig is what a SessionEvents needs. All fields are required.
type SessionEventsConfig struct {
	Journal *journal.Journal
	Hub     *fanout.Hub
	Logger  *slog.Logger
	// SendTimeout bounds how long one response may wait for a reader that takes nothing.
	SendTimeout time.Duration
	// DrainSpread is the longest delay that a reader is told to wait before it reconnects.
	DrainSpread time.Duration
}

// SessionEvents serves SessionEventService.
type SessionEvents struct {
	deskbridgev1.UnimplementedSessionEventServiceServer
	config   SessionEventsConfig
	draining context.Context
	drain    context.CancelFunc
	streams  sync.WaitGroup
}

// NewSessionEvents returns the service. Call Drain before the gRPC server is stopped.
func NewSessionEvents(config SessionEventsConfig) *SessionEvents {
	draining, drain := context.WithCancel(context.Background())
	return &SessionEvents{config: config, draining: draining, drain: drain}
}

// Drain tells every stream to reconnect and ends it, and waits until all have ended or ctx is done. Streams that are
// opened afterwards are refused.
func (s *SessionEvents) Drain(ctx context.Context) error {
	s.drain()
	done := make(chan struct{})
	go func() {
		s.streams.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
