package journal_test

import (
	"fmt"
	"math/rand/v2"
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
		j := open(b, journal.Config{AckTimeout: 2 * time.Second})
		empty := heap()
		appendSessions(b, j, sessions)
		all := settledHeap()
		appendRepeated(b, j, sessions)
		b.ReportMetric(float64(all-empty)/sessions, "B/session")
		b.ReportMetric(float64(settledHeap()-all)/sessions, "B/event")
	}
}

func appendSessions(b *testing.B, j *journal.Journal, sessions int) {
	b.Helper()
	appendAll(b, j, sessions, func(n int) journal.Entry {
		e := benchEntry(n)
		e.SessionID = randomID()
		return e
	})
}

// randomID looks like the vendor's: the index is a prefix tree, in which ids that begin alike cost a quarter less.
func randomID() string {
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x",
		rand.Uint32(), rand.N(1<<16), rand.N(1<<16), rand.N(1<<16), rand.Uint64()>>16)
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

// settledHeap is the heap when the log engine has forgotten what it remembers for some seconds.
func settledHeap() uint64 {
	least := heap()
	for unchanged := 0; unchanged < 4; unchanged++ {
		time.Sleep(time.Second)
		if now := heap(); now < least-least/100 {
			least, unchanged = now, 0
		}
	}
	return least
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
