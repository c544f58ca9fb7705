package server_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

var streamAborts = flag.Int("stream.aborts", 1000, "streams that are opened and aborted in each way")

// TestAbortedStreamsLeaveNothing opens streams and aborts them at any moment, some before they have been answered.
func TestAbortedStreamsLeaveNothing(t *testing.T) {
	seed := drawnSeed(t)
	b := startBridge(t, testConfig(t))
	for n := range 50 {
		b.mustPost(documentQuery, sessionBody("a", n))
	}
	b.journalInfo()
	before := measure()
	for _, way := range allWays {
		t.Run(way, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), testDeadline+time.Duration(*streamAborts)*20*time.Millisecond)
			defer cancel()
			aborts, ctx := errgroup.WithContext(ctx)
			aborts.SetLimit(20)
			for n := range *streamAborts {
				aborts.Go(func() error { return b.openAndAbort(ctx, way, rand.New(rand.NewPCG(seed, uint64(n)))) })
			}
			if err := aborts.Wait(); err != nil {
				t.Fatal(err)
			}
		})
	}
	b.mustReturnTo(before)
}

func (b *bridge) openAndAbort(ctx context.Context, way string, rng *rand.Rand) error {
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if rng.IntN(3) == 0 {
		time.AfterFunc(time.Duration(rng.IntN(5000))*time.Microsecond, cancel)
	}
	stream, closeStream, err := openStream(ctx, way, b.addr(way), &deskbridgev1.SubscribeRequest{
		Start: drawStart(rng).Start, Filter: drawFilter(rng).EventFilter,
	})
	if err == nil {
		defer closeStream()
		for range rng.IntN(3) { // opened and caught_up come at once
			if _, err = stream.Recv(); err != nil {
				break
			}
		}
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("over %s: %w", way, err)
	}
	return parent.Err()
}
