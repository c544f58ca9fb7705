package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Bounds says where the journal begins and ends. It asks the log engine: some 100 µs.
func (j *Journal) Bounds(ctx context.Context) (Bounds, error) {
	if j.isClosed() {
		return Bounds{}, ErrClosed
	}
	info, err := j.events.Info(ctx)
	if err != nil {
		return Bounds{}, fmt.Errorf("journal: bounds: %w", engineError(err))
	}
	return j.bounds(ctx, info.State)
}

func (j *Journal) bounds(ctx context.Context, state jetstream.StreamState) (Bounds, error) {
	floor := j.checkpoint.load().Floor
	durable, _ := j.durable.load()
	b := Bounds{Epoch: j.epoch, Earliest: floor + 1, Latest: durable, Count: durable - floor}
	if b.Count == 0 {
		return b, nil
	}
	b.Bytes, b.EarliestTime, b.LatestTime = state.Bytes, state.FirstTime, state.LastTime
	if state.FirstSeq > floor {
		return b, nil
	}
	// The file of the earliest record begins with trimmed ones.
	earliest, err := j.fetch(ctx, 1, jetstreamext.GetBatchSeq(b.Earliest))
	if err != nil {
		return Bounds{}, fmt.Errorf("journal: bounds: %w", err)
	}
	if len(earliest) > 0 {
		b.EarliestTime = earliest[0].StoreTime
	}
	return b, nil
}

// PositionAt returns the position p such that the first record stored at or after t is the first one behind p: the
// head when there is none yet. Store times are those of the machine's clock: when it was set back, times around that
// moment are ambiguous. ErrDamaged when the records that could be the first can't be read.
func (j *Journal) PositionAt(ctx context.Context, t time.Time) (uint64, error) {
	if j.isClosed() {
		return 0, ErrClosed
	}
	position, err := j.positionAt(ctx, t)
	if err == nil && position > j.checkpoint.load().Floor {
		err = j.checkReadable(ctx, position)
	}
	if err != nil {
		return 0, fmt.Errorf("journal: position at %s: %w", t.Format(time.RFC3339), err)
	}
	return position, nil
}

// positionAt passes over what can't be read.
func (j *Journal) positionAt(ctx context.Context, t time.Time) (uint64, error) {
	position, _ := j.durable.load()
	found, err := j.directGet(ctx, eventsStream, 1, jetstreamext.GetBatchStartTime(t))
	if err != nil {
		return 0, err
	}
	if len(found) > 0 {
		position = min(position, found[0].Sequence-1)
	}
	return max(position, j.checkpoint.load().Floor), nil
}

// checkReadable is for the record before one that was found by its time.
func (j *Journal) checkReadable(ctx context.Context, position uint64) error {
	found, err := j.directGet(ctx, eventsStream, 1, jetstreamext.GetBatchSeq(position))
	if err != nil {
		return err
	}
	if len(found) == 0 || found[0].Sequence != position {
		return &DamageError{position, position}
	}
	return nil
}
