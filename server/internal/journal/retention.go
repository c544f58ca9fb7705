package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Trimming has two steps. First the floor is raised: records up to it are gone for readers. Then whole block files that
// lie below it are removed. The log engine would also cut inside a file, but it replaces such a file by a copy that it
// doesn't sync: a power cut could take acknowledged records together with the trimmed ones.

// trim removes what was stored before a time, and the oldest beyond MaxBytes.
func (l *local) trim(ctx context.Context, before time.Time) error {
	expired, err := l.expired(ctx, before)
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	directory := l.directory.blocks(eventsStream)
	blocks, err := directory.blocks()
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	indexes := make([]int, len(blocks))
	for i, b := range blocks {
		indexes[i] = b.index
	}
	if excess := excess(blocks, l.config.MaxBytes); excess > 0 {
		expired = max(expired, max(directory.firstOf(indexes[excess:]), 1)-1)
	}
	if err := l.checkpoint.raiseFloor(expired); err != nil {
		return err
	}
	return l.removeBlocks(ctx, directory, indexes)
}

// expired returns the last position that was stored before a time; the floor while that one can't be read: records that
// are lost must not pass for trimmed.
func (l *local) expired(ctx context.Context, before time.Time) (uint64, error) {
	floor := l.checkpoint.load().Floor
	if before.IsZero() {
		return floor, nil
	}
	position, err := l.positionAt(ctx, before)
	if err != nil || position <= floor {
		return floor, err
	}
	err = l.checkReadable(ctx, position)
	if _, damaged := errors.AsType[*DamageError](err); damaged {
		return floor, nil
	}
	return position, err
}

// expiry is when the oldest retained records were stored.
func (c Config) expiry() time.Time {
	if c.Retention < 0 {
		return time.Time{}
	}
	return time.Now().Add(-c.Retention)
}

// excess returns how many of the oldest blocks don't fit the bound. The last block always stays.
func excess(blocks []block, bound int64) int {
	total := int64(0)
	for i := len(blocks) - 1; i >= 0; i-- {
		if total += blocks[i].size; bound > 0 && total > bound && i+1 < len(blocks) {
			return i + 1
		}
	}
	return 0
}

// removeBlocks removes the files that lie below the floor.
func (l *local) removeBlocks(ctx context.Context, directory blockDirectory, indexes []int) error {
	below := directory.upTo(l.checkpoint.load().Floor+1, indexes) - 1
	if below <= 0 {
		return nil
	}
	first := directory.firstOf(indexes[below:])
	if err := l.events.Purge(ctx, jetstream.WithPurgeSequence(first)); err != nil {
		return fmt.Errorf("trim: %w", engineError(err))
	}
	return nil
}
