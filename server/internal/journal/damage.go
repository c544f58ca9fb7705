package journal

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// DamageError names records that should be there and can't be read. It is an ErrDamaged.
type DamageError struct {
	// First and Last of the positions. Reading can go on behind Last.
	First, Last uint64
}

// Error implements error.
func (e *DamageError) Error() string {
	if e.First == e.Last {
		return fmt.Sprintf("%s: record %d can't be read", ErrDamaged, e.First)
	}
	return fmt.Sprintf("%s: records %d to %d can't be read", ErrDamaged, e.First, e.Last)
}

// Unwrap returns ErrDamaged.
func (e *DamageError) Unwrap() error { return ErrDamaged }

// missing returns the first damage behind a position that the log engine knows of: records that it dropped when it read
// its files. Damage inside a record shows only when that record is read.
func (l *local) missing(ctx context.Context, after uint64) error {
	info, err := l.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("%w", engineError(err))
	}
	floor := l.checkpoint.load().Floor
	switch state := info.State; {
	case state.FirstSeq > floor+1 && after < state.FirstSeq-1:
		return &DamageError{max(floor, after) + 1, state.FirstSeq - 1}
	case state.NumDeleted > 0:
		return l.firstDeleted(ctx, max(floor, after))
	}
	return nil
}

func (l *local) firstDeleted(ctx context.Context, after uint64) error {
	info, err := l.events.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return fmt.Errorf("%w", engineError(err))
	}
	var damage *DamageError
	for _, position := range info.State.Deleted {
		switch {
		case position <= after:
		case damage == nil:
			damage = &DamageError{position, position}
		case position == damage.Last+1:
			damage.Last = position
		default:
			return damage
		}
	}
	if damage == nil {
		return nil
	}
	return damage
}
