package journal_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// replayed is how many events the replay benchmarks read; JOURNAL_EVENTS sets another number.
func replayed(b *testing.B) int {
	b.Helper()
	text := os.Getenv("JOURNAL_EVENTS")
	if text == "" {
		return 200_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkReplay compares a Reader with an ordered consumer of the same log engine that looks at nothing.
func BenchmarkReplay(b *testing.B) {
	events := replayed(b)
	b.Run("journal", func(b *testing.B) {
		j := open(b, journal.Config{AckTimeout: time.Minute})
		appendConcurrently(b, j, events)
		measureReplay(b, events, func() { readAll(b, j, events) })
	})
	b.Run("consumer", func(b *testing.B) {
		js := bare(b, false)
		publishAll(b, js, events)
		measureReplay(b, events, func() { consumeAll(b, js, events) })
	})
}

func measureReplay(b *testing.B, events int, replay func()) {
	b.Helper()
	replay() // once for the caches
	before := processorTime(b)
	b.ResetTimer()
	for range b.N {
		replay()
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric((processorTime(b)-before)/float64(b.N*events), "cpu-µs/event")
}

func appendConcurrently(b *testing.B, j *journal.Journal, events int) {
	b.Helper()
	appendAll(b, j, events, benchEntry)
}

func appendAll(b *testing.B, j *journal.Journal, events int, entry func(n int) journal.Entry) {
	b.Helper()
	calls, ctx := errgroup.WithContext(b.Context())
	calls.SetLimit(1024)
	for n := range events {
		calls.Go(func() error {
			_, err := j.Append(ctx, entry(n))
			return err
		})
	}
	if err := calls.Wait(); err != nil {
		b.Fatal(err)
	}
}

func publishAll(b *testing.B, js jetstream.JetStream, events int) {
	b.Helper()
	for n := range events {
		if _, err := js.PublishMsgAsync(benchMessage(n)); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 999 {
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
}

func readAll(b *testing.B, j *journal.Journal, events int) {
	b.Helper()
	r := j.NewReader(0)
	defer r.Close()
	for read := 0; read < events; {
		records, err := r.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		read += len(records)
	}
}

func consumeAll(b *testing.B, js jetstream.JetStream, events int) {
	b.Helper()
	consumer, err := js.OrderedConsumer(b.Context(), "events", jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	read, done := 0, make(chan struct{})
	consume, err := consumer.Consume(func(jetstream.Msg) {
		if read++; read == events {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	<-done
	consume.Stop()
	<-consume.Closed()
}

// BenchmarkTail is the time from before Append until a following Reader has the record, for a single caller; compare it
// with BenchmarkAppend/journal/1, which is the same without the reader.
func BenchmarkTail(b *testing.B) {
	j := open(b, journal.Config{AckTimeout: time.Minute})
	r := j.NewReader(0)
	defer r.Close()
	read := make(chan time.Time, 1)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() {
		for {
			if _, err := r.Next(ctx); err != nil {
				return
			}
			read <- time.Now()
		}
	}()
	var behind time.Duration
	b.ResetTimer()
	for n := range b.N {
		appendEntry(b, j, benchEntry(n))
		acknowledged := time.Now()
		behind += (<-read).Sub(acknowledged)
	}
	b.ReportMetric(float64(behind.Microseconds())/float64(b.N), "µs-behind-ack")
}
