package rpc

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/fields"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// pump moves items from a subscription to its stream. One goroutine runs it; another one may wait for stuck.
type pump struct {
	service      *SessionEvents
	stream       grpc.ServerStream
	subscription *fanout.Subscription
	request      *deskbridgev1.SubscribeRequest
	visitor      visitor
	mask         *fields.Mask // nil: whole events
	epoch        string
	opened       *deskbridgev1.SubscribeResponse // until it is sent
	openTime     time.Time
	id           uint64 // among the readers

	position uint64        // of the cursor of the last response, sent or under way
	sent     atomic.Uint64 // of the last one that was sent
	sending  atomic.Bool   // a response is under way
	live     atomic.Bool   // it has caught up
	events   atomic.Uint64 // handed to the transport, as
	bytes    atomic.Uint64 // are these
	guard    *time.Timer   // runs while a Send is under way, and then calls cut
	stuck    chan struct{} // gets a value when a Send is stuck
}

func newPump(
	s *SessionEvents, stream grpc.ServerStream, subscription *fanout.Subscription, from origin, mask *fields.Mask,
	req *deskbridgev1.SubscribeRequest,
) *pump {
	p := &pump{
		service: s, stream: stream, subscription: subscription, request: req, visitor: visitorOf(stream.Context()),
		mask: mask, epoch: from.bounds.Epoch, opened: from.opened(), openTime: time.Now(),
		position: from.after, stuck: make(chan struct{}, 1),
	}
	p.sent.Store(from.after)
	return p
}

// run returns the error that the stream ends with.
func (p *pump) run(ctx context.Context) error {
	defer p.subscription.Close()
	p.guard = time.AfterFunc(p.service.config.SendTimeout, p.cut)
	defer p.guard.Stop()
	if err := p.send(p.opened); err != nil {
		return err
	}
	p.opened = nil
	for {
		d, err := p.next(ctx)
		if err != nil {
			return p.end(ctx, err)
		}
		p.position = d.position
		began := time.Now()
		if err := p.send(d.response); err != nil {
			return err
		}
		p.note(&d)
		p.trace(d.traced, began)
		if d.kind == fanout.CaughtUp && p.request.GetStopWhenCaughtUp() {
			return nil
		}
	}
}

// delivery is an item on its way to the reader. It holds no event: as long as a Send is stuck, each would keep what lay
// beside it in the hub's window.
type delivery struct {
	kind          fanout.Kind
	position      uint64
	response      any
	events, bytes int
	traced        []tracedEvent
}

// next waits for the next item.
func (p *pump) next(ctx context.Context) (delivery, error) {
	item, err := p.subscription.Next(ctx)
	if err != nil {
		return delivery{}, err
	}
	d := delivery{kind: item.Kind, position: item.Position, events: len(item.Events)}
	if item.Kind != fanout.Events {
		d.response = p.signal(&item)
		return d, nil
	}
	frame, err := p.frame(&item)
	if err != nil {
		return delivery{}, err
	}
	d.response, d.bytes, d.traced = frame, frame.size, p.traced(&item)
	return d, nil
}

// note keeps what others see of the stream after a response was sent.
func (p *pump) note(d *delivery) {
	switch d.kind {
	case fanout.Events:
		p.events.Add(uint64(d.events))
		p.bytes.Add(uint64(d.bytes))
	case fanout.CaughtUp:
		p.live.Store(true)
	case fanout.FellBehind:
		p.live.Store(false)
	default:
	}
}

func (p *pump) cut() {
	select {
	case p.stuck <- struct{}{}:
	default:
	}
}

// send returns the stream's own error: a status.
func (p *pump) send(response any) error {
	p.guard.Reset(p.service.config.SendTimeout)
	p.sending.Store(true)
	err := p.stream.SendMsg(response)
	p.sending.Store(false)
	p.guard.Stop()
	if err != nil {
		return err
	}
	p.sent.Store(p.position)
	return nil
}

