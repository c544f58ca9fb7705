package journal

import (
	"context"
	"errors"
	"fmt"
)

// openStreams opens the streams. Where there is a checkpoint there were streams, and new ones would be a loss.
func (l *local) openStreams(ctx context.Context) error {
	var made bool
	var err error
	if l.events, made, err = openStream(ctx, l.reader, eventsConfig(l.config), l.checkpoint == nil); err != nil {
		return err
	}
	l.quarantine, _, err = openStream(ctx, l.reader, quarantineConfig(l.config), l.checkpoint == nil)
	if err != nil {
		return err
	}
	l.epochs = epochsOf(l.events.CachedInfo().Config.Metadata)
	if l.checkpoint == nil && !made {
		l.config.Logger.Warn("the journal has no checkpoint: its positions get a new epoch")
		return l.renew(ctx, l.events.CachedInfo().State.LastSeq)
	}
	return nil
}

// recover compares what is stored with what was promised.
func (l *local) recover(ctx context.Context) error {
	if err := syncTree(l.directory.path); err != nil {
		return err
	}
	if err := l.directory.keepSettings(); err != nil {
		return err
	}
	err := l.compare(ctx)
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("acknowledged records are lost: %w; remove the file %q to go on without them, under a new epoch",
			err, checkpointFile)
	}
	if err != nil {
		return err
	}
	boot := uint64(0)
	if l.config.Sync == SyncInterval {
		boot = bootID()
	}
	if err := l.checkpoint.setBoot(boot); err != nil {
		return err
	}
	l.durable.advance(l.checkpoint.load().Head)
	if err := l.missing(ctx, 0); err != nil {
		l.config.Logger.Error("the journal has gaps, which readers will not pass", "error", err)
	}
	return nil
}

func (l *local) compare(ctx context.Context) error {
	info, err := l.events.Info(ctx)
	if err != nil {
		return engineError(err)
	}
	first, last := info.State.FirstSeq, info.State.LastSeq
	if l.checkpoint == nil {
		l.checkpoint, err = createCheckpoint(l.config.Dir, checkpointState{Floor: max(first, 1) - 1, Head: last})
		return err
	}
	promised := l.checkpoint.load()
	copied, err := l.checkpoint.isCopy()
	missing := max(promised.Head, last) - last
	switch {
	case err != nil:
		return err
	case promised.Boot != 0 && promised.Boot != bootID():
		l.config.Logger.Error("the machine went down: the last second of acknowledged events may be lost",
			"missing", missing)
		return l.startOver(ctx, promised.Floor, last)
	case missing > 0 && !copied:
		return &DamageError{last + 1, promised.Head}
	}
	if err := l.checkLast(ctx, last, promised.Floor); err != nil {
		return err
	}
	if copied {
		l.config.Logger.Warn("the data directory is a copy: it goes on under a new epoch", "head", last, "missing", missing)
		return l.startOver(ctx, promised.Floor, last)
	}
	return l.checkpoint.raiseHead(last)
}

// startOver goes on with what there is, under a new epoch.
func (l *local) startOver(ctx context.Context, floor, head uint64) error {
	return errors.Join(l.renew(ctx, head), l.checkpoint.close(), l.replaceCheckpoint(floor, head))
}

// checkLast reads the last record. The log engine looks at a block when it first needs it, cuts off what it can't read
// at the end, and gives those positions again.
func (l *local) checkLast(ctx context.Context, last, floor uint64) error {
	if last == floor {
		return nil
	}
	records, err := l.fetch(ctx, last)
	if err == nil && len(records) == 0 {
		err = &DamageError{last, last}
	}
	return err
}

func (l *local) replaceCheckpoint(floor, head uint64) (err error) {
	l.checkpoint, err = createCheckpoint(l.config.Dir, checkpointState{Floor: min(floor, head), Head: head})
	return err
}

// renew gives the journal a new epoch: positions behind end may come again, or have come already elsewhere, for other
// records. Up to there the old epoch's cursors stay good.
func (l *local) renew(ctx context.Context, end uint64) error {
	config := l.events.CachedInfo().Config
	renewEpoch(config.Metadata, end)
	stream, err := l.reader.UpdateStream(ctx, config)
	if err != nil {
		return fmt.Errorf("new epoch: %w", engineError(err))
	}
	l.events, l.epochs = stream, epochsOf(config.Metadata)
	if err := syncTree(l.directory.streams()); err != nil {
		return err
	}
	return l.directory.keepSettings()
}
