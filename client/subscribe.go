package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// SubscribeOption adds to a subscription what is not part of the request.
type SubscribeOption func(*subscription)

// WithCursorStore resumes the subscription where the store says, and keeps it up to date. A cursor in the store goes
// before the request's start.
func WithCursorStore(store CursorStore) SubscribeOption {
	return func(s *subscription) { s.store = store }
}

// WithHooks tells hooks what happens around the events.
func WithHooks(hooks Hooks) SubscribeOption {
	return func(s *subscription) { s.hooks = hooks }
}

// Subscribe returns the events that the request asks for: each once and in order, across cuts of the connection and
// restarts of the bridge. Call it with a context without a deadline, unless the deadline is to end the subscription.
//
// An event counts as consumed when the loop comes back for the next one. When the loop is left by break, by return or
// by a panic, the event it was left with is the first that the same CursorStore delivers again.
//
// The sequence ends
//   - without an error after the last event that there is, when the request has stop_when_caught_up;
//   - with an error of type *Error where only the application can tell how to go on: a cursor that is expired,
//     malformed, of another epoch or in the future, an invalid request or filter, missing permission, a damaged
//     journal, something that is not served;
//   - with the context's error when ctx ends, with ErrClosed when the client is closed, and with the CursorStore's.
//
// An error comes once, as the last item, with a nil event. Everything else (connections refused or cut, a bridge that
// restarts or drains, a stream silent for three heartbeat intervals, a reader that was too slow) is mended within: the
// client reconnects behind the last event consumed, with growing, jittered delays of at most ten seconds. Hooks tell.
//
// The request is copied. Each range over the sequence is a subscription of its own. An event belongs to the caller.
func (c *Client) Subscribe(
	ctx context.Context, request *deskbridgev1.SubscribeRequest, options ...SubscribeOption,
) iter.Seq2[*deskbridgev1.SessionEvent, error] {
	request = proto.CloneOf(request)
	if request == nil {
		request = &deskbridgev1.SubscribeRequest{}
	}
	return func(yield func(*deskbridgev1.SessionEvent, error) bool) {
		s := &subscription{client: c, request: request, yield: yield}
		for _, option := range options {
			option(s)
		}
		if err := s.run(ctx); err != nil && !s.abandoned {
			yield(nil, err)
		}
	}
}

const (
	// saveInterval is how often a cursor is saved behind events: the store may sync a disk each time, and a busy stream
	// has thousands of batches a second.
	saveInterval = time.Second
	// finalSaveTimeout bounds the save after the loop, whose context may have ended.
	finalSaveTimeout = 5 * time.Second
)

// errFinished ends a subscription that has nothing more to yield.
var errFinished = errors.New("finished")

// subscription is the state that outlives a stream. One goroutine uses it: the one that ranges.
type subscription struct {
	client  *Client
	request *deskbridgev1.SubscribeRequest
	yield   func(*deskbridgev1.SessionEvent, error) bool
	store   CursorStore
	hooks   Hooks
	backoff backoffDelay

	epoch string
	// cursor is where to resume: behind all that has been consumed.
	cursor string
	// position is that of cursor, and within a batch that of the last event consumed. Events up to it are repeats.
	position uint64

	savedCursor string
	savedAt     time.Time

	// abandoned: the loop was left, and yield must not be called again.
	abandoned bool
}

// run returns nil when the sequence ends without an error. It saves the cursor also when the loop body panics.
func (s *subscription) run(ctx context.Context) (end error) {
	if err := s.load(ctx); err != nil {
		return err
	}
	defer func() { end = s.saveFinal(ctx, end) }()
	if err := s.followUntilFinal(ctx); !errors.Is(err, errFinished) {
		return err
	}
	return nil
}

// followUntilFinal follows one stream after the other.
func (s *subscription) followUntilFinal(ctx context.Context) error {
	for {
		wait, cause := s.follow(ctx)
		if final := s.finalError(ctx, cause); final != nil {
			return final
		}
		if wait == 0 {
			wait = s.backoff.next()
		}
		if s.hooks.Reconnecting != nil {
			s.hooks.Reconnecting(cause, wait)
		}
		if err := s.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// finalError returns the error to end with, or nil when the cause can be mended by reconnecting.
func (s *subscription) finalError(ctx context.Context, cause error) error {
	if errors.Is(cause, errFinished) {
		return cause
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.client.isClosed() {
		return ErrClosed
	}
	if _, ok := errors.AsType[storeError](cause); ok {
		return cause
	}
	if e, ok := errors.AsType[*Error](cause); ok && !isTemporary(e) {
		return cause
	}
	return nil
}

func (s *subscription) wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.client.closed:
		return ErrClosed
	}
}

// nextRequest is the request to open the next stream with.
func (s *subscription) nextRequest() *deskbridgev1.SubscribeRequest {
	if s.cursor == "" {
		return s.request
	}
	request := proto.CloneOf(s.request)
	request.Start = &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: s.cursor}
	return request
}

// storeError marks an error of the CursorStore, to tell it from those of a stream.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func (s *subscription) load(ctx context.Context) error {
	if s.store == nil {
		return nil
	}
	cursor, err := s.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("cursor store: %w", err)
	}
	s.advance(cursor)
	s.savedCursor = cursor
	return nil
}

func (s *subscription) save(ctx context.Context) error {
	if s.store == nil || s.cursor == s.savedCursor {
		return nil
	}
	if err := s.store.Save(ctx, s.cursor); err != nil {
		return storeError{fmt.Errorf("cursor store: %w", err)}
	}
	s.savedCursor, s.savedAt = s.cursor, time.Now()
	return nil
}

// saveFinal saves behind what was consumed of the last batch. A store that has failed is left alone.
func (s *subscription) saveFinal(ctx context.Context, end error) error {
	if _, ok := errors.AsType[storeError](end); ok {
		return end
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalSaveTimeout)
	defer cancel()
	if err := s.save(ctx); err != nil {
		return errors.Join(end, err)
	}
	return end
}
