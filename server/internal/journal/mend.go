package journal

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
)

// mend starts the log engine anew when it has failed. After one write that failed, be it for want of room, the engine
// takes nothing more, and answers nothing: callers would wait in vain, for as long as the process lives. Readers don't
// notice: they have the files.
//
// A sync that failed is not mended: what is on disk then is for an operator to find out.
func (l *local) mend(ctx context.Context) error {
	if l.committer.Load().broken.Load() != nil || l.keeper.Load().broken.Load() != nil {
		return nil
	}
	failure := cmp.Or(l.refusal(), engineHealth(l.embedded))
	if failure == nil {
		return nil
	}
	l.config.Logger.Warn("the log engine has failed: it is started anew", "error", failure)
	if err := l.closeCommitters(failure); err != nil {
		return err
	}
	if err := l.restartEngine(ctx); err != nil {
		err = fmt.Errorf("%w: %w: the log engine can't be started anew: %w", ErrUnavailable, ErrBroken, err)
		_ = l.closeCommitters(err) // until the next attempt
		return err
	}
	l.config.Logger.Info("the log engine runs again")
	return nil
}

// checkFiles is for an engine that would cut damaged files off. They can be salvaged only while nobody reads them.
func (l *local) checkFiles() error {
	for stream, promised := range l.promised() {
		damaged, err := l.directory.blocks(stream).damaged(promised)
		if err != nil {
			return err
		}
		if len(damaged) > 0 {
			return fmt.Errorf("%w: %s", ErrDamaged, damaged[0].path)
		}
	}
	return nil
}

// restartEngine keeps the server, so that its clients stay connected, and what they know of the streams stays valid.
func (l *local) restartEngine(ctx context.Context) error {
	if err := l.embedded.ShutdownJetStream(); err != nil {
		return err
	}
	if err := l.checkFiles(); err != nil {
		return err
	}
	err := l.embedded.EnableJetStream(&server.JetStreamConfig{
		StoreDir: l.directory.streams(), MaxStore: maxStore, Strict: true,
	})
	if err != nil {
		return err
	}
	if err := l.recover(ctx); err != nil {
		return err
	}
	return l.replaceCommitters(ctx)
}
