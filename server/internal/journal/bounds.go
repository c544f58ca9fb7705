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
	return j.bounds(info.State), nil
}

func (j *Journal) bounds(state jetstream.StreamState) Bounds {
	durable, _ := j.durable.load()
	b := Bounds{
		Epoch:        j.epoch,
		Earliest:     state.FirstSeq,
		Latest:       min(state.LastSeq, durable),
		EarliestTime: state.FirstTime,
		LatestTime:   state.LastTime,
		Count:        state.Msgs,
		Bytes:        state.Bytes,
	}
	if state.Msgs == 0 {
		b.Earliest, b.EarliestTime, b.LatestTime = b.Latest+1, time.Time{}, time.Time{}
	}
	return b
}

// PositionAt returns the position p such that the first record stored at or after t is the first one behind p: the
// head when there is none yet. Store times are those of the machine's clock: when it was set back, times around that
// moment are ambiguous.
func (j *Journal) PositionAt(ctx context.Context, t time.Time) (uint64, error) {
	bounds, err := j.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	messages, err := j.directGet(ctx, eventsStream, 1, jetstreamext.GetBatchStartTime(t))
	switch {
	case err != nil:
		return 0, fmt.Errorf("journal: position at %s: %w", t.Format(time.RFC3339), err)
	case len(messages) == 0:
		return bounds.Latest, nil
	}
	return messages[0].Sequence - 1, nil
}
