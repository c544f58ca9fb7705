package journal

import (
	"context"
	"time"
)

const (
	diskInterval = time.Second
	trimInterval = 10 * time.Second
	// trimTimeout bounds the log engine's part of a trim.
	trimTimeout = time.Minute
)

// maintain keeps an eye on the disk, the log engine and the retention until the journal is closed. It begins with what
// expired while the journal was closed.
func (l *local) maintain(ctx context.Context) {
	l.trimExpired(ctx)
	diskTicker, trimTicker := time.NewTicker(diskInterval), time.NewTicker(trimInterval)
	defer diskTicker.Stop()
	defer trimTicker.Stop()
	for {
		select {
		case <-diskTicker.C:
			l.report(l.disk.check())
			l.report(l.mend(ctx))
		case <-trimTicker.C:
			l.trimExpired(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (l *local) trimExpired(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	l.report(l.trim(ctx, l.config.expiry()))
}

func (l *local) report(err error) {
	if err != nil && !l.isClosed() {
		l.config.Logger.Error("journal maintenance failed", "error", err)
	}
}
