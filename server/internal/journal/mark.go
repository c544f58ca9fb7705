package journal

import (
	"context"
	"sync"
)

// mark is the highest position known to be on disk. Readers wait for it: the log engine shows the messages of a batch
// to its consumers before it syncs them, and an event that was seen must not be gone after a power cut.
type mark struct {
	over    <-chan struct{} // closed with the journal
	mu      sync.Mutex
	value   uint64
	changed chan struct{} // closed and replaced at every change
}

func newMark(over <-chan struct{}) *mark { return &mark{over: over, changed: make(chan struct{})} }

// advance never moves the mark back.
func (m *mark) advance(value uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value > m.value {
		m.value = value
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

func (m *mark) load() (value uint64, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value, m.changed
}

// await returns the mark once it is at least value. It is ErrClosed when the reader that waits is closed.
func (m *mark) await(ctx context.Context, value uint64, closed <-chan struct{}) (uint64, error) {
	for {
		current, changed := m.load()
		if current >= value {
			return current, nil
		}
		select {
		case <-changed:
		case <-m.over:
			return 0, ErrClosed
		case <-closed:
			return 0, ErrClosed
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
