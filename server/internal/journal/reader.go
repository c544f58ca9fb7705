package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// readAhead is how many records the log engine sends ahead of the inbox, and readAheadBytes how much at once: room
	// for the largest record with its headers.
	readAhead      = 256
	readAheadBytes = MaxRecordBytes + 64<<10
	// stallTime is how long a reader that is behind waits for the engine's delivery before it fetches for itself.
	stallTime = time.Second
	// closeTimeout bounds Close.
	closeTimeout = 5 * time.Second
	// consumerThreshold is when the engine ends the consumer of a reader that was not closed.
	consumerThreshold = 30 * time.Second
)

// localReader is a Reader of a local log. It holds a few megabytes at most, whatever its user does.
type localReader struct {
	log   *local
	last  uint64   // given out
	ready []Record // taken from the inbox
	inbox *inbox

	mu       sync.Mutex
	closed   bool
	consumer jetstream.Consumer
	consume  jetstream.ConsumeContext
}

// NewReader implements log.
func (l *local) NewReader(after uint64) Reader {
	return &localReader{log: l, last: after, inbox: newInbox(l.over)}
}

// Next implements Reader.
func (r *localReader) Next(ctx context.Context) ([]Record, error) {
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	if err := r.await(ctx); err != nil {
		return nil, err
	}
	first := r.ready[0].Position
	if first != r.last+1 {
		return nil, r.gap(first)
	}
	durable, err := r.log.durable.await(ctx, first)
	if err != nil {
		return nil, err
	}
	return r.cut(durable), nil
}

// await fills r.ready with what comes behind r.last.
func (r *localReader) await(ctx context.Context) error {
	for {
		// When the engine is asked for a position that is still to come, it starts at its head.
		for len(r.ready) > 0 && r.ready[0].Position <= r.last {
			r.ready = r.ready[1:]
		}
		if len(r.ready) > 0 {
			return nil
		}
		var err error
		if r.ready, err = r.inbox.take(ctx, stallTime); err != nil {
			return err
		}
		if len(r.ready) == 0 {
			if r.ready, err = r.fetchStalled(ctx); err != nil {
				return err
			}
		}
	}
}

// cut takes from r.ready what follows without a gap and is on disk.
func (r *localReader) cut(durable uint64) []Record {
	n := 0
	for n < len(r.ready) && r.ready[n].Position == r.last+1 && r.ready[n].Position <= durable {
		r.last++
		n++
	}
	batch := r.ready[:n:n]
	r.ready = r.ready[n:]
	return batch
}

// gap says why the records between r.last and next are missing. The engine skips what it can't read without a word.
func (r *localReader) gap(next uint64) error {
	if floor := r.log.checkpoint.load().Floor; r.last < floor {
		return trimmed(r.last, floor)
	}
	return &DamageError{r.last + 1, next - 1}
}

func trimmed(after, floor uint64) error {
	return fmt.Errorf("%w: asked for what is behind %d, the earliest is %d", ErrTrimmed, after, floor+1)
}

// fetchStalled fetches what is on disk but doesn't come. Perhaps the engine has stalled, perhaps it can't read what is
// next, with nothing readable behind it that would show the gap.
func (r *localReader) fetchStalled(ctx context.Context) ([]Record, error) {
	durable, _ := r.log.durable.load()
	if r.last >= durable {
		return nil, nil
	}
	records, err := r.log.fetch(ctx, readAhead,
		jetstreamext.GetBatchSeq(r.last+1), jetstreamext.GetBatchMaxBytes(readAheadBytes))
	if err == nil && len(records) == 0 {
		err = r.gap(durable + 1)
	}
	return records, err
}

// start makes the consumer at the first call.
func (r *localReader) start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed || r.log.isClosed():
		return ErrClosed
	case r.consume != nil:
		return nil
	}
	if floor := r.log.checkpoint.load().Floor; r.last < floor {
		return trimmed(r.last, floor)
	}
	var err error
	r.consumer, err = r.log.events.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.last + 1,
		InactiveThreshold: consumerThreshold,
	})
	if err != nil {
		return fmt.Errorf("journal: reader: %w", engineError(err))
	}
	r.consume, err = r.consumer.Consume(r.deliver,
		jetstream.PullMaxMessagesWithBytesLimit(readAhead, readAheadBytes))
	if err != nil {
		return fmt.Errorf("journal: reader: %w", engineError(err))
	}
	return nil
}

// deliver runs on the engine's goroutine.
func (r *localReader) deliver(message jetstream.Msg) {
	metadata, err := message.Metadata()
	if err != nil {
		r.inbox.fail(fmt.Errorf("journal: reader: %w", err))
		return
	}
	position := metadata.Sequence.Stream
	data, err := unframe(message.Data())
	if err != nil {
		r.inbox.fail(&DamageError{position, position})
		return
	}
	r.inbox.put(Record{Position: position, StoreTime: metadata.Timestamp, Data: data})
}

// Close implements Reader.
func (r *localReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.inbox.close()
	if r.consume == nil {
		return nil
	}
	r.consume.Stop()
	<-r.consume.Closed()
	return r.deleteConsumer()
}

// deleteConsumer doesn't leave it to the engine, which keeps an idle consumer for minutes and looks at each for every
// new record.
func (r *localReader) deleteConsumer() error {
	if r.log.isClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := r.log.events.DeleteConsumer(ctx, r.consumer.CachedInfo().Name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !r.log.isClosed() {
		return fmt.Errorf("journal: reader: %w", engineError(err))
	}
	return nil
}
