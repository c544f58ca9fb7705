package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Causes of a reconnect that come from this side, as Hooks.Reconnecting gets them.
var (
	// ErrSilent means that nothing came for three heartbeat intervals. The connection is dead, or what is behind it is.
	ErrSilent = errors.New("no heartbeat from the bridge")
	// ErrEnded means that the bridge ended the stream without an error.
	ErrEnded = errors.New("stream ended by the bridge")
)

const (
	defaultHeartbeat = 10 * time.Second
	// missedHeartbeats is how many a stream may miss in a row.
	missedHeartbeats = 3
)

// follow opens a stream and consumes it to its end, which is the error. wait is how long the bridge asked to wait
// before the next stream; 0 when it did not ask.
func (s *subscription) follow(parent context.Context) (wait time.Duration, end error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	conn := s.client.begin()
	defer s.client.end(conn)
	guard := newWatchdog(s.request.GetHeartbeatInterval().AsDuration(), cancel)
	defer guard.stop()
	stream, end := openStream(ctx, conn, guard, s.nextRequest())
	for end == nil {
		var response *deskbridgev1.SubscribeResponse
		if response, end = stream.receive(ctx); end != nil {
			break
		}
		if draining := response.GetDraining(); draining != nil {
			wait = max(draining.GetReconnectDelay().AsDuration(), minBackoff)
		}
		end = s.consume(ctx, response)
	}
	// A call fails for want of a connection a moment before the connection's state says so.
	neverMade := stream == nil && conn.GetState() != connectivity.Ready
	if parent.Err() == nil && (neverMade || errors.Is(end, ErrSilent)) {
		s.client.replace(conn)
	}
	return wait, end
}

// guardedStream is a stream that ends when it is silent for too long.
type guardedStream struct {
	grpc.ServerStreamingClient[deskbridgev1.SubscribeResponse]
	guard *watchdog
}

// openStream does not wait for the bridge once there is a connection: the first receive does.
func openStream(
	ctx context.Context, conn *connection, guard *watchdog, request *deskbridgev1.SubscribeRequest,
) (*guardedStream, error) {
	guard.start()
	defer guard.stop()
	stream, err := deskbridgev1.NewSessionEventServiceClient(conn).Subscribe(ctx, request)
	if err != nil {
		return nil, streamError(ctx, err)
	}
	return &guardedStream{stream, guard}, nil
}

func (s *guardedStream) receive(ctx context.Context) (*deskbridgev1.SubscribeResponse, error) {
	s.guard.start()
	defer s.guard.stop()
	response, err := s.Recv()
	if err != nil {
		return nil, streamError(ctx, err)
	}
	return response, nil
}

// streamError says why a stream ended.
func streamError(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), ErrSilent):
		return context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return ErrEnded
	default:
		return asError(err)
	}
}

// consume hands on what a response says, and advances the cursor behind it.
func (s *subscription) consume(ctx context.Context, response *deskbridgev1.SubscribeResponse) error {
	switch kind := response.GetKind().(type) {
	case *deskbridgev1.SubscribeResponse_Opened:
		s.open(kind.Opened)
	case *deskbridgev1.SubscribeResponse_Events:
		if err := s.deliver(ctx, kind.Events.GetEvents()); err != nil {
			return err
		}
	case *deskbridgev1.SubscribeResponse_Heartbeat:
		s.beat(kind.Heartbeat, response.GetCursor())
	case *deskbridgev1.SubscribeResponse_CaughtUp:
		call(s.hooks.CaughtUp, kind.CaughtUp)
	case *deskbridgev1.SubscribeResponse_FellBehind:
		call(s.hooks.FellBehind, kind.FellBehind)
	case *deskbridgev1.SubscribeResponse_Draining:
		call(s.hooks.Draining, kind.Draining)
	}
	s.advance(response.GetCursor())
	if response.GetCaughtUp() != nil && s.request.GetStopWhenCaughtUp() {
		return errFinished
	}
	if response.GetEvents() != nil && !s.isSaveDue() {
		return nil
	}
	return s.save(ctx) // at once behind all else, which is rare: the stream has caught up, or is quiet
}

func (s *subscription) open(opened *deskbridgev1.SubscriptionOpened) {
	s.epoch = opened.GetEpoch()
	s.position = max(s.position, opened.GetStartPosition())
	call(s.hooks.Connected, opened)
}

func (s *subscription) beat(heartbeat *deskbridgev1.Heartbeat, cursor string) {
	s.backoff.reset()
	if s.hooks.Heartbeat == nil {
		return
	}
	head, position := heartbeat.GetHeadPosition(), positionOf(cursor)
	s.hooks.Heartbeat(heartbeat, max(head, position)-position)
}

// advance moves the subscription to a cursor that the bridge gave.
func (s *subscription) advance(cursor string) {
	if cursor != "" {
		s.cursor, s.position = cursor, max(s.position, positionOf(cursor))
	}
}

// deliver yields the events that are new, until the subscription is to end: the rest of a batch is not held against a
// caller who has cancelled. An event that the loop is left with, be it by a panic, is not consumed.
func (s *subscription) deliver(ctx context.Context, events []*deskbridgev1.SessionEvent) error {
	s.backoff.reset()
	defer s.markConsumed()
	for _, event := range events {
		if event.GetPosition() <= s.position {
			continue
		}
		if err := s.stopped(ctx); err != nil {
			return err
		}
		if !s.yield(event, nil) {
			s.abandoned = true
			return errFinished
		}
		s.position = event.GetPosition()
		if s.isSaveDue() {
			s.markConsumed()
			if err := s.save(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// stopped returns why to go no further, nil while there is no reason.
func (s *subscription) stopped(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.client.isClosed() {
		return ErrClosed
	}
	return nil
}

// markConsumed puts the cursor behind the last event consumed.
func (s *subscription) markConsumed() { s.cursor = FormatCursor(s.epoch, s.position) }

// isSaveDue says whether the last save is some time ago. All that is not saved was consumed within that time after it,
// so that a crash repeats no more.
func (s *subscription) isSaveDue() bool {
	return s.store != nil && time.Since(s.savedAt) >= saveInterval
}

// watchdog cancels a stream that is silent for too long. It runs only while the stream is waited for: a loop body may
// take as long as it likes.
type watchdog struct {
	patience time.Duration
	timer    *time.Timer
}

func newWatchdog(heartbeat time.Duration, cancel context.CancelCauseFunc) *watchdog {
	if heartbeat <= 0 {
		heartbeat = defaultHeartbeat
	}
	patience := missedHeartbeats * heartbeat
	timer := time.AfterFunc(patience, func() { cancel(fmt.Errorf("%w for %v", ErrSilent, patience)) })
	return &watchdog{patience: patience, timer: timer}
}

func (w *watchdog) start() { w.timer.Reset(w.patience) }

func (w *watchdog) stop() { w.timer.Stop() }
