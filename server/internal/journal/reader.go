package journal

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// batchRecords and batchBytes bound what Next returns at once.
	batchRecords = 512
	batchBytes   = 1 << 20
	// readAhead is how many records wait between the log engine and Next.
	readAhead = 512
)

// Reader follows the journal from a position for ever: every record, in order, each once. It is for one goroutine;
// only Close may be called by another.
type Reader struct {
	journal *Journal
	last    uint64
	held    *Record // read from arrived, but not yet on disk or too much for the last batch
	arrived chan arrival
	consume jetstream.ConsumeContext

	closing chan struct{}
	mu      sync.Mutex
	closed  bool
}

// arrival is what the log engine delivered.
type arrival struct {
	record Record
	err    error
}

// NewReader returns a reader of everything behind the position after. It costs nothing until the first Next.
func (j *Journal) NewReader(after uint64) *Reader {
	return &Reader{
		journal: j,
		last:    after,
		arrived: make(chan arrival, readAhead),
		closing: make(chan struct{}),
	}
}

// Next returns the records that are ready, at least one: it waits for the first. The slice is the caller's.
//
// Errors: ErrTrimmed when the next record is no longer retained, ErrDamaged when it can't be read though it should be
// there, ErrClosed, ErrUnavailable, or the context's. After ErrUnavailable or the context's error the next call goes on
// where this one stopped; after the others it fails the same way.
func (r *Reader) Next(ctx context.Context) ([]Record, error) {
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	first, err := r.next(ctx)
	if err != nil {
		return nil, err
	}
	durable, err := r.journal.durable.await(ctx, first.Position)
	if err != nil {
		r.held = &first
		return nil, err
	}
	return r.fill(first, durable), nil
}

// fill adds to the batch what is there already.
func (r *Reader) fill(first Record, durable uint64) []Record {
	batch, bytes := make([]Record, 0, 1+len(r.arrived)), 0
	for record := first; ; {
		batch, bytes, r.last = append(batch, record), bytes+len(record.Data), record.Position
		if len(batch) == batchRecords || bytes >= batchBytes {
			return batch
		}
		select {
		case a := <-r.arrived:
			if a.err != nil || a.record.Position != r.last+1 || a.record.Position > durable {
				r.hold(a)
				return batch
			}
			record = a.record
		default:
			return batch
		}
	}
}

func (r *Reader) hold(a arrival) {
	if a.err == nil {
		r.held = &a.record
	}
}

// next returns the record behind r.last.
func (r *Reader) next(ctx context.Context) (Record, error) {
	for {
		record, err := r.take(ctx)
		switch {
		case err != nil:
			return Record{}, err
		case record.Position <= r.last:
			continue // the engine starts at its head when it is asked for a position behind it
		case record.Position > r.last+1:
			r.held = &record
			return Record{}, r.gap(ctx, record.Position)
		}
		return record, nil
	}
}

func (r *Reader) take(ctx context.Context) (Record, error) {
	if held := r.held; held != nil {
		r.held = nil
		return *held, nil
	}
	select {
	case a := <-r.arrived:
		return a.record, a.err
	case <-r.closing:
		return Record{}, ErrClosed
	case <-ctx.Done():
		return Record{}, context.Cause(ctx)
	}
}

// gap says why the records between r.last and next are missing.
func (r *Reader) gap(ctx context.Context, next uint64) error {
	bounds, err := r.journal.Bounds(ctx)
	switch {
	case err != nil:
		return err
	case r.last+1 < bounds.Earliest:
		return fmt.Errorf("%w: asked for %d, the earliest is %d", ErrTrimmed, r.last+1, bounds.Earliest)
	}
	return fmt.Errorf("%w: records %d to %d can't be read", ErrDamaged, r.last+1, next-1)
}

// start makes the consumer at the first call.
func (r *Reader) start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed || r.journal.closed.Load():
		return ErrClosed
	case r.consume != nil:
		return nil
	}
	consumer, err := r.journal.events.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   r.last + 1,
	})
	if err != nil {
		return fmt.Errorf("journal: reader: %w", engineError(err))
	}
	r.consume, err = consumer.Consume(r.deliver)
	if err != nil {
		return fmt.Errorf("journal: reader: %w", engineError(err))
	}
	return nil
}

// deliver runs on the engine's goroutine.
func (r *Reader) deliver(message jetstream.Msg) {
	metadata, err := message.Metadata()
	if err != nil {
		r.send(arrival{err: fmt.Errorf("journal: reader: %w", err)})
		return
	}
	position := metadata.Sequence.Stream
	data, err := unframe(position, message.Data())
	if err != nil {
		r.send(arrival{err: fmt.Errorf("journal: reader: %w", err)})
		return
	}
	r.send(arrival{record: Record{Position: position, StoreTime: metadata.Timestamp, Data: data}})
}

func (r *Reader) send(a arrival) {
	select {
	case r.arrived <- a:
	case <-r.closing:
	}
}

// Close ends a waiting Next with ErrClosed.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	close(r.closing)
	if r.consume == nil {
		return nil
	}
	r.consume.Stop()
	<-r.consume.Closed()
	return nil
}
