package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// Options of a subscription.
type Options struct {
	// Filter selects the events. Required.
	Filter *filter.Filter
	// Owner of the subscription: what the filters of one take has a bound. Empty for none.
	Owner string
	// After is the position behind which delivery begins.
	After uint64
	// Target is the position that must be reached before CaughtUp: the journal's head as the caller knows it. The tail
	// reads a stored event some time after it was stored, and being caught up with the tail alone could miss it.
	Target uint64
	// Heartbeat is the longest time without an item. 10 s when 0.
	Heartbeat time.Duration
}

// Subscription is one reader's place in the stream. Next and Close are for one goroutine.
type Subscription struct {
	hub       *Hub
	filter    *filter.Filter
	owner     string
	heartbeat time.Duration
	awake     chan struct{}
	timer     *time.Timer
	last      time.Time // When Next returned an item.
	err       error     // Why the subscription has ended.

	cursor      uint64 // Everything up to here was delivered or doesn't match.
	head        uint64 // As last seen.
	target      uint64 // CaughtUp is due when this is reached.
	caughtUp    bool
	replay      *replay // While the source is the journal.
	unreachable bool    // The replay can't read the journal.

	// The tail writes what follows with hub.mu held for writing, Next with it held for reading: the lock keeps the two
	// apart, and there is no third writer.

	source   source
	sequence uint64   // Of the next event to look at in the window.
	pending  []uint64 // Sequence numbers of events in the window whose fields match.
	before   uint64   // The position before the first pending event.
	watch    int      // Place in hub.watchers, or -1.
}

// source is where a subscription gets its events from.
type source int

const (
	// journalSource: the cursor lies before the window, or there is no window yet.
	journalSource source = iota
	// windowSource: the next event is the one with number sequence, if its fields match.
	windowSource
	// pendingSource: the next events are the pending ones. All others up to the head don't match.
	pendingSource
)

// maxPending bounds the events the tail notes for one subscription. One with more to come looks through the window.
const maxPending = 256

// Subscribe adds a subscription. Close it in the end. The error is ErrStopped, or wraps ErrFull.
func (h *Hub) Subscribe(o Options) (*Subscription, error) {
	s := &Subscription{
		hub: h, filter: o.Filter, owner: o.Owner, heartbeat: o.Heartbeat, awake: make(chan struct{}, 1), last: time.Now(),
		cursor: o.After, target: o.Target, watch: -1,
	}
	if s.heartbeat <= 0 {
		s.heartbeat = 10 * time.Second
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped.Err() != nil {
		return nil, ErrStopped
	}
	if err := h.filters.takeLocked(s.owner, s.filter.Size()); err != nil {
		return nil, err
	}
	h.addLocked(s)
	return s, nil
}

func (h *Hub) addLocked(s *Subscription) {
	h.subscriptions[s] = struct{}{}
	if s.filter.HasFields() {
		h.index.Add(s.filter, s)
	}
	s.watch = len(h.watchers)
	h.watchers = append(h.watchers, s)
}

// Close removes the subscription. Closing twice is fine.
func (s *Subscription) Close() {
	s.endReplay()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.err = ErrStopped
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, open := h.subscriptions[s]; open {
		h.removeLocked(s)
	}
}

func (h *Hub) removeLocked(s *Subscription) {
	delete(h.subscriptions, s)
	h.filters.giveLocked(s.owner, s.filter.Size())
	if s.filter.HasFields() {
		h.index.Remove(s.filter, s)
	}
	h.unwatchLocked(s)
}

func (h *Hub) unwatchLocked(s *Subscription) {
	if s.watch < 0 {
		return
	}
	last := len(h.watchers) - 1
	moved := h.watchers[last]
	h.watchers[s.watch], moved.watch = moved, s.watch
	h.watchers[last] = nil
	h.watchers, s.watch = h.watchers[:last], -1
}

// wake makes a waiting Next look again.
func (s *Subscription) wake() {
	select {
	case s.awake <- struct{}{}:
	default:
	}
}

// offerLocked notes an event whose fields match, where before is the position of the event before it. It reports
// whether Next may be waiting for it.
func (s *Subscription) offerLocked(sequence, before uint64) bool {
	switch {
	case s.source != pendingSource:
		return false // It will come across the event by itself.
	case len(s.pending) == maxPending:
		s.source, s.sequence, s.pending = windowSource, s.pending[0], s.pending[:0]
		return false
	case len(s.pending) == 0:
		s.before = before
	}
	s.pending = append(s.pending, sequence)
	return len(s.pending) == 1
}

// Next waits for the next item. It returns the context's error when that ends, and ErrStopped when the hub does. The
// subscription itself ends with an error wrapping journal.ErrTrimmed or journal.ErrDamaged when events that it may want
// can't be read, and with a *filter.Error when the filter's expression fails on one.
func (s *Subscription) Next(ctx context.Context) (Item, error) {
	for {
		if err := s.ended(ctx); err != nil {
			return Item{}, err
		}
		if item := s.step(ctx); item.Kind != 0 {
			s.last = time.Now()
			return item, nil
		}
	}
}

func (s *Subscription) ended(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.hub.stopped.Err() != nil:
		return ErrStopped
	}
	return s.err
}

