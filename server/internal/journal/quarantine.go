package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// ErrNotFound says that there is no such record, in the journal or the quarantine.
var ErrNotFound = errors.New("no such record")

// Quarantine holds what could not become an event, until somebody deletes it. It is as durable as the journal, but has
// a bound of its own, and refuses what doesn't fit: nothing is discarded.
type Quarantine struct{ log *local }

// QuarantineRecord is opaque bytes in quarantine.
type QuarantineRecord struct {
	// ID is given in rising order and never again.
	ID        uint64
	StoreTime time.Time
	Data      []byte
}

// Quarantine implements log.
func (l *local) Quarantine() *Quarantine { return &Quarantine{l} }

// Put stores data and returns when it is on disk, within Config.AckTimeout. ErrFull when the quarantine is full.
func (q *Quarantine) Put(ctx context.Context, data []byte) (uint64, error) {
	l := q.log
	if len(data) > MaxQuarantineBytes {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), MaxQuarantineBytes)
	}
	if l.isClosed() {
		return 0, ErrClosed
	}
	if err := l.disk.admit(int64(len(data) + entryOverhead)); err != nil {
		return 0, err
	}
	p := newPendingMessage(quarantineStream, uniqueID(), data, time.Now().Add(l.config.AckTimeout))
	receipt, err := l.keeper.Load().append(ctx, p)
	if err != nil {
		return 0, fmt.Errorf("journal: quarantine: %w", err)
	}
	return receipt.Position, nil
}

// Get returns the record, or ErrNotFound.
func (q *Quarantine) Get(ctx context.Context, id uint64) (QuarantineRecord, error) {
	if id == 0 {
		return QuarantineRecord{}, ErrNotFound
	}
	message, err := q.log.quarantine.GetMsg(ctx, id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return QuarantineRecord{}, ErrNotFound
	}
	if err != nil {
		return QuarantineRecord{}, fmt.Errorf("journal: quarantine: %w", engineError(err))
	}
	return quarantineRecord(message)
}

// List returns up to limit records with an ID above after, in order of ID; fewer when they are large. When there are
// more it says so: they are behind the last one's ID. With ErrDamaged they come without those that can't be read.
func (q *Quarantine) List(
	ctx context.Context, after uint64, limit int,
) (records []QuarantineRecord, more bool, err error) {
	messages, err := q.log.directGet(ctx, quarantineStream, limit, jetstreamext.GetBatchSeq(after+1), pageBound(limit))
	if err == nil && len(messages) == 0 {
		err = q.confirmNone(ctx, after)
	}
	if err != nil {
		return nil, false, fmt.Errorf("journal: quarantine: %w", err)
	}
	for _, message := range messages {
		record, err := quarantineRecord(message)
		if err != nil {
			return nil, false, err
		}
		records = append(records, record)
	}
	more, complete := judgePage(messages, limit)
	if !complete {
		return records, false, fmt.Errorf("journal: quarantine: %w: some records can't be read", ErrDamaged)
	}
	return records, more, nil
}

// confirmNone makes sure that there are no records behind an ID, as the engine says.
func (q *Quarantine) confirmNone(ctx context.Context, after uint64) error {
	info, err := q.log.quarantine.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return engineError(err)
	}
	state := info.State
	deleted := slices.DeleteFunc(state.Deleted, func(id uint64) bool { return id <= after })
	if first := max(after+1, state.FirstSeq); state.LastSeq+1 > first+uint64(len(deleted)) {
		return errUnread
	}
	return nil
}

// Delete removes the record for good, or returns ErrNotFound.
func (q *Quarantine) Delete(ctx context.Context, id uint64) error {
	// The engine has many errors for what isn't there, one of them a plain 500.
	if _, err := q.Get(ctx, id); err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	err := q.log.quarantine.DeleteMsg(ctx, id)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeSequenceNotFound {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("journal: quarantine: %w", engineError(err))
	}
	if err := q.log.syncQuarantine(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// startKeeper starts the quarantine's committer behind what is stored, all of it synced.
func (l *local) startKeeper(ctx context.Context) error {
	info, err := l.quarantine.Info(ctx)
	if err != nil {
		return engineError(err)
	}
	p, err := l.newPublisher(l.quarantine, info.State.LastSeq, engineWindow(l.config))
	if err != nil {
		return err
	}
	l.keeper.Store(startCommitter(ctx, committerConfig{
		publish: p.publish,
		sync:    l.syncQuarantine,
		advance: func(uint64) error { return nil },
		release: func() error { return nil },
		logger:  l.config.Logger,
	}))
	return nil
}

// syncQuarantine syncs all files: deletions make the engine rewrite some, and there are never many.
func (l *local) syncQuarantine() error {
	return syncTree(string(l.directory.blocks(quarantineStream)))
}

// Size returns how many records there are and the bytes they take.
func (q *Quarantine) Size(ctx context.Context) (count, bytes uint64, err error) {
	info, err := q.log.quarantine.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("journal: quarantine: %w", engineError(err))
	}
	return info.State.Msgs, info.State.Bytes, nil
}

func quarantineRecord(message *jetstream.RawStreamMsg) (QuarantineRecord, error) {
	data, err := unframe(message.Data)
	if err != nil {
		return QuarantineRecord{}, fmt.Errorf("journal: quarantine record %d: %w", message.Sequence, err)
	}
	return QuarantineRecord{ID: message.Sequence, StoreTime: message.Time, Data: data}, nil
}
