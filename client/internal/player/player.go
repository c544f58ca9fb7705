// Package player posts simulated sessions to a webhook: many at once, each strictly in order, at a given rate. It keeps
// no history, so that a run may last as long as it likes; what was acknowledged can be written to a record.
package player

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/deskbridge/deskbridge/client/internal/simulate"
	"github.com/deskbridge/deskbridge/client/internal/webhook"
)

// Config says what to play, and how.
type Config struct {
	Poster *webhook.Poster
	// Seed decides everything about the sessions but the times.
	Seed uint64
	// Sessions to play; until the context ends when 0.
	Sessions uint64
	// Concurrency is how many sessions are under way at once; at least 1.
	Concurrency int
	// Rate of posts over all sessions, in one second. As fast as answers come when 0.
	Rate float64
	// Timeout of one post.
	Timeout time.Duration
	// RetryFor is how long a callback that is not acknowledged is posted again. Never when 0, as the vendor by default.
	RetryFor time.Duration
	// Duplicates is the share of callbacks that are posted once more after their acknowledgement, from 0 to 1.
	Duplicates float64
	// Record is told of each acknowledged callback, once. May be nil.
	Record *Record
	// SessionDone is called after each session, concurrently. May be nil.
	SessionDone func()
}

// Player plays once.
type Player struct {
	config  Config
	limiter *rate.Limiter
	next    atomic.Uint64
	tally   tally
}

// New returns a Player.
func New(config Config) *Player {
	limit := rate.Inf
	if config.Rate > 0 {
		limit = rate.Limit(config.Rate)
	}
	return &Player{config: config, limiter: rate.NewLimiter(limit, 1)}
}

// Run plays until all sessions are over or the context ends; a post that is under way then is waited for. The summary
// is always valid. An error is one of the record: callbacks that the webhook refuses are in the summary.
func (p *Player) Run(ctx context.Context) (Summary, error) {
	started := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range p.config.Concurrency {
		group.Go(func() error { return p.playSessions(ctx) })
	}
	err := group.Wait()
	return p.tally.summary(time.Since(started)), err
}

func (p *Player) playSessions(ctx context.Context) error {
	for ctx.Err() == nil {
		index := p.next.Add(1) - 1
		if p.config.Sessions > 0 && index >= p.config.Sessions {
			return nil
		}
		if err := p.playSession(ctx, index); err != nil {
			return err
		}
		if ctx.Err() == nil && p.config.SessionDone != nil {
			p.config.SessionDone()
		}
	}
	return nil
}

// playSession posts the next callback of the session after the answer to the one before, whatever that was.
func (p *Player) playSession(ctx context.Context, index uint64) error {
	// Apart from the session's own randomness, so that the share of duplicates does not change the session.
	repeats := rand.New(rand.NewPCG(^p.config.Seed, index)) //nolint:gosec // repeatable, not secret
	for i, callback := range simulate.Session(p.config.Seed, index) {
		body, err := callback.Body(time.Now())
		if err != nil {
			return err
		}
		post := webhook.Callback{
			Command: webhook.SessionEventCommand, ClientIP: callback.ClientIP, Platform: callback.Platform,
			RequestID: callback.RequestID, Body: body,
		}
		repeat := repeats.Float64() < p.config.Duplicates
		if !p.deliver(ctx, post) {
			continue
		}
		if err := p.config.Record.add(&callback, i+1); err != nil {
			return err
		}
		if repeat {
			p.repeat(ctx, post)
		}
	}
	return nil
}

// deliver posts until the callback is acknowledged, or may not be posted again.
func (p *Player) deliver(ctx context.Context, post webhook.Callback) (acknowledged bool) {
	deadline := time.Now().Add(p.config.RetryFor)
	pause := 50 * time.Millisecond
	for {
		if p.limiter.Wait(ctx) != nil {
			return false
		}
		if p.post(ctx, post) {
			p.tally.acknowledged()
			return true
		}
		if time.Now().After(deadline) {
			p.tally.gaveUp()
			return false
		}
		if !sleep(ctx, pause/2+rand.N(pause)) { //nolint:gosec // nothing to guess
			return false
		}
		pause = min(2*pause, time.Second)
	}
}

// repeat posts an acknowledged callback again, as the vendor does when the answer was lost.
func (p *Player) repeat(ctx context.Context, post webhook.Callback) {
	if p.limiter.Wait(ctx) == nil && p.post(ctx, post) {
		p.tally.duplicated()
	}
}

// post posts once. It is not cut when the context ends: its fate would be unknown.
func (p *Player) post(ctx context.Context, post webhook.Callback) (acknowledged bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.config.Timeout)
	defer cancel()
	started := time.Now()
	answer, err := p.config.Poster.Post(ctx, post)
	if err == nil && answer.Acknowledged() {
		p.tally.answered(time.Since(started))
		return true
	}
	p.tally.failed(failureKind(answer, err))
	return false
}

func sleep(ctx context.Context, duration time.Duration) (whole bool) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
