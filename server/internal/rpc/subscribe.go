package rpc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// Bounds of SubscribeRequest.heartbeat_interval.
const (
	defaultHeartbeat = 10 * time.Second
	minHeartbeat     = time.Second
	maxHeartbeat     = time.Minute
)

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// Subscribe implements SessionEventServiceServer.
func (s *SessionEvents) Subscribe(
	req *deskbridgev1.SubscribeRequest, stream grpc.ServerStreamingServer[deskbridgev1.SubscribeResponse],
) error {
	if s.draining.Err() != nil {
		return classify(fanout.ErrStopped)
	}
	p, err := s.open(stream.Context(), req, stream)
	if err != nil {
		return classify(err)
	}
	return classify(s.supervise(p))
}

// open validates the request and makes the pump of its stream.
func (s *SessionEvents) open(
	ctx context.Context, req *deskbridgev1.SubscribeRequest, stream grpc.ServerStream,
) (*pump, error) {
	heartbeat, err := heartbeatInterval(req)
	if err != nil {
		return nil, err
	}
	if !validName.MatchString(req.GetName()) {
		return nil, invalid("name", "want at most 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")
	}
	if len(req.GetReadMask().GetPaths()) > 0 {
		return nil, notServed("read_mask")
	}
	compiled, err := filter.Compile(req.GetFilter())
	if err != nil {
		return nil, err
	}
	from, err := s.resolveStart(ctx, req)
	if err != nil {
		return nil, err
	}
	subscription, err := s.config.Hub.Subscribe(fanout.Options{
		Filter: compiled, After: from.after, Target: from.bounds.Latest, Heartbeat: heartbeat,
	})
	if err != nil {
		return nil, err
	}
	return &pump{
		stream:           stream,
		subscription:     subscription,
		epoch:            from.bounds.Epoch,
		position:         from.after,
		opened:           from.opened(),
		stopWhenCaughtUp: req.GetStopWhenCaughtUp(),
		drainSpread:      s.config.DrainSpread,
	}, nil
}

func heartbeatInterval(req *deskbridgev1.SubscribeRequest) (time.Duration, error) {
	if req.GetHeartbeatInterval() == nil {
		return defaultHeartbeat, nil
	}
	if err := req.GetHeartbeatInterval().CheckValid(); err != nil {
		return 0, invalid("heartbeat_interval", "not a valid duration")
	}
	interval := req.GetHeartbeatInterval().AsDuration()
	if interval < minHeartbeat || interval > maxHeartbeat {
		return 0, invalid("heartbeat_interval", "%v is outside %v to %v", interval, minHeartbeat, maxHeartbeat)
	}
	return interval, nil
}

// supervise runs the pump and cuts the stream when a Send is stuck. A Send can't be interrupted from outside: it ends
// when the handler returns, so the pump needs a goroutine of its own. Drain waits for both.
func (s *SessionEvents) supervise(p *pump) error {
	ctx, cancel := context.WithCancelCause(p.stream.Context())
	defer cancel(nil)
	stop := context.AfterFunc(s.draining, func() { cancel(fanout.ErrStopped) })
	defer stop()

	done := make(chan error, 1)
	s.streams.Go(func() { done <- p.run(ctx) })

	ticker := time.NewTicker(s.config.SendTimeout / 2)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case now := <-ticker.C:
			if p.stuckFor(now) >= s.config.SendTimeout {
				return newError(deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER,
					"the reader took nothing for %v", s.config.SendTimeout).withResume(journal.Cursor{Epoch: p.epoch, Position: p.sent.Load()})
			}
		}
	}
}

// pump moves items from a subscription to its stream.
type pump struct {
	stream           grpc.ServerStream
	subscription     *fanout.Subscription
	epoch            string
	opened           *deskbridgev1.SubscribeResponse
	stopWhenCaughtUp bool
	drainSpread      time.Duration

	position    uint64        // of the last response that was sent; the pump's own
	sent        atomic.Uint64 // the same, for the supervisor
	sendStarted atomic.Int64  // UnixNano of the Send under way, else 0
}

func (p *pump) run(ctx context.Context) error {
	defer p.subscription.Close()
	p.sent.Store(p.position)
	if err := p.send(p.opened); err != nil {
		return err
	}
	for {
		item, err := p.subscription.Next(ctx)
		if err != nil {
			return p.end(ctx, err)
		}
		p.position = item.Position
		if err := p.send(p.encode(item)); err != nil {
			return err
		}
		p.sent.Store(item.Position)
		if item.Kind == fanout.CaughtUp && p.stopWhenCaughtUp {
			return nil
		}
	}
}

// encode makes the response for an item: a frame of shared bytes for events, a message for the rest.
func (p *pump) encode(item fanout.Item) any {
	cursor := p.cursor().String()
	if item.Kind == fanout.Events {
		return newEventsFrame(cursor, item.Events)
	}
	response := &deskbridgev1.SubscribeResponse{Cursor: cursor}
	switch item.Kind {
	case fanout.CaughtUp:
		response.Kind = &deskbridgev1.SubscribeResponse_CaughtUp{
			CaughtUp: &deskbridgev1.CaughtUp{HeadPosition: item.Head},
		}
	case fanout.FellBehind:
		response.Kind = &deskbridgev1.SubscribeResponse_FellBehind{
			FellBehind: &deskbridgev1.FellBehind{HeadPosition: item.Head, Lag: item.Lag()},
		}
	default:
		response.Kind = &deskbridgev1.SubscribeResponse_Heartbeat{
			Heartbeat: &deskbridgev1.Heartbeat{HeadPosition: item.Head, JournalUnreachable: item.Unreachable},
		}
	}
	return response
}

// end turns the end of a subscription into the end of its stream.
func (p *pump) end(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, fanout.ErrStopped), errors.Is(context.Cause(ctx), fanout.ErrStopped):
		return p.announceDrain()
	case errors.Is(err, journal.ErrTrimmed):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED,
			"events behind %s were trimmed while the reader was catching up", p.cursor())
	case errors.Is(err, journal.ErrUnavailable):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE,
			"the journal is unavailable").withResume(p.cursor())
	default:
		return err
	}
}

// announceDrain sends the last response. The status behind it is not OK: a reader that stops at a clean end would
// take it for the end of the events.
func (p *pump) announceDrain() error {
	delay := time.Duration(rand.Int64N(int64(p.drainSpread) + 1)) //nolint:gosec // spreads load; nothing to guess
	err := p.send(&deskbridgev1.SubscribeResponse{
		Cursor: p.cursor().String(),
		Kind: &deskbridgev1.SubscribeResponse_Draining{
			Draining: &deskbridgev1.Draining{ReconnectDelay: durationpb.New(delay)},
		},
	})
	if err != nil {
		return err
	}
	return newError(deskbridgev1.ErrorReason_ERROR_REASON_DRAINING, "the bridge is shutting down").withResume(p.cursor())
}

func (p *pump) send(message any) error {
	p.sendStarted.Store(time.Now().UnixNano())
	err := p.stream.SendMsg(message)
	p.sendStarted.Store(0)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

func (p *pump) stuckFor(now time.Time) time.Duration {
	started := p.sendStarted.Load()
	if started == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, started))
}

func (p *pump) cursor() journal.Cursor {
	return journal.Cursor{Epoch: p.epoch, Position: p.position}
}
