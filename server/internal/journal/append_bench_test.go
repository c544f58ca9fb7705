package journal_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/errgroup"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// BenchmarkAppend compares the group commit with what else the log engine offers, all durable. Read the ratios within
// one run; a machine's sync and its other load change all of them.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256, 1024} {
		b.Run(fmt.Sprintf("journal/%d", callers), func(b *testing.B) {
			j := open(b, journal.Config{AckTimeout: time.Minute})
			callConcurrently(b, callers, func(ctx context.Context, n int) error {
				_, err := j.Append(ctx, benchEntry(n))
				return err
			})
		})
		b.Run(fmt.Sprintf("publish/%d", callers), func(b *testing.B) {
			js := bare(b, true)
			callConcurrently(b, callers, func(ctx context.Context, n int) error {
				_, err := js.PublishMsg(ctx, benchMessage(n))
				return err
			})
		})
		b.Run(fmt.Sprintf("batch/%d", callers), func(b *testing.B) {
			js := bare(b, true)
			size := min(callers, 1000)
			callConcurrently(b, 1, func(ctx context.Context, n int) error {
				if n%size != 0 {
					return nil
				}
				batch := make([]*nats.Msg, size)
				for i := range batch {
					batch[i] = benchMessage(n + i)
				}
				_, err := jetstreamext.PublishMsgBatch(ctx, js, batch, jetstreamext.BatchFlowControl{})
				return err
			})
		})
	}
}

// callConcurrently calls call b.N times from some goroutines, with its number.
func callConcurrently(b *testing.B, callers int, call func(ctx context.Context, n int) error) {
	b.Helper()
	b.ReportAllocs()
	var next atomic.Int64
	calls, ctx := errgroup.WithContext(b.Context())
	before := processorTime(b)
	b.ResetTimer()
	for range callers {
		calls.Go(func() error {
			for {
				n := next.Add(1) - 1
				if n >= int64(b.N) {
					return nil
				}
				if err := call(ctx, int(n)); err != nil {
					return err
				}
			}
		})
	}
	if err := calls.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((processorTime(b)-before)/float64(b.N), "cpu-µs/event")
}

// processorTime is what the process has used, in microseconds.
func processorTime(b *testing.B) float64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1000
}

func benchEntry(n int) journal.Entry {
	return journal.Entry{
		AppID:     "1400000000",
		SessionID: fmt.Sprintf("session-%d", n/10),
		DedupeKey: fmt.Sprintf("0123456789abcdef-%d", n),
		Data:      bytes.Repeat([]byte("x"), 400),
	}
}

func benchMessage(n int) *nats.Msg {
	e := benchEntry(n)
	message := nats.NewMsg("event." + e.SessionID + "." + e.AppID)
	message.Header.Set(jetstream.MsgIDHeader, e.DedupeKey)
	message.Data = e.Data
	return message
}

// bare is an embedded JetStream without a journal; sync makes it sync every write.
func bare(b *testing.B, sync bool) jetstream.JetStream {
	b.Helper()
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: b.TempDir(), SyncAlways: sync, NoSigs: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	connection, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		connection.Close()
		s.Shutdown()
		s.WaitForShutdown()
	})
	js, err := jetstream.New(connection)
	if err != nil {
		b.Fatal(err)
	}
	_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{
		Name: "events", Subjects: []string{"event.>"}, AllowAtomicPublish: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	return js
}
