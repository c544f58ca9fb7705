package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// benchClient compares the Go client with the generated stub that it is built on, and measures what a subscription
// takes in the consumer's process.
func benchClient(ctx context.Context, _ options, r *report) error {
	var rounds []figures
	for range 5 {
		f, err := goBenchmark(ctx, "client", "BenchmarkRead", "300ms")
		if err != nil {
			return err
		}
		rounds = append(rounds, f)
	}
	r.table("Reading with the Go client", "events in a batch", "client", "over a bare stub",
		"with a FileCursorStore, over a bare stub")
	for _, batch := range []string{"1", "10", "100"} {
		cost := func(f figures, reader string) float64 { return f[reader+"/batch="+batch]["ns/op"] }
		overStub := func(reader string) ratio {
			return ratio(median(rounds, func(f figures) float64 { return cost(f, "stub") / cost(f, reader) }))
		}
		events := median(rounds, func(f figures) float64 { return 1e9 / cost(f, "client") })
		r.row(batch, perSecond(events), overStub("client"), overStub("client+store"))
	}
	return withChild(ctx, func(c *child) error { return benchClientMemory(ctx, c, r) })
}

// benchClientMemory opens idle subscriptions of one client: this process has nothing else.
func benchClientMemory(ctx context.Context, c *child, r *report) error {
	const count = 1000
	bridge, err := client.New(client.Config{Address: c.grpcAddr})
	if err != nil {
		return err
	}
	before := memoryInUse()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	live := make(chan struct{}, count)
	for range count {
		isLive := sync.OnceFunc(func() { live <- struct{}{} })
		hooks := client.Hooks{CaughtUp: func(*deskbridgev1.CaughtUp) { isLive() }}
		group.Go(func() error {
			for _, err := range bridge.Subscribe(ctx, &deskbridgev1.SubscribeRequest{}, client.WithHooks(hooks)) {
				return err
			}
			return nil
		})
	}
	for range count {
		select {
		case <-live:
		case <-ctx.Done():
			return errors.Join(group.Wait(), bridge.Close())
		}
	}
	each := float64(memoryInUse()-before) / count
	cancel()
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return errors.Join(err, bridge.Close())
	}
	r.table("Idle subscriptions of one Go client", "subscriptions", "heap and stacks of the consumer for each")
	r.row(count, fmt.Sprintf("%.1f KiB", each/1024))
	return bridge.Close()
}
