package fanout

import "sync/atomic"

// slots are the turns at reading the journal.
type slots struct {
	taken   chan struct{}
	waiting *atomic.Int64
}

func newSlots(n int) slots { return slots{make(chan struct{}, n), new(atomic.Int64)} }

func (s slots) release() { <-s.taken }

func (s slots) used() int { return len(s.taken) }

func (s slots) waiters() int { return int(s.waiting.Load()) }