// signal is the response for an item without events.
func (p *pump) signal(item *fanout.Item) *deskbridgev1.SubscribeResponse {
	response := &deskbridgev1.SubscribeResponse{Cursor: p.at(item.Position).String()}
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

// frame is the response for an item of events.
func (p *pump) frame(item *fanout.Item) (*frame, error) {
	cursor := p.at(item.Position).String()
	if p.mask == nil {
		return newEventsFrame(cursor, fanout.Segments(item.Events)), nil
	}
	entries, err := p.service.masked.entries(item, p.mask)
	if err != nil {
		return nil, err
	}
	return newEventsFrame(cursor, entries), nil
}

// end turns the end of a subscription into the end of its stream, which always says where the reader stands.
func (p *pump) end(ctx context.Context, err error) error {
	var damage *journal.DamageError
	why := cmp.Or(drainText(context.Cause(ctx)), drainText(err))
	switch {
	case why != "":
		return p.announceDrain(why)
	case errors.Is(err, journal.ErrTrimmed):
		return p.trimmed(ctx)
	case errors.As(err, &damage):
		return p.damaged(damage)
	}
	err = classify(err)
	var known *callError
	if errors.As(err, &known) {
		return known.withResume(p.cursor())
	}
	return err
}

// orEnded returns why access control has ended the stream, which interrupts whatever it does, or else err.
func (p *pump) orEnded(err error) error {
	cause := access.Ended(p.stream.Context())
	if cause == nil || err == nil {
		return err
	}
	var known *callError
	if errors.As(classify(cause), &known) {
		return known.withResume(p.at(p.sent.Load()))
	}
	return err
}

// trimmed is the end of a reader whose events were trimmed before it came to them.
func (p *pump) trimmed(ctx context.Context) error {
	const text = "events behind position %d were trimmed before the reader came to them"
	bounds, err := p.service.config.Journal.Bounds(ctx)
	if err != nil { // where to go on instead can't be told now: the next try learns of it
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, text, p.position).withResume(p.cursor())
	}
	return cursorError(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, bounds, text, p.position)
}

// damaged is the end of a reader that has come to events that can't be read. Its resume cursor lies before them. To
// pass over them is for the reader to decide, who is told how.
func (p *pump) damaged(damage *journal.DamageError) error {
	p.service.config.Logger.Error("a stream met events that can't be read",
		"first", damage.First, "last", damage.Last, "subscription", p.request.GetName(), "principal", p.visitor.principal)
	return newError(deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_DAMAGED,
		"the journal is damaged: positions %d to %d can't be read; a stream after %s goes on behind them",
		damage.First, damage.Last, p.at(damage.Last)).withResume(p.cursor())
}

// announceDrain sends the last response. The status behind it is not OK: a reader that stops at a clean end would
// take it for the end of the events.
func (p *pump) announceDrain(why string) error {
	spread := int64(p.service.config.DrainSpread)
	delay := time.Duration(rand.Int64N(spread + 1)) //nolint:gosec // spreads load; nothing to guess
	err := p.send(&deskbridgev1.SubscribeResponse{
		Cursor: p.cursor().String(),
		Kind: &deskbridgev1.SubscribeResponse_Draining{
			Draining: &deskbridgev1.Draining{ReconnectDelay: durationpb.New(delay)},
		},
	})
	if err != nil {
		return err
	}
	return newError(deskbridgev1.ErrorReason_ERROR_REASON_DRAINING, "%s", why).withResume(p.cursor())
}

// slowReader is the end of a stream whose Send is stuck. It may be called while run runs.
func (p *pump) slowReader() error {
	return newError(deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER,
		"the reader made no room for the next response in %v", p.service.config.SendTimeout,
	).withResume(p.at(p.sent.Load()))
}

func (p *pump) cursor() journal.Cursor { return p.at(p.position) }

func (p *pump) at(position uint64) journal.Cursor {
	return journal.Cursor{Epoch: p.epoch, Position: position}
}
