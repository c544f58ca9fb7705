package journal

import (
	"context"
	"sync"
)

// mark is the highest position known to be on disk. Readers wait for it: the log engine shows the messages of a batch
// to its consumers before it syncs them, and an event that was seen must not be gone after a power cut.
type mark struct {
	mu      sync.Mutex
	value   uint64
	closed  bool
	changed chan struct{} // closed and replaced at every change
}

func newMark() *mark { return &mark{changed: make(chan struct{})} }

// advance never moves the mark back.
func (m *mark) advance(value uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value > m.value {
		m.value = value
		m.signalLocked()
	}
}

func (m *mark) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.signalLocked()
}

func (m *mark) signalLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *mark) load() (value uint64, closed bool, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value, m.closed, m.changed
}

// await returns the mark once it is at least value.
func (m *mark) await(ctx context.Context, value uint64) (uint64, error) {
	for {
		current, closed, changed := m.load()
		switch {
		case closed:
			return 0, ErrClosed
		case current >= value:
			return current, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
