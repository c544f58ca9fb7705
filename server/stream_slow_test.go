package server_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestSlowReaderCostsNobodyElse has one reader at a hundredth of the speed among 199 that keep up. How long each takes
// is for the benchmarks to say; here all must have everything while the slow one has hardly begun.
func TestSlowReaderCostsNobodyElse(t *testing.T) {
	const others, connections, events, size = 199, 10, 300, 8 << 10
	config := testConfig(t)
	config.SendTimeout = 10 * testDeadline // slow is not stuck
	config.WindowBytes = events * size / 4 // the slow one has to fall behind
	b := startBridge(t, config)
	b.journalInfo()
	before := measure()
	ctx, cancel := context.WithTimeout(t.Context(), 4*testDeadline)
	defer cancel()
	slow, closeSlow, err := openGRPC(ctx, b.GRPCAddr(), &deskbridgev1.SubscribeRequest{},
		grpc.WithInitialWindowSize(64<<10), grpc.WithStaticStreamWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer closeSlow()
	if _, err := slow.Recv(); err != nil {
		t.Fatal(err)
	}
	clients, closeClients := b.clients(connections)
	defer closeClients()
	reading, ctx := errgroup.WithContext(ctx)
	for n := range others {
		stream, err := clients[n%connections].Subscribe(ctx, &deskbridgev1.SubscribeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		reading.Go(func() error {
			_, err := expect(stream, 1, events)
			return err
		})
	}
	reading.Go(func() error {
		for n := range events {
			if err := b.tryPost(ctx, longBody(n, size)); err != nil {
				return err
			}
		}
		return nil
	})
	next, err := expect(slow, 1, events/100)
	if err != nil {
		t.Fatal(err)
	}
	if err := reading.Wait(); err != nil {
		t.Fatal(err)
	}
	// Nothing was read for the slow one since: it has one item in its stream, and the rest is in the journal.
	stats := b.FanoutStats()
	during := measure()
	t.Logf("heap: %d KiB before, %d KiB with the slow reader, %d KiB of them the window",
		before.heap>>10, during.heap>>10, stats.WindowBytes>>10)
	if limit := before.heap + uint64(stats.WindowBytes) + 24<<20; during.heap > limit {
		t.Errorf("the heap has %d bytes, want at most %d", during.heap, limit)
	}
	if _, err := expect(slow, next, events); err != nil {
		t.Error(err)
	}
	if b.FanoutStats().FallBehinds == 0 {
		t.Error("the slow reader did not fall behind: the test does not test what it says")
	}
	closeSlow()
	closeClients()
	b.mustReturnTo(before)
}

// TestCutStreamsAreBounded has a client that opens streams on one connection and never reads from them: those that were
// cut must not pile up.
func TestCutStreamsAreBounded(t *testing.T) {
	const perConnection = 1024
	config := testConfig(t)
	config.SendTimeout = 500 * time.Millisecond
	b := startBridge(t, config)
	for n := range 30 {
		b.mustPost(documentQuery, longBody(n, 10_000))
	}
	clients, closeClients := b.clients(1, grpc.WithStaticStreamWindowSize(64<<10))
	defer closeClients()
	open := func(ctx context.Context) (responses, error) {
		return clients[0].Subscribe(ctx, &deskbridgev1.SubscribeRequest{Start: fromEarliest()})
	}
	streams := make([]responses, perConnection)
	for i := range streams {
		var err error
		if streams[i], err = open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := streams[i].Recv(); err != nil { // it is open
			t.Fatal(err)
		}
	}
	b.eventually("the streams are cut", func() bool { return b.FanoutStats().Subscriptions == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := open(ctx); status.Code(err) != codes.DeadlineExceeded {
		t.Fatalf("one more stream: %v", err)
	}
	if _, err := expect(streams[0], 1, 1000); detailOf(t, err).GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER {
		t.Fatalf("a stream that was cut: %v", err)
	}
	if _, err := open(t.Context()); err != nil {
		t.Fatalf("one more stream after one was read: %v", err)
	}
}

// clients are connections of their own.
func (b *bridge) clients(count int, options ...grpc.DialOption) ([]deskbridgev1.SessionEventServiceClient, func()) {
	b.t.Helper()
	clients, closers := make([]deskbridgev1.SessionEventServiceClient, count), make([]func() error, count)
	for i := range clients {
		conn, err := grpc.NewClient(b.GRPCAddr(), append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			b.t.Fatal(err)
		}
		clients[i], closers[i] = deskbridgev1.NewSessionEventServiceClient(conn), conn.Close
	}
	return clients, func() {
		for _, closeConn := range closers {
			_ = closeConn()
		}
	}
}

// expect reads positions first to last, each exactly once, and returns the one behind the batch that has the last.
func expect(stream responses, first, last uint64) (next uint64, err error) {
	for next = first; next <= last; {
		response, err := stream.Recv()
		if err != nil {
			return next, fmt.Errorf("at position %d: %w", next, err)
		}
		for _, event := range response.GetEvents().GetEvents() {
			if event.GetPosition() != next {
				return next, fmt.Errorf("got position %d, want %d", event.GetPosition(), next)
			}
			next++
		}
	}
	return next, nil
}