// step goes on by one step, which may end with an item or without one.
func (s *Subscription) step(ctx context.Context) Item {
	found := s.look()
	s.head = found.head
	if found.source != journalSource {
		s.endReplay()
	}
	if found.ready && found.source == journalSource {
		return s.stepJournal(ctx)
	}
	events := s.pass(&found)
	switch {
	case len(events) > 0:
		return s.events(events)
	case s.err != nil:
	case found.end && !s.caughtUp && max(s.head, s.cursor) >= s.target:
		return s.catchUp()
	case s.due():
		return s.item(Heartbeat)
	case found.end || !found.ready:
		s.wait(ctx, s.awake, s.heartbeat)
	}
	return Item{}
}

// Idle reports whether Next has been through everything up to the hub's head; it may still be about to return the last
// of it. Any goroutine may ask.
func (s *Subscription) Idle() bool {
	s.hub.mu.Lock() // not for reading: Next writes under that
	defer s.hub.mu.Unlock()
	switch s.source {
	case windowSource:
		return s.sequence == s.hub.window.next()
	case pendingSource:
		return len(s.pending) == 0
	default:
		return false
	}
}

func (s *Subscription) due() bool { return s.silence() >= s.heartbeat }

func (s *Subscription) silence() time.Duration { return time.Since(s.last) }

func (s *Subscription) item(kind Kind) Item {
	return Item{
		Kind:        kind,
		Position:    s.cursor,
		Head:        max(s.head, s.cursor),
		Unreachable: s.unreachable || s.hub.unreachable.Load(),
	}
}

func (s *Subscription) events(events []*Event) Item {
	item := s.item(Events)
	item.Events = events
	return item
}

// matchTime bounds how long expressions are evaluated without a look at heartbeats and at the context: a costly one
// takes milliseconds for each event.
const matchTime = 50 * time.Millisecond

// pass moves the cursor behind what was found and returns the events that pass the expression. When it fails on one,
// that event is the first behind the cursor, and the subscription has ended. When the time is up, more is to come.
func (s *Subscription) pass(f *found) []*Event {
	if !s.filter.HasExpression() {
		s.cursor = f.through
		return f.events
	}
	began, passed := time.Now(), f.events[:0]
	for _, e := range f.events {
		if time.Since(began) > matchTime {
			s.lookAgain()
			f.end = false
			return passed
		}
		ok, err := s.filter.MatchExpression(e.view)
		if err != nil {
			s.fail(e.Position, err)
			return passed
		}
		if ok {
			passed = append(passed, e)
		}
		s.cursor = e.Position
	}
	s.cursor = f.through
	return passed
}

// lookAgain makes the next look begin behind the cursor.
func (s *Subscription) lookAgain() {
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	s.source, s.pending = journalSource, s.pending[:0]
}

// fail ends the subscription because of an event that can't be matched.
func (s *Subscription) fail(position uint64, err error) {
	if errors.Is(err, filter.ErrMalformed) {
		err = fmt.Errorf("%w: %w", &journal.DamageError{First: position, Last: position}, err)
	}
	s.err = err
}

func (s *Subscription) catchUp() Item {
	s.caughtUp = true
	if s.filter.HasFields() { // From here on the tail says when there is something to look at.
		s.hub.mu.Lock()
		s.hub.unwatchLocked(s)
		s.hub.mu.Unlock()
	}
	return s.item(CaughtUp)
}

// wait returns when woken, when d has passed, when a heartbeat is due, or when the subscription must end.
func (s *Subscription) wait(ctx context.Context, awake <-chan struct{}, d time.Duration) {
	d = min(d, s.heartbeat-s.silence())
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	select {
	case <-awake:
	case <-s.timer.C:
	case <-ctx.Done():
	case <-s.hub.stopped.Done():
	}
}
