package journal_test

import (
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/journal"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

// TestQuorumLost stops two of three servers: the third one answers, but can store nothing.
func TestQuorumLost(t *testing.T) {
	t.Parallel()
	servers := journaltest.StartCluster(t, 3)
	j := openOn(t, servers.URLs(), journal.Config{AckTimeout: 2 * time.Second, Cluster: journal.Cluster{Replicas: 3}})
	appendEntries(t, j, 1, 5)
	servers.Stop(0)
	servers.Stop(1)
	// Until the connections have found the third server, and that has noticed, an entry may get lost on its way: then
	// its callback is not acknowledged, and comes again.
	for n := 6; n <= 12; n++ {
		appendUntilTaken(t, j, entry(n))
	}
	servers.Start(0, 1)
	awaitDrained(t, j)
	appendUntilTaken(t, j, entry(13))
	awaitDrained(t, j)
	checkRecords(t, read(t, j, 0, 13), 1)
}

// appendUntilTaken is a sender that tries again.
func appendUntilTaken(t *testing.T, j *journal.Journal, e journal.Entry) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := j.Append(t.Context(), e)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
