package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// readAhead is how many records the servers send ahead, and readAheadBytes how much at once: room for the largest
	// record with its headers.
	readAhead      = 256
	readAheadBytes = MaxRecordBytes + 64<<10
	// consumerThreshold is when the servers end the consumer of a reader that was not closed.
	consumerThreshold = 30 * time.Second
	// probeInterval is how often a reader with nothing to read asks whether there is nothing, and probeTimeout how long
	// it waits for the answer. Together they are how late it notices that the cluster is away.
	probeInterval = time.Second
	probeTimeout  = time.Second
	// pullTime is how long one request for records is open.
	pullTime = 30 * time.Second
)

// clusterReader is a Reader of a cluster. Its consumer lives in the memory of one server, and is made anew wherever it
// was lost: the place is kept here.
//
// The client's ordered consumer does much the same, but holds on to its lock while it tries to come back: during an
// outage it can be neither asked nor closed.
type clusterReader struct {
	cluster  *cluster
	last     uint64   // given out
	ready    []Record // behind last, perhaps with a gap before the first
	consumer jetstream.Consumer
	idle     time.Time // since when nothing was heard of the cluster
	batch    <-chan jetstream.Msg
	failed   func() error
	endBatch context.CancelFunc

	closing sync.Once
	closed  chan struct{}
	mu      sync.Mutex // held by Next
}

// NewReader implements log.
func (c *cluster) NewReader(after uint64) Reader {
	return &clusterReader{cluster: c, last: after, closed: make(chan struct{})}
}

// Next implements Reader.
func (r *clusterReader) Next(ctx context.Context) ([]Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ready) == 0 {
		if err := r.open(ctx); err != nil {
			return nil, r.unavailable(ctx, err)
		}
		if err := r.fill(ctx); err != nil {
			return nil, r.unavailable(ctx, err)
		}
	}
	if first := r.ready[0].Position; first != r.last+1 {
		record, err := r.missing(ctx, r.last+1)
		if err != nil {
			return nil, r.unavailable(ctx, err)
		}
		r.ready = append([]Record{record}, r.ready...)
	}
	return r.cut(), nil
}

// unavailable tells the caller's own end from that of a request.
func (r *clusterReader) unavailable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("journal: reader: %w", err)
}

// cut takes from r.ready what follows without a gap.
func (r *clusterReader) cut() []Record {
	n := 0
	for n < len(r.ready) && r.ready[n].Position == r.last+1 {
		r.last++
		n++
	}
	records := r.ready[:n:n]
	r.ready = r.ready[n:]
	r.cluster.seen.advance(r.last)
	return records
}

// missing says why the consumer has passed over a position. Its replica may be damaged, the leader's decides.
func (r *clusterReader) missing(ctx context.Context, position uint64) (Record, error) {
	record, err := r.cluster.ask(ctx, leaderRequest{Seq: position})
	if !errors.Is(err, ErrNotFound) {
		return record, err
	}
	info, err := r.cluster.info(ctx)
	switch {
	case err != nil:
		return Record{}, err
	case info.State.FirstSeq > position:
		return Record{}, trimmed(r.last, info.State.FirstSeq-1)
	default:
		return Record{}, &DamageError{position, position}
	}
}

// open makes the consumer when there is none, and asks for records when none are asked for.
func (r *clusterReader) open(ctx context.Context) error {
	if r.isClosed() {
		return ErrClosed
	}
	if r.batch != nil {
		return nil
	}
	attached, err := r.cluster.attachment()
	if err != nil {
		return err
	}
	if r.consumer == nil {
		if err := r.createConsumer(ctx, attached); err != nil {
			return err
		}
	}
	return r.pull()
}

func (r *clusterReader) createConsumer(ctx context.Context, attached *attachment) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := r.probe(ctx)
	if err != nil {
		return err
	}
	r.consumer, err = attached.events.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.last + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: consumerThreshold,
		Replicas:          1,
		MemoryStorage:     true,
	})
	if err != nil {
		r.consumer = nil
		return r.cluster.failure(err)
	}
	return nil
}

