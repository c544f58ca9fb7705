package journal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// BenchmarkOpen opens a journal of JOURNAL_EVENTS events in sessions of ten: one that was closed, one whose process was
// killed, for which the log engine reads every block again, and one whose events are all within the dedupe window,
// which it reads for their keys.
func BenchmarkOpen(b *testing.B) {
	closed, killed := filepath.Join(b.TempDir(), "closed"), filepath.Join(b.TempDir(), "killed")
	j := open(b, journal.Config{Dir: closed, AckTimeout: time.Minute})
	appendConcurrently(b, j, replayed(b))
	if err := os.CopyFS(killed, os.DirFS(closed)); err != nil {
		b.Fatal(err)
	}
	closeJournal(b, j)
	measureOpen(b, "closed", journal.Config{Dir: closed, AckTimeout: time.Second, DedupeWindow: time.Second})
	measureOpen(b, "keys", journal.Config{Dir: closed, DedupeWindow: time.Hour})
	measureOpen(b, "killed", journal.Config{Dir: killed, AckTimeout: time.Second, DedupeWindow: time.Second})
}

func measureOpen(b *testing.B, name string, config journal.Config) {
	b.Run(name, func(b *testing.B) {
		used := 0.0
		for range b.N {
			before := processorTime(b)
			j, err := journal.Open(b.Context(), config)
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			used += processorTime(b) - before
			closeJournal(b, j)
			if name == "killed" {
				index := filepath.Join(config.Dir, "nats", "jetstream", "$G", "streams", "events", "msgs", "index.db")
				if err := os.Remove(index); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		b.ReportMetric(used/1000/float64(b.N), "cpu-ms/open")
	})
}
