package fanout

import "slices"

// found is what a subscription sees in the window.
type found struct {
	ready   bool
	source  source
	events  []*Event // Their fields match. At most an item's worth.
	through uint64   // The cursor behind them.
	end     bool     // There is nothing more for now.
	head    uint64
}

// maxLook bounds how many events are looked at while the tail has to wait.
const maxLook = 512

// look takes what comes next from the window.
func (s *Subscription) look() found {
	h := s.hub
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.ready {
		return found{through: s.cursor}
	}
	s.relocate(&h.window)
	f := found{ready: true, source: s.source, through: s.cursor, head: h.window.head}
	switch s.source {
	case windowSource:
		s.lookThrough(&h.window, &f)
	case pendingSource:
		s.takePending(&h.window, &f)
	case journalSource:
	}
	return f
}

// relocate leaves the window when the next event is no longer there, and enters it when the cursor is.
func (s *Subscription) relocate(w *window) {
	switch {
	case s.source == windowSource && !w.has(s.sequence):
		s.source = journalSource
	case s.source == pendingSource && len(s.pending) > 0 && !w.has(s.pending[0]):
		s.source, s.pending, s.cursor = journalSource, s.pending[:0], max(s.cursor, s.before)
	}
	if s.source == journalSource && s.cursor >= w.floor {
		s.source, s.sequence = windowSource, w.after(s.cursor)
	}
}

// lookThrough looks at the events in the window one after the other.
func (s *Subscription) lookThrough(w *window, f *found) {
	if s.filter.HasFields() {
		s.lookForMatches(w, f)
	} else {
		s.takeAll(w, f)
	}
	f.end = s.sequence == w.next()
	if f.end {
		f.through = max(f.through, w.head)
	}
	if f.end && s.filter.HasFields() {
		s.source = pendingSource
	}
}

func (s *Subscription) takeAll(w *window, f *found) {
	events := w.events[s.sequence-w.first:]
	n := eventPrefix(events)
	s.sequence += uint64(n)
	if n > 0 {
		f.events, f.through = s.ahead(slices.Clone(events[:n])), max(s.cursor, events[n-1].Position)
	}
}

func (s *Subscription) lookForMatches(w *window, f *found) {
	size := 0
	for range maxLook {
		if s.sequence == w.next() {
			return
		}
		e := w.at(s.sequence)
		if e.Position > s.cursor && s.filter.MatchFields(e.view) {
			if size += len(e.Wire); size > maxItemBytes && len(f.events) > 0 {
				return
			}
			f.events = append(f.events, e)
		}
		f.through = max(f.through, e.Position)
		s.sequence++
	}
}

// takePending takes the events the tail has noted.
func (s *Subscription) takePending(w *window, f *found) {
	if len(s.pending) > 0 {
		s.takeNoted(w, f)
	}
	f.end = len(s.pending) == 0
	if f.end {
		f.through = max(f.through, w.head)
	}
}

func (s *Subscription) takeNoted(w *window, f *found) {
	events := make([]*Event, len(s.pending))
	for i, sequence := range s.pending {
		events[i] = w.at(sequence)
	}
	n := eventPrefix(events)
	s.pending = slices.Delete(s.pending, 0, n)
	f.events, f.through = s.ahead(events[:n]), max(s.cursor, events[n-1].Position)
	if len(s.pending) > 0 {
		s.before = events[n-1].Position
	}
}

// ahead drops the events up to the cursor: a subscription may start ahead of the tail.
func (s *Subscription) ahead(events []*Event) []*Event {
	for len(events) > 0 && events[0].Position <= s.cursor {
		events = events[1:]
	}
	return events
}

// eventPrefix returns how many of the events fit one item; 0 only when there are none.
func eventPrefix(events []*Event) (n int) {
	size := 0
	for n < len(events) && n < maxItemEvents {
		size += len(events[n].Wire)
		if n > 0 && size > maxItemBytes {
			break
		}
		n++
	}
	return n
}
