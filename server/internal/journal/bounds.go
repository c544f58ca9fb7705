package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Bounds implements log. It asks the log engine: some 100 µs.
func (l *local) Bounds(ctx context.Context) (Bounds, error) {
	if l.isClosed() {
		return Bounds{}, ErrClosed
	}
	info, err := l.events.Info(ctx)
	if err != nil {
		return Bounds{}, fmt.Errorf("journal: bounds: %w", engineError(err))
	}
	return l.bounds(ctx, info.State)
}

func (l *local) bounds(ctx context.Context, state jetstream.StreamState) (Bounds, error) {
	floor := l.checkpoint.load().Floor
	durable, _ := l.durable.load()
	b := Bounds{
		Epoch: l.epochs.current, Former: l.epochs.former,
		Earliest: floor + 1, Latest: durable, Count: durable - floor,
	}
	if b.Count == 0 {
		return b, nil
	}
	b.Bytes, b.EarliestTime, b.LatestTime = state.Bytes, state.FirstTime, state.LastTime
	if state.FirstSeq > floor {
		return b, nil
	}
	// The file of the earliest record begins with trimmed ones.
	earliest, err := l.fetch(ctx, b.Earliest)
	if err != nil {
		return Bounds{}, fmt.Errorf("journal: bounds: %w", err)
	}
	if len(earliest) > 0 {
		b.EarliestTime = earliest[0].StoreTime
	}
	return b, nil
}

// PositionAt implements log.
func (l *local) PositionAt(ctx context.Context, t time.Time) (uint64, error) {
	if l.isClosed() {
		return 0, ErrClosed
	}
	position, err := l.positionAt(ctx, t)
	if err == nil && position > l.checkpoint.load().Floor {
		err = l.checkReadable(ctx, position)
	}
	if err != nil {
		return 0, fmt.Errorf("journal: position at %s: %w", t.Format(time.RFC3339), err)
	}
	return position, nil
}

// positionAt passes over what is damaged.
func (l *local) positionAt(ctx context.Context, t time.Time) (uint64, error) {
	info, err := l.events.Info(ctx)
	if err != nil {
		return 0, engineError(err)
	}
	position, _ := l.durable.load()
	found, err := l.directGet(ctx, eventsStream, 1, jetstreamext.GetBatchStartTime(t))
	switch {
	case err != nil:
		return 0, err
	case len(found) > 0:
		position = min(position, found[0].Sequence-1)
	case info.State.Msgs > 0 && !t.After(info.State.LastTime):
		return 0, errUnread
	}
	return max(position, l.checkpoint.load().Floor), nil
}

// checkReadable is for the record before one that was found by its time.
func (l *local) checkReadable(ctx context.Context, position uint64) error {
	found, err := l.fetch(ctx, position)
	if err != nil {
		return err
	}
	if len(found) == 0 || found[0].Position != position {
		return &DamageError{position, position}
	}
	return nil
}
