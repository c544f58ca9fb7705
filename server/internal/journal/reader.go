package journal

import (
	"context"
	"fmt"
	"math"
	"sync"
)

// localReader is a Reader of a local log. It reads the engine's files up to what is known to be on disk: going through
// the engine would cost several times as much, and needs a consumer with its goroutines, its queue and its stalls.
type localReader struct {
	log     *local
	closing sync.Once
	closed  chan struct{}

	mu     sync.Mutex // held by Next
	last   uint64     // given out
	blocks blockReader
}

// NewReader implements log.
func (l *local) NewReader(after uint64) Reader {
	return &localReader{
		log: l, last: min(after, math.MaxUint64-1), closed: make(chan struct{}),
		blocks: blockReader{directory: l.directory.blocks(eventsStream)},
	}
}

// Next implements Reader.
func (r *localReader) Next(ctx context.Context) ([]Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed() || r.log.isClosed() {
		return nil, ErrClosed
	}
	durable, err := r.log.durable.await(ctx, r.last+1, r.closed)
	if err != nil {
		return nil, err
	}
	records, err := r.blocks.read(r.last, durable)
	if floor := r.log.checkpoint.load().Floor; r.last < floor {
		return nil, trimmed(r.last, floor)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: reader: %w", fileError(err))
	}
	r.last = records[len(records)-1].Position
	return records, nil
}

func trimmed(after, floor uint64) error {
	return fmt.Errorf("%w: asked for what is behind %d, the earliest is %d", ErrTrimmed, after, floor+1)
}

func (r *localReader) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// Close implements Reader. It interrupts Next.
func (r *localReader) Close() (err error) {
	r.closing.Do(func() {
		close(r.closed)
		r.mu.Lock()
		defer r.mu.Unlock()
		err = r.blocks.close()
	})
	return err
}
