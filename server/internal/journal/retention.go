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
	blocks, err := l.directory.blocks(eventsStream).blocks()
	if err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	floor := max(expired, excess(blocks, l.config.MaxBytes))
	if floor > l.checkpoint.load().Floor {
		if err := l.checkpoint.raiseFloor(floor); err != nil {
			return err
		}
	}
	return l.removeBlocks(ctx, blocks)
}

// expired returns the last position that was stored before a time; the floor while that one can't be read: records that
// are lost must not pass for trimmed.
func (l *local) expired(ctx context.Context, before time.Time) (uint64, error) {
	floor := l.checkpoint.load().Floor
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

// excess returns the last position of the oldest blocks that don't fit the bound. The last block always stays.
func excess(blocks []block, bound int64) uint64 {
	total := int64(0)
	for i := len(blocks) - 1; i >= 0; i-- {
		if total += blocks[i].size; bound > 0 && total > bound && i+1 < len(blocks) {
			return blocks[i+1].first - 1
		}
	}
	return 0
}

// removeBlocks removes the files that lie below the floor.
func (l *local) removeBlocks(ctx context.Context, blocks []block) error {
	floor, first := l.checkpoint.load().Floor, uint64(0)
	for _, b := range blocks {
		if b.first <= floor+1 {
			first = b.first
		}
	}
	if len(blocks) == 0 || first <= blocks[0].first {
		return nil
	}
	if err := l.events.Purge(ctx, jetstream.WithPurgeSequence(first)); err != nil {
		return fmt.Errorf("trim: %w", engineError(err))
	}
	return nil
}
