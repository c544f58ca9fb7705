package access

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

const (
	check = healthv1.Health_Check_FullMethodName
	watch = healthv1.Health_Watch_FullMethodName
)

// admitAll admits a stranger's calls up to the bound, and returns the context of one of them.
func admitAll(ctx context.Context, t *testing.T, c *Control, method string) (last context.Context) {
	t.Helper()
	for range maxCalls {
		var err error
		if last, err = c.Admit(ctx, method, Caller{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Admit(ctx, method, Caller{}); !errors.Is(err, ErrLimit) {
		t.Fatalf("one more: %v", err)
	}
	return last
}

// TestStrangersCannotUseUpHealthChecks: neither with streams that they keep, nor with calls whose request never ends.
func TestStrangersCannotUseUpHealthChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := NewControl(&Policy{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		watching := admitAll(ctx, t, c, watch)
		checking := admitAll(ctx, t, c, check)
		time.Sleep(maxCallTime)
		synctest.Wait()
		if err := checking.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call without end: %v", err)
		}
		admitAll(ctx, t, c, check)
		if err := watching.Err(); err != nil {
			t.Errorf("a stream has ended: %v", err)
		}
		cancel()
		synctest.Wait()
		if len(c.leases) > 0 || *c.usage[""] != (usage{limiter: c.usage[""].limiter}) {
			t.Errorf("%d leases are left, and %v under way", len(c.leases), c.usage[""].underWay)
		}
	})
}

// TestCloseEndsWhatNothingElseEnds leaves calls, which are answered.
func TestCloseEndsWhatNothingElseEnds(t *testing.T) {
	t.Parallel()
	c := NewControl(&Policy{}, 1)
	watching, err := c.Admit(t.Context(), watch, Caller{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := Ended(watching); !errors.Is(err, ErrClosed) {
		t.Errorf("a stream of health: %v", err)
	}
	if _, err := c.Admit(t.Context(), watch, Caller{}); !errors.Is(err, ErrClosed) {
		t.Errorf("another one: %v", err)
	}
	if checking, err := c.Admit(t.Context(), check, Caller{}); err != nil || checking.Err() != nil {
		t.Errorf("a call: %v", err)
	}
}
