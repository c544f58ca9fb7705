package rpc

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"time"

	"google.golang.org/grpc"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/filter"
)

// Bounds of SubscribeRequest.heartbeat_interval.
const (
	defaultHeartbeat = 10 * time.Second
	minHeartbeat     = time.Second
	maxHeartbeat     = time.Minute
)

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// errAged is the cause of a stream's end at its greatest age.
var errAged = errors.New("the stream has reached its greatest age")

// Subscribe implements SessionEventServiceServer.
func (s *SessionEvents) Subscribe(
	req *deskbridgev1.SubscribeRequest, stream grpc.ServerStreamingServer[deskbridgev1.SubscribeResponse],
) error {
	if err := s.streams.enter(); err != nil {
		return s.refuse(err)
	}
	p, err := s.openAside(stream.Context(), req, stream)
	if err != nil {
		s.streams.leave()
		return s.refuse(err)
	}
	err = s.supervise(p)
	s.metrics.ended.WithLabelValues(reasonOf(err)).Inc()
	return err
}

func (s *SessionEvents) refuse(err error) error {
	err = classify(err)
	s.metrics.refused.WithLabelValues(reasonOf(err)).Inc()
	return err
}

// openAside opens on a goroutine that ends with it. To open takes a deep stack, which does not shrink again: on the
// stream's own goroutine, which lasts for days, it would cost 5 KiB a stream, a fifth of all that an idle one does.
// When thousands come back at once they take turns: the stacks of all would lie between those that stay, and the
// runtime could not give back the memory.
func (s *SessionEvents) openAside(
	ctx context.Context, req *deskbridgev1.SubscribeRequest, stream grpc.ServerStream,
) (p *pump, err error) {
	if err := s.opening.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.opening.Release(1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p, err = s.open(ctx, req, stream)
	}()
	<-done
	return p, err
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
	caller := access.PrincipalOf(ctx)
	mask, err := compileReadMask(req.GetReadMask(), caller)
	if err != nil {
		return nil, err
	}
	compiled, err := filter.CompileWithin(req.GetFilter(), caller.Scope())
	if err != nil {
		return nil, err
	}
	from, err := s.resolveStart(ctx, req)
	if err != nil {
		return nil, err
	}
	subscription, err := s.config.Hub.Subscribe(fanout.Options{
		Filter: compiled, Owner: caller.Name, After: from.after, Target: from.bounds.Latest, Heartbeat: heartbeat,
	})
	if err != nil {
		return nil, err
	}
	return newPump(s, stream, subscription, from, mask, req), nil
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

// supervise runs the pump, and ends the stream when a Send is stuck, or takes too long once the stream is to end.
//
// Nothing but the end of the stream interrupts a Send, and only this goroutine can end it with a status that says why:
// by returning. So the pump has a goroutine of its own. It ends soon after this one, as grpc-go then ends the Send that
// is under way, and only then has the stream left: Drain waits for it.
func (s *SessionEvents) supervise(p *pump) error {
	ctx, cancel := context.WithCancelCause(p.stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.streams.closing, func() { cancel(fanout.ErrStopped) })()
	if s.config.MaxStreamAge > 0 {
		defer time.AfterFunc(jitter(s.config.MaxStreamAge), func() { cancel(errAged) }).Stop()
	}
	done := make(chan error, 1)
	s.readers.add(p)
	go func() {
		err := p.run(ctx)
		s.readers.remove(p)
		s.streams.leave() // before the reader hears of the end: who opens the next stream then has room for it
		done <- err
	}()
	select {
	case err := <-done:
		return p.orEnded(err)
	case <-p.stuck:
		return p.slowReader()
	case <-ctx.Done():
		return p.part(ctx, done)
	}
}

// part waits for the pump of a stream that is to end. What ends it interrupts a Send as well, but for the bridge's own
// wish to drain: then a reader that does not take what is under way is cut.
func (p *pump) part(ctx context.Context, done <-chan error) error {
	why := drainText(context.Cause(ctx))
	if why == "" {
		return p.orEnded(<-done)
	}
	timer := time.NewTimer(p.service.config.PartTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return p.orEnded(err)
	case <-timer.C:
		p.service.config.Logger.Warn("a stream was cut: its reader did not take what was under way in time",
			"why", why, "subscription", p.request.GetName(), "principal", p.visitor.principal, "remote", p.visitor.address)
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_DRAINING, "%s", why).withResume(p.at(p.sent.Load()))
	}
}

// drainText says why a stream is told to drain; it is empty when that is not why its context has ended.
func drainText(cause error) string {
	switch {
	case errors.Is(cause, errAged):
		return "the stream has reached its greatest age"
	case errors.Is(cause, fanout.ErrStopped):
		return "the bridge is shutting down"
	default:
		return ""
	}
}

// jitter is d give or take a tenth, so that streams that were opened together don't end together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(rand.Int64N(int64(d/5)+1)) //nolint:gosec // nothing to guess
}
