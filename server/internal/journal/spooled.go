package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// spooled is the log of a process that uses a cluster: entries go there, or into the spool as long as the cluster
// doesn't take them or older ones wait in the spool. It reads from the cluster only.
type spooled struct {
	*cluster
	config    Config
	spool     *spool
	committer *committer
	closing   sync.Once
	drainer   sync.WaitGroup
	stopDrain context.CancelFunc
}

func openSpooled(ctx context.Context, config Config) (*spooled, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	c, err := openCluster(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	spool, err := openSpool(ctx, config.forSpool(), c.deliver)
	if err != nil {
		c.close()
		return nil, err
	}
	s := &spooled{cluster: c, config: config, spool: spool}
	s.committer = startCommitter(ctx, committerConfig{
		publish: s.publish,
		sync:    func() error { return nil }, // both have synced
		advance: func(uint64) error { return nil },
		release: func() error { return nil },
		logger:  config.Logger,
	})
	ctx, s.stopDrain = context.WithCancel(context.WithoutCancel(ctx))
	s.drainer.Go(func() { spool.drain(ctx) })
	return s, nil
}

// Append implements log.
func (s *spooled) Append(ctx context.Context, entry Entry) (Receipt, error) {
	if err := entry.checkSize(); err != nil {
		return Receipt{}, err
	}
	return s.committer.append(ctx, newPending(entry, time.Now().Add(s.config.AckTimeout)))
}

// publish is the only place where entries come to the cluster or the spool: so what is spooled can't be overtaken.
func (s *spooled) publish(ctx context.Context, group []*pending) error {
	left := group
	if s.spool.awaitEmpty(ctx) {
		left = s.offer(ctx, group)
	}
	if len(left) > 0 {
		s.spool.put(left)
	}
	for _, e := range left {
		if e.result.err != nil {
			e.result.err = fmt.Errorf("journal: append: %w", e.result.err)
		}
	}
	return nil
}

// offer gives the cluster half of the time that is left for the first entry, and returns what it didn't take.
func (s *spooled) offer(ctx context.Context, group []*pending) []*pending {
	ctx, cancel := context.WithTimeout(ctx, time.Until(group[0].deadline)/2)
	defer cancel()
	s.cluster.publish(ctx, group)
	var left []*pending
	for _, e := range group {
		if e.result.err != nil {
			left = append(left, e)
		}
	}
	if len(left) > 0 {
		s.config.Logger.Warn("the cluster doesn't take events: they are spooled", "error", left[0].result.err)
	}
	return left
}

// Quarantine implements log.
func (s *spooled) Quarantine() *Quarantine { return s.spool.local.Quarantine() }

// Ready implements log.
func (s *spooled) Ready() error {
	if s.isClosed() {
		return ErrClosed
	}
	if s.spool.backlog() > 0 && !s.spool.flowing.Load() {
		return fmt.Errorf("%w: the cluster doesn't take events, they are spooled", ErrUnavailable)
	}
	return errors.Join(s.ready(), s.spool.local.Ready())
}

// Accepts implements log.
func (s *spooled) Accepts() error {
	switch err := s.Ready(); {
	case err == nil:
		return nil
	case s.isClosed():
		return ErrClosed
	case errors.Is(err, ErrBroken):
		return err
	default:
		return errors.Join(s.spool.hasRoom(usualEntry), s.spool.local.Accepts())
	}
}

// Disk implements log.
func (s *spooled) Disk() DiskStats { return s.spool.local.Disk() }

// Close implements log.
func (s *spooled) Close() (err error) {
	s.closing.Do(func() {
		// 1. What waits to be stored is stored or spooled, and answered. 2. The drain ends; what it hasn't moved stays.
		// 3. The connections go. 4. The spool's directory is free.
		err = s.committer.close(ErrClosed)
		s.stopDrain()
		s.drainer.Wait()
		s.close()
		err = errors.Join(err, s.spool.local.Close())
	})
	return err
}
