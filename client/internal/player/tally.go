package player

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/deskbridge/deskbridge/client/internal/webhook"
)

// Summary is what became of a run.
type Summary struct {
	// Sent counts posts, retries and duplicates among them.
	Sent uint64
	// Acknowledged counts callbacks, Unacknowledged those that were given up.
	Acknowledged, Unacknowledged uint64
	// Duplicates counts the acknowledged callbacks that were acknowledged once more.
	Duplicates uint64
	// Failures counts posts that were not acknowledged, by kind.
	Failures map[string]uint64
	Elapsed  time.Duration
	// P50, P99 and Max are of the time to an acknowledging answer; the first two to within 2 %.
	P50, P99, Max time.Duration
}

// tally counts. Its size does not depend on how much it counts.
type tally struct {
	mu        sync.Mutex
	counts    Summary
	latencies histogram
}

func (t *tally) answered(latency time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Sent++
	t.latencies.add(latency)
}

func (t *tally) failed(kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Sent++
	if t.counts.Failures == nil {
		t.counts.Failures = map[string]uint64{}
	}
	t.counts.Failures[kind]++
}

func (t *tally) acknowledged() { t.count(&t.counts.Acknowledged) }

func (t *tally) gaveUp() { t.count(&t.counts.Unacknowledged) }

func (t *tally) duplicated() { t.count(&t.counts.Duplicates) }

func (t *tally) count(counter *uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*counter++
}

func (t *tally) summary(elapsed time.Duration) Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	summary := t.counts
	summary.Elapsed = elapsed
	summary.P50, summary.P99 = t.latencies.quantile(0.50), t.latencies.quantile(0.99)
	summary.Max = t.latencies.max
	return summary
}

// failureKind names a failure by what it is, without addresses or texts, so that there are few kinds.
func failureKind(answer *webhook.Answer, err error) string {
	var timeout net.Error
	switch {
	case err == nil && answer.ErrorCode != 0:
		return fmt.Sprintf("HTTP %d, ErrorCode %d", answer.HTTPStatus, answer.ErrorCode)
	case err == nil:
		return fmt.Sprintf("HTTP %d", answer.HTTPStatus)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF):
		return "connection cut"
	default:
		return "connection failed"
	}
}

// bucketGrowth is how much wider each bucket of a histogram is than the one before.
const bucketGrowth = 1.02

// histogram counts durations in buckets that grow by a factor, from a microsecond to about ten minutes.
type histogram struct {
	buckets [1024]uint64
	total   uint64
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	bucket := int(math.Log(float64(max(d, time.Microsecond))/float64(time.Microsecond)) / math.Log(bucketGrowth))
	h.buckets[min(bucket, len(h.buckets)-1)]++
	h.total++
	h.max = max(h.max, d)
}

// quantile returns the upper end of the bucket that holds it, 0 when nothing was added.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := uint64(math.Ceil(q*float64(h.total))), uint64(0)
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= rank {
			upper := float64(time.Microsecond) * math.Pow(bucketGrowth, float64(i+1))
			return min(time.Duration(upper), h.max)
		}
	}
	return 0
}
