package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// spoolDir is below the data directory.
	spoolDir = "spool"
	// drainTimeout bounds a step of the drain.
	drainTimeout = 5 * time.Second
	// nearlyEmpty entries are drained in a moment, for which new ones wait: under a constant load the spool would never
	// be quite empty. handOver bounds that wait.
	nearlyEmpty = 2048
	handOver    = 250 * time.Millisecond
	// entryOverhead is what the log engine keeps beside an entry's data.
	entryOverhead = 128
	// usualEntry is more than most events take. With less room the spool counts as full.
	usualEntry = 2 << 10
)

// SpoolStats says what waits for the cluster.
type SpoolStats struct {
	// Entries that wait, and about the Bytes they take.
	Entries, Bytes uint64
	// OldestAge is how long the first of them has waited; 0 when there is none.
	OldestAge time.Duration
}

// spool keeps on this machine's disk what the cluster didn't take, and moves it there in order. It is a local log whose
// messages are those that the cluster is to have, to the letter: one that the cluster had stored without our knowing is
// a duplicate when it comes again, within the dedupe window.
//
// What the cluster has acknowledged lies below the local log's floor, and its files go like trimmed ones. The floor is
// raised after the acknowledgement: after a crash between the two some entries are sent again, which are duplicates.
type spool struct {
	local    *local
	maxBytes int64
	deliver  func(ctx context.Context, group []*pending) // to the cluster
	bytes    atomic.Int64                                // about, of what waits
	drained  *mark
	flowing  atomic.Bool // the last step of the drain succeeded
}

func openSpool(ctx context.Context, config Config, deliver func(context.Context, []*pending)) (*spool, error) {
	l, err := openLocal(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &spool{local: l, maxBytes: config.SpoolBytes, deliver: deliver, drained: newMark(l.over)}
	s.drained.advance(l.checkpoint.load().Floor)
	bounds, err := l.Bounds(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), l.Close())
	}
	if bounds.Count > 0 {
		s.bytes.Store(int64(bounds.Bytes))
	}
	return s, nil
}

// checkSpool is for a data directory that is opened without a cluster. What a spool there has would be out of sight.
func checkSpool(ctx context.Context, config Config) error {
	dir := filepath.Join(config.Dir, spoolDir)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	l, err := openLocal(ctx, config.forSpool())
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return errors.Join(l.checkDrained(ctx), l.Close())
}

func (l *local) checkDrained(ctx context.Context) error {
	bounds, err := l.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if bounds.Count > 0 {
		return fmt.Errorf("%w: %d acknowledged events in %s are still to go to the cluster: "+
			"open with the cluster until they are there, or move the directory away to go on without them",
			ErrSpooled, bounds.Count, l.config.Dir)
	}
	count, _, err := l.Quarantine().Size(ctx)
	if count > 0 {
		l.config.Logger.Warn("the quarantine from the time with a cluster is out of sight", "directory", l.config.Dir,
			"records", count)
	}
	return err
}

// backlog is how many entries wait.
func (s *spool) backlog() uint64 {
	drained, _ := s.drained.load()
	head, _ := s.local.durable.load()
	return head - drained
}

func (s *spool) stats(ctx context.Context) (SpoolStats, error) {
	bounds, err := s.local.Bounds(ctx)
	if err != nil || bounds.Count == 0 {
		return SpoolStats{}, err
	}
	return SpoolStats{
		Entries: bounds.Count, Bytes: uint64(max(s.bytes.Load(), 0)), OldestAge: time.Since(bounds.EarliestTime),
	}, nil
}

// awaitEmpty reports whether nothing waits, after a moment when that is about to be. Only who adds to the spool may
// rely on the answer.
func (s *spool) awaitEmpty(ctx context.Context) bool {
	backlog := s.backlog()
	if backlog == 0 {
		return true
	}
	if backlog > nearlyEmpty || !s.flowing.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, handOver)
	defer cancel()
	head, _ := s.local.durable.load()
	_, err := s.drained.await(ctx, head, nil)
	return err == nil
}

