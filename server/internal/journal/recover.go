package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// openStreams opens the streams. Where there is a checkpoint there were streams, and new ones would be a loss.
func (j *Journal) openStreams(ctx context.Context) error {
	var made bool
	var err error
	if j.events, made, err = openStream(ctx, j.reader, eventsConfig(j.config), j.checkpoint == nil); err != nil {
		return err
	}
	j.quarantine, _, err = openStream(ctx, j.reader, quarantineConfig(j.config), j.checkpoint == nil)
	if err != nil {
		return err
	}
	j.epoch = j.events.CachedInfo().Config.Metadata[epochKey]
	if j.checkpoint == nil && !made {
		j.config.Logger.Warn("the journal has no checkpoint: its positions get a new epoch")
		return j.renew(ctx)
	}
	return nil
}

// recover compares what is stored with what was promised.
func (j *Journal) recover(ctx context.Context) error {
	if err := syncTree(j.directory.streams()); err != nil {
		return err
	}
	err := j.compare(ctx)
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("acknowledged records are lost: %w; remove the file %q to go on without them, under a new epoch",
			err, checkpointFile)
	}
	if err != nil {
		return err
	}
	boot := uint64(0)
	if j.config.Sync == SyncInterval {
		boot = bootID()
	}
	if err := j.checkpoint.setBoot(boot); err != nil {
		return err
	}
	j.durable.advance(j.checkpoint.load().Head)
	if err := j.missing(ctx, 0); err != nil {
		j.config.Logger.Error("the journal has gaps, which readers will not pass", "error", err)
	}
	return nil
}

func (j *Journal) compare(ctx context.Context) error {
	info, err := j.events.Info(ctx)
	if err != nil {
		return engineError(err)
	}
	first, last := info.State.FirstSeq, info.State.LastSeq
	if j.checkpoint == nil {
		j.checkpoint, err = createCheckpoint(j.config.Dir, checkpointState{Floor: max(first, 1) - 1, Head: last})
		return err
	}
	promised := j.checkpoint.load()
	if promised.Boot != 0 && promised.Boot != bootID() {
		j.config.Logger.Error("the machine went down: the last second of acknowledged events may be lost",
			"missing", max(promised.Head, last)-last)
		return errors.Join(j.renew(ctx), j.checkpoint.close(), j.replaceCheckpoint(promised.Floor, last))
	}
	if last < promised.Head {
		return &DamageError{last + 1, promised.Head}
	}
	if err := j.checkLast(ctx, last, promised.Floor); err != nil {
		return err
	}
	return j.checkpoint.raiseHead(last)
}

// checkLast reads the last record. The log engine looks at a block when it first needs it, cuts off what it can't read
// at the end, and gives those positions again.
func (j *Journal) checkLast(ctx context.Context, last, floor uint64) error {
	if last == floor {
		return nil
	}
	records, err := j.fetch(ctx, 1, jetstreamext.GetBatchSeq(last))
	if err == nil && len(records) == 0 {
		err = &DamageError{last, last}
	}
	return err
}

func (j *Journal) replaceCheckpoint(floor, head uint64) (err error) {
	j.checkpoint, err = createCheckpoint(j.config.Dir, checkpointState{Floor: min(floor, head), Head: head})
	return err
}

// renew gives the journal a new epoch: positions that readers know may come again for other records.
func (j *Journal) renew(ctx context.Context) error {
	config := j.events.CachedInfo().Config
	config.Metadata[epochKey] = newEpoch()
	stream, err := j.reader.UpdateStream(ctx, config)
	if err != nil {
		return fmt.Errorf("new epoch: %w", engineError(err))
	}
	j.events, j.epoch = stream, config.Metadata[epochKey]
	return nil
}
