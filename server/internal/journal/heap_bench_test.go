package journal_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// BenchmarkSessionHeap tells what a session costs in memory: its entry in the subject index, with one event each, and
// apart from that what a remembered dedupe key costs.
func BenchmarkSessionHeap(b *testing.B) {
	const sessions = 100_000
	for b.Loop() {
		j := open(b, journal.Config{AckTimeout: time.Minute})
		empty := heap()
		appendSessions(b, j, sessions)
		all := heap()
		appendRepeated(b, j, sessions)
		b.ReportMetric(float64(all-empty)/sessions, "B/session")
		b.ReportMetric(float64(heap()-all)/sessions, "B/event")
	}
}

func appendSessions(b *testing.B, j *journal.Journal, sessions int) {
	b.Helper()
	appendAll(b, j, sessions, func(n int) journal.Entry {
		e := benchEntry(n)
		e.SessionID = fmt.Sprintf("2baf4d84-beb4-4607-a1ea-%012d", n)
		return e
	})
}

// appendRepeated adds events to a few sessions: what they cost is what the dedupe window keeps.
func appendRepeated(b *testing.B, j *journal.Journal, events int) {
	b.Helper()
	appendAll(b, j, events, func(n int) journal.Entry {
		e := benchEntry(n)
		e.SessionID, e.DedupeKey = "one", fmt.Sprintf("repeated-%d", n)
		return e
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