// put sets the result of every entry.
func (s *spool) put(group []*pending) {
	var taken, copies []*pending
	committer := s.local.committer.Load()
	for _, e := range group {
		c := &pending{message: e.message, key: e.key, deadline: e.deadline, done: make(chan result, 1)}
		err := s.admit(e)
		if err == nil {
			err = committer.enqueue(c)
		}
		e.result = result{err: err}
		if err == nil {
			taken, copies = append(taken, e), append(copies, c)
		}
	}
	for i, e := range taken {
		e.result.receipt, e.result.err = committer.await(context.Background(), copies[i])
		e.result.receipt.Position, e.result.receipt.Spooled = 0, e.result.err == nil
		if e.result.err == nil && !e.result.receipt.Duplicate {
			s.bytes.Add(size(e.message))
		}
	}
}

func (s *spool) admit(e *pending) error {
	if err := s.hasRoom(size(e.message)); err != nil {
		return err
	}
	return s.local.disk.admit(size(e.message))
}

func (s *spool) hasRoom(size int64) error {
	if waiting := s.bytes.Load(); waiting+size > s.maxBytes {
		return fmt.Errorf("%w: the cluster is away, and %d MiB wait for it already", ErrFull, waiting>>20)
	}
	return nil
}

func size(message *nats.Msg) int64 {
	return int64(len(message.Subject) + len(message.Data) + entryOverhead)
}

// drain moves entries to the cluster until ctx ends.
func (s *spool) drain(ctx context.Context) {
	delay := minBackoff
	for {
		drained, _ := s.drained.load()
		if _, err := s.local.durable.await(ctx, drained+1, nil); err != nil {
			return
		}
		err := s.drainStep(ctx)
		if ctx.Err() != nil {
			return
		}
		s.flowing.Store(err == nil)
		if err == nil {
			delay = minBackoff
			continue
		}
		s.report(err)
		if !sleep(ctx, delay) {
			return
		}
		delay = min(2*delay, maxBackoff)
	}
}

func (s *spool) report(err error) {
	if !isAway(err) { // that is logged once, where it is noticed
		s.local.config.Logger.Error("the spool is not drained", "error", err)
	}
}

// drainStep moves the next entries.
func (s *spool) drainStep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	group, positions, err := s.next(ctx)
	if err != nil {
		return err
	}
	s.deliver(ctx, group)
	moved, size := uint64(0), int64(0)
	for i, e := range group {
		if err = e.result.err; err != nil {
			break
		}
		moved, size = positions[i], size+sizeOf(e)
	}
	if moved == 0 {
		return err
	}
	return errors.Join(s.forget(moved, size), err)
}

func sizeOf(e *pending) int64 { return size(e.message) }

// forget takes what the cluster has out of the spool.
func (s *spool) forget(position uint64, size int64) error {
	if err := s.local.checkpoint.raiseFloor(position); err != nil {
		return err
	}
	s.drained.advance(position)
	if s.bytes.Add(-size) < 0 || s.backlog() == 0 {
		s.bytes.Store(0)
	}
	return nil
}

// next reads entries and where they are. What can't be read is passed over with an error in the log: there is nothing
// that could be sent.
func (s *spool) next(ctx context.Context) (group []*pending, positions []uint64, err error) {
	after, _ := s.drained.load()
	head, _ := s.local.durable.load()
	messages, err := s.local.directGet(ctx, eventsStream, readAhead,
		jetstreamext.GetBatchSeq(after+1), jetstreamext.GetBatchMaxBytes(readAheadBytes))
	if err != nil {
		return nil, nil, err
	}
	deadline := time.Now().Add(drainTimeout)
	for _, message := range messages {
		if message.Sequence > head {
			break
		}
		_, damaged := unframe(message.Data)
		if damaged != nil || message.Sequence != after+1 {
			s.local.config.Logger.Error("acknowledged events were lost in the spool: its files are damaged",
				"first", after+1, "before", message.Sequence, "last_too", damaged != nil)
		}
		after = message.Sequence
		if damaged == nil {
			group = append(group, spooledMessage(message, deadline))
			positions = append(positions, message.Sequence)
		}
	}
	if len(group) == 0 {
		return nil, nil, fmt.Errorf("spool: %w", &DamageError{after + 1, head})
	}
	return group, positions, nil
}

// spooledMessage is the message as the cluster was to have it, without what the log engine has added.
func spooledMessage(stored *jetstream.RawStreamMsg, deadline time.Time) *pending {
	return newPendingFrame(stored.Subject, stored.Header.Get(jetstream.MsgIDHeader), stored.Data, deadline)
}