// probe asks the leader whether there is more to read.
func (r *clusterReader) probe(ctx context.Context) (more bool, err error) {
	info, err := r.cluster.info(ctx)
	switch {
	case err != nil:
		return false, err
	case info.Config.Metadata[epochKey] != r.cluster.Epoch():
		return false, fmt.Errorf("%w: the stream was replaced by another one", ErrUnavailable)
	case r.last+1 < info.State.FirstSeq:
		return false, trimmed(r.last, info.State.FirstSeq-1)
	}
	return info.State.LastSeq > r.last, nil
}

// pull asks for the next records.
func (r *clusterReader) pull() error {
	running, endBatch := context.WithTimeout(context.Background(), pullTime)
	batch, err := r.consumer.Fetch(readAhead, jetstream.FetchMaxBytes(readAheadBytes), jetstream.FetchContext(running))
	if err != nil {
		endBatch()
		r.drop()
		return r.cluster.failure(err)
	}
	r.batch, r.failed, r.endBatch, r.idle = batch.Messages(), batch.Error, endBatch, time.Now()
	return nil
}

// fill waits for the first record, and takes those that came with it. It may return with none.
func (r *clusterReader) fill(ctx context.Context) error {
	timer := time.NewTimer(time.Until(r.idle.Add(probeInterval)))
	defer timer.Stop()
	select {
	case message, more := <-r.batch:
		r.idle = time.Now()
		return r.take(ctx, message, more)
	case <-timer.C:
		return r.recheck(ctx)
	case <-r.closed:
		return ErrClosed
	case <-r.cluster.over:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// recheck: a consumer that is gone, or that lost its request, looks just like one with nothing to deliver.
func (r *clusterReader) recheck(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	more, err := r.probe(bounded)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil, more && len(r.batch) == 0:
		r.drop()
	}
	r.idle = time.Now()
	return err
}

func (r *clusterReader) take(ctx context.Context, message jetstream.Msg, more bool) error {
	for more {
		if err := r.add(ctx, message); err != nil {
			r.drop()
			return err
		}
		select {
		case message, more = <-r.batch:
		default:
			return nil
		}
	}
	err := r.failed()
	r.endBatch()
	r.batch = nil
	if err != nil {
		r.drop() // the next one is made at once
	}
	return nil
}

// add puts a record into r.ready, from the leader when the consumer's copy is damaged.
func (r *clusterReader) add(ctx context.Context, message jetstream.Msg) error {
	metadata, err := message.Metadata()
	if err != nil {
		return err
	}
	position, last := metadata.Sequence.Stream, r.last
	if len(r.ready) > 0 {
		last = r.ready[len(r.ready)-1].Position
	}
	if position <= last { // a consumer that is asked for a position still to come starts at the head
		return nil
	}
	record := Record{Position: position, StoreTime: metadata.Timestamp}
	if record.Data, err = unframe(message.Data()); err != nil {
		if record, err = r.missing(ctx, position); err != nil {
			return err
		}
	}
	r.ready = append(r.ready, record)
	return nil
}

// drop forgets the consumer and what it may still deliver.
func (r *clusterReader) drop() {
	if r.batch != nil {
		r.endBatch()
		for range r.batch { // until the client's goroutine has ended
		}
	}
	if r.consumer != nil {
		r.deleteConsumer(r.consumer.CachedInfo().Name)
	}
	r.batch, r.consumer = nil, nil
}

// deleteConsumer tells the cluster, and doesn't wait for what it says: a consumer that stays ends by itself.
func (r *clusterReader) deleteConsumer(name string) {
	_ = r.cluster.reading.Publish("$JS.API.CONSUMER.DELETE."+eventsStream+"."+name, nil)
}

func (r *clusterReader) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return r.cluster.isClosed()
	}
}

// Close implements Reader.
func (r *clusterReader) Close() error {
	r.closing.Do(func() {
		close(r.closed)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drop()
	})
	return nil
}
