package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

const (
	// turn is how long a subscription may read the journal while others wait to.
	turn = 2 * time.Second
	// stall is how long a subscription keeps its journal reader without asking for the next item. Readers are few, and
	// one that waits for a stuck connection would be missing elsewhere.
	stall = time.Second
	// minRead is the least time a read gets, even when a heartbeat is due earlier: opening a reader takes some.
	minRead = 200 * time.Millisecond
)

// replay is a subscription's reading of the journal.
type replay struct {
	subscription *Subscription
	view         filter.Event // Scratch space.
	backoff      time.Duration
	stalled      *time.Timer

	// mu is held while Next works on the replay; otherwise it may be parked.
	mu      sync.Mutex
	reader  Reader // Nil without a turn.
	since   time.Time
	records []journal.Record // Read and not looked at yet.
}

// stepJournal goes on by one step where the cursor lies before the window.
func (s *Subscription) stepJournal(ctx context.Context) Item {
	switch {
	case s.caughtUp:
		return s.fallBehind()
	case s.due():
		return s.item(Heartbeat)
	}
	if s.replay == nil {
		s.replay = &replay{subscription: s, backoff: minBackoff}
		s.replay.stalled = time.AfterFunc(stall, s.replay.park)
	}
	if events := s.replay.step(ctx); len(events) > 0 {
		return s.events(events)
	}
	return Item{}
}

func (s *Subscription) fallBehind() Item {
	s.hub.fallBehinds.Add(1)
	s.caughtUp = false
	item := s.item(FellBehind)
	s.target = item.Head
	return item
}

// endReplay gives back what the replay holds.
func (s *Subscription) endReplay() {
	if s.replay == nil {
		return
	}
	s.replay.stalled.Stop()
	s.replay.mu.Lock()
	defer s.replay.mu.Unlock()
	s.replay.releaseLocked()
	s.replay, s.unreachable = nil, false
}

// park takes the reader away from a subscription that doesn't come back for more. It reads again from its cursor.
func (r *replay) park() {
	if r.mu.TryLock() {
		defer r.mu.Unlock()
		r.releaseLocked()
	}
}

func (r *replay) releaseLocked() {
	if r.reader == nil {
		return
	}
	if err := r.reader.Close(); err != nil {
		r.subscription.hub.config.Logger.Warn("closing a journal reader", "error", err)
	}
	r.reader, r.records = nil, nil
	r.subscription.hub.slots.release()
}

// step reads if need be, and returns an item's worth of matching events; none says little.
func (r *replay) step(ctx context.Context) []*Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalled.Stop()
	defer r.stalled.Reset(stall)
	if len(r.records) == 0 && !r.readLocked(ctx) {
		return nil
	}
	return r.takeLocked()
}

// readLocked reports whether there are records.
func (r *replay) readLocked(ctx context.Context) bool {
	s := r.subscription
	if r.reader != nil && time.Since(r.since) > turn && s.hub.slots.waiters() > 0 {
		r.releaseLocked()
	}
	if r.reader == nil && !r.openLocked(ctx) {
		return false
	}
	bounded, cancel := s.boundRead(ctx)
	defer cancel()
	var err error
	r.records, err = r.reader.Next(bounded)
	switch {
	case err == nil:
		s.unreachable, r.backoff = false, minBackoff
	case errors.Is(err, journal.ErrTrimmed), errors.Is(err, journal.ErrDamaged):
		s.err = err
	case errors.Is(err, journal.ErrClosed):
		s.err = fmt.Errorf("%w: %w", ErrStopped, err)
	case bounded.Err() == nil:
		r.loseLocked(ctx)
	}
	return err == nil
}

func (r *replay) openLocked(ctx context.Context) bool {
	s := r.subscription
	if !s.takeTurn(ctx) {
		return false
	}
	r.reader, r.since = s.hub.config.Journal.NewReader(s.cursor), time.Now()
	return true
}

// loseLocked waits before the next try to read, which the reader takes up where it stopped.
func (r *replay) loseLocked(ctx context.Context) {
	r.subscription.unreachable = true
	r.subscription.wait(ctx, nil, r.backoff)
	r.backoff = min(2*r.backoff, maxBackoff)
}

// boundRead ends a read when the next heartbeat is due or the hub stops.
func (s *Subscription) boundRead(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, max(s.heartbeat-s.silence(), minRead))
	stop := context.AfterFunc(s.hub.stopped, cancel)
	return ctx, func() { stop(); cancel() }
}

// takeTurn waits for a turn at reading the journal, and reports whether it came.
func (s *Subscription) takeTurn(ctx context.Context) bool {
	slots := s.hub.slots
	select {
	case slots.taken <- struct{}{}:
		return true
	default:
	}
	slots.waiting.Add(1)
	defer slots.waiting.Add(-1)
	timer := time.NewTimer(s.heartbeat - s.silence())
	defer timer.Stop()
	select {
	case slots.taken <- struct{}{}: // In the order of asking.
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-s.hub.stopped.Done():
	}
	return false
}

// takeLocked looks at the records until they end, an item is full or the time is up.
func (r *replay) takeLocked() []*Event {
	s := r.subscription
	if s.filter.MatchesAll() {
		n, size := itemPrefix(r.records)
		events := encode(make([]byte, 0, size), r.records[:n])
		s.cursor, r.records = r.records[n-1].Position, r.records[n:]
		return events
	}
	kept, size, began := r.records[:0], 0, time.Now()
	for len(r.records) > 0 && time.Since(began) < matchTime {
		record := &r.records[0]
		matches, err := r.match(record)
		if err != nil {
			s.fail(record.Position, err)
			break
		}
		if matches {
			more := wireSize(record)
			if len(kept) == maxItemEvents || len(kept) > 0 && size+more > maxItemBytes {
				break
			}
			kept, size = append(kept, *record), size+more
		}
		s.cursor, r.records = record.Position, r.records[1:]
	}
	return encode(make([]byte, 0, size), kept)
}

func (r *replay) match(record *journal.Record) (bool, error) {
	if err := r.view.Read(record.Position, record.Data); err != nil {
		return false, err
	}
	return r.subscription.filter.Match(&r.view)
}
