package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

const (
	// warmEvents is how far before the head the tail begins: the readers that come back after a restart then find
	// what they missed in the window, and don't all read the journal at once.
	warmEvents = 10_000

	minBackoff    = 50 * time.Millisecond
	maxBackoff    = 2 * time.Second
	boundsTimeout = 5 * time.Second
)

// tail reads the journal for the hub.
type tail struct {
	hub     *Hub
	epoch   string
	after   uint64
	started bool
	arenas  arenas
}

// Run reads the journal until ctx ends, which gives nil, or until the journal is closed or turns out to be another one.
// When the journal can't be read it tries again. After Run every Next returns ErrStopped. Call it once.
func (h *Hub) Run(ctx context.Context) error {
	defer h.stop()
	t := &tail{hub: h}
	backoff := minBackoff
	for {
		progress, err := t.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, journal.ErrClosed), errors.Is(err, errOtherEpoch):
			return fmt.Errorf("fan-out: %w", err)
		}
		if progress {
			backoff = minBackoff
		}
		h.lose(err)
		if !sleep(ctx, backoff) {
			return nil
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func (h *Hub) lose(err error) {
	if !h.unreachable.Swap(true) {
		h.config.Logger.Error("the fan-out can't read the journal; trying again", "error", err)
	}
}

func (h *Hub) regain() {
	if h.unreachable.Swap(false) {
		h.config.Logger.Info("the fan-out reads the journal again")
	}
}

// errOtherEpoch: positions of this journal mean something else than those handed out.
var errOtherEpoch = errors.New("the journal was replaced by another one")

// follow reads until an error, and reports whether it got anywhere.
func (t *tail) follow(ctx context.Context) (progress bool, err error) {
	if err = t.locate(ctx); err != nil {
		return false, err
	}
	reader := t.hub.config.Journal.NewReader(t.after)
	defer func() { err = errors.Join(err, reader.Close()) }()
	t.hub.regain()
	for {
		records, err := reader.Next(ctx)
		if err != nil {
			return progress, t.pass(ctx, err)
		}
		t.hub.regain()
		progress = true
		t.take(records)
	}
}

// locate finds where to begin, and afterwards makes sure that the journal is still the same.
func (t *tail) locate(ctx context.Context) error {
	bounds, err := t.bounds(ctx)
	if err != nil || t.started {
		return err
	}
	t.started, t.epoch, t.after = true, bounds.Epoch, bounds.Latest
	if bounds.Count > 0 {
		t.after = max(bounds.Earliest-1, bounds.Latest-min(bounds.Latest, warmEvents))
	}
	t.hub.restart(t.after)
	return nil
}

func (t *tail) bounds(ctx context.Context) (journal.Bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, boundsTimeout)
	defer cancel()
	bounds, err := t.hub.config.Journal.Bounds(ctx)
	if err == nil && t.started && bounds.Epoch != t.epoch {
		err = fmt.Errorf("%w: epoch %s, was %s", errOtherEpoch, bounds.Epoch, t.epoch)
	}
	return bounds, err
}

// pass deals with records that are gone or damaged: the tail goes on at the head, and the subscriptions that still
// need those records learn of it when they read the journal themselves.
func (t *tail) pass(ctx context.Context, cause error) error {
	if !errors.Is(cause, journal.ErrTrimmed) && !errors.Is(cause, journal.ErrDamaged) {
		return cause
	}
	bounds, err := t.bounds(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	t.jump(max(t.after, bounds.Latest))
	return cause
}

func (t *tail) jump(position uint64) {
	t.after = position
	t.hub.restart(position)
}

// take publishes records.
func (t *tail) take(records []journal.Record) {
	events, err := t.arenas.encodeViews(records)
	t.hub.publish(events)
	t.after = records[len(records)-1].Position
	if err == nil {
		return
	}
	// Nobody can tell who wants an event that can't be decoded: let everyone come across it in the journal.
	t.hub.config.Logger.Error("the journal holds an event that can't be decoded", "error", err)
	t.jump(t.after)
}

// publish adds events to the window and wakes those who want them.
func (h *Hub) publish(events []*Event) {
	h.mu.Lock()
	h.publishLocked(events)
	h.mu.Unlock()
	for _, s := range h.wakes { // Without the lock, which they are going to ask for.
		s.wake()
	}
	clear(h.wakes)
	clear(h.matches[:cap(h.matches)]) // of all events, not of the last one alone
}

func (h *Hub) publishLocked(events []*Event) {
	h.wakes = h.wakes[:0]
	for _, e := range events {
		before := h.window.head
		sequence := h.window.add(e)
		h.matches = h.index.AppendMatches(h.matches[:0], e.view)
		for _, s := range h.matches {
			if s.offerLocked(sequence, before) {
				h.wakes = append(h.wakes, s)
			}
		}
	}
	h.wakes = append(h.wakes, h.watchers...)
}

// restart moves the window to a position. All subscriptions leave it; those that are at the position or behind it come
// right back, and the others go on from the journal.
func (h *Hub) restart(position uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subscriptions {
		s.offerLocked(h.window.next(), h.window.head) // An event that the window will not have.
	}
	h.window.reset(position)
	h.ready = true
	for s := range h.subscriptions {
		s.wake()
	}
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
