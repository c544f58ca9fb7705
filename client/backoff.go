package client

import (
	"math/rand/v2"
	"time"
)

const (
	minBackoff    = 100 * time.Millisecond
	maxBackoff    = 10 * time.Second
	backoffGrowth = 2
)

// backoffDelay paces attempts: from minBackoff, doubling, to maxBackoff. Each delay is drawn from the upper half of its
// range, so that clients cut by one restart don't come back as one.
type backoffDelay struct {
	ceiling time.Duration
}

func (b *backoffDelay) next() time.Duration {
	b.ceiling = min(max(b.ceiling*backoffGrowth, minBackoff), maxBackoff)
	return b.ceiling/2 + rand.N(b.ceiling/2+1) //nolint:gosec // nothing to guess
}

func (b *backoffDelay) reset() { b.ceiling = 0 }
