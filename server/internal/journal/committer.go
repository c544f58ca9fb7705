package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// queueLimit bounds the entries that wait to be published.
	queueLimit = 4096
	// groupEntries and groupBytes bound a group: what the log engine has to hold at once, and how long the first entry
	// waits for the last.
	groupEntries = 1024
	groupBytes   = 8 << 20
	// closeLimit is how long close waits for a disk that hangs.
	closeLimit = 10 * time.Second
)

// committer is the group commit: whatever waits is published together, and synced together. Neither step waits to have
// more to do, so a single caller pays one round trip and one sync, and a thousand share them.
//
// Two goroutines: while one group is synced the next one is published.
type committer struct {
	committerConfig

	queue     chan *pending
	published chan []*pending
	held      *pending // taken from the queue, but too large for the group
	stop      chan struct{}
	stopped   chan struct{}
	broken    atomic.Pointer[error] // why nothing is acknowledged any more
	closed    atomic.Pointer[error] // why nothing is taken any more
}

type committerConfig struct {
	publish  func(ctx context.Context, group []*pending) error // sets the result of every entry; an error is final
	sync     func() error                                      // makes everything that was published so far durable
	interval <-chan time.Time                                  // when to sync, nil for each group
	advance  func(position uint64) error                       // called when everything up to the position is on disk
	release  func() error                                      // called by close, at the end
	logger   *slog.Logger
}

func startCommitter(ctx context.Context, config committerConfig) *committer {
	c := &committer{
		committerConfig: config,
		queue:           make(chan *pending, queueLimit),
		published:       make(chan []*pending),
		stop:            make(chan struct{}),
		stopped:         make(chan struct{}),
	}
	go c.publishGroups(context.WithoutCancel(ctx))
	go c.complete()
	return c
}

// close syncs what was published, and fails what still waits, and whatever comes later, with the reason. Who calls it
// again changes the reason.
func (c *committer) close(reason error) error {
	first := c.closed.Swap(&reason) == nil
	if first {
		close(c.stop)
	}
	select {
	case <-c.stopped:
	case <-time.After(closeLimit):
		return fmt.Errorf("%w: a sync has not returned for %s", ErrUnavailable, closeLimit)
	}
	if first {
		return errors.Join(c.err(), c.release())
	}
	return c.err()
}

// refusal is why nothing is taken any more.
func (c *committer) refusal() error {
	if reason := c.closed.Load(); reason != nil {
		return *reason
	}
	return c.err()
}

// err is not nil once something has failed for good.
func (c *committer) err() error {
	if broken := c.broken.Load(); broken != nil {
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrBroken, *broken)
	}
	return nil
}

func (c *committer) enqueue(p *pending) error {
	if reason := c.closed.Load(); reason != nil {
		return *reason
	}
	select {
	case c.queue <- p:
		return nil
	default:
		return fmt.Errorf("%w: %d entries wait already", ErrUnavailable, queueLimit)
	}
}

func (c *committer) publishGroups(ctx context.Context) {
	defer close(c.published)
	for c.hold() {
		if entries := c.gather(); len(entries) > 0 {
			c.publishGroup(ctx, entries)
			c.published <- entries
		}
	}
}

func (c *committer) publishGroup(ctx context.Context, entries []*pending) {
	if c.err() != nil {
		return // complete fails them
	}
	c.try(func() error { return c.publish(ctx, entries) })
}

// hold returns true with an entry in held, false after close.
func (c *committer) hold() bool {
	if c.held == nil {
		select {
		case c.held = <-c.queue:
		case <-c.stop:
			return false
		}
	}
	return true
}

// gather takes held and what waits behind it, as far as it makes one group.
func (c *committer) gather() []*pending {
	g, bytes := newGroup(), 0
	for c.held != nil && len(g.entries) < groupEntries {
		if bytes += len(c.held.message.Data); bytes > groupBytes && len(g.entries) > 0 {
			break
		}
		g.add(c.held)
		select {
		case c.held = <-c.queue:
		default:
			c.held = nil
		}
	}
	return g.entries
}

// complete syncs and answers. When a sync fails nobody knows what is on disk, and a second one that succeeds would not
// mean that it is: nothing is acknowledged any more until the journal is opened anew. The same holds when the log
// engine has lost records.
func (c *committer) complete() {
	defer close(c.stopped)
	for {
		select {
		case group, open := <-c.published:
			if !open {
				c.syncOnce()
				c.refuse()
				return
			}
			if c.interval == nil {
				c.syncOnce()
			}
			c.answer(group)
		case <-c.interval:
			c.syncOnce()
		}
	}
}

func (c *committer) syncOnce() { c.try(c.sync) }

// try does nothing once something has failed.
func (c *committer) try(step func() error) {
	if c.broken.Load() != nil {
		return
	}
	if err := step(); err != nil && c.broken.CompareAndSwap(nil, &err) {
		c.logger.Error("the journal takes no more entries until it is opened anew", "error", err)
	}
}

func (c *committer) answer(group []*pending) {
	last := uint64(0)
	for _, p := range group {
		last = max(last, p.result.receipt.Position)
	}
	err := c.err()
	if err == nil {
		err = c.advance(last)
	}
	if err != nil {
		fail(group, err)
	}
	for _, p := range group {
		p.finish()
	}
}

// refuse empties the queue after close.
func (c *committer) refuse() {
	if c.held != nil {
		fail([]*pending{c.held}, c.refusal())
		c.held.finish()
	}
	for {
		select {
		case p := <-c.queue:
			fail([]*pending{p}, c.refusal())
			p.finish()
		default:
			return
		}
	}
}

// group is what is published together. A callback that comes many times at once takes one place in it.
type group struct {
	entries []*pending
	byKey   map[key]*pending
}

func newGroup() *group { return &group{byKey: map[key]*pending{}} }

func (g *group) add(p *pending) {
	if time.Now().After(p.deadline) {
		return // its Append has returned
	}
	if first := g.byKey[p.key]; first != nil {
		first.copies = append(first.copies, p)
		return
	}
	g.byKey[p.key] = p
	g.entries = append(g.entries, p)
}
