package journal_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestBounds(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	empty, err := j.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(journal.Bounds{Epoch: j.Epoch(), Earliest: 1}, empty); diff != "" {
		t.Errorf("empty (-want +got):\n%s", diff)
	}
	appendEntries(t, j, 1, 3)
	got, err := j.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Earliest != 1 || got.Latest != 3 || got.Count != 3 || got.Bytes == 0 {
		t.Errorf("got %+v", got)
	}
	records := read(t, j, 0, 3)
	if !got.EarliestTime.Equal(records[0].StoreTime) || !got.LatestTime.Equal(records[2].StoreTime) {
		t.Errorf("times: got %s and %s, want %s and %s",
			got.EarliestTime, got.LatestTime, records[0].StoreTime, records[2].StoreTime)
	}
}

func TestPositionAt(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	checkPositionAt(t, j, time.Now(), 0)
	appendEntries(t, j, 1, 5)
	records := read(t, j, 0, 5)
	for i, record := range records {
		checkPositionAt(t, j, record.StoreTime, uint64(i))
		checkPositionAt(t, j, record.StoreTime.Add(1), uint64(i+1))
	}
	checkPositionAt(t, j, records[0].StoreTime.Add(-time.Hour), 0)
	checkPositionAt(t, j, time.Now().Add(time.Hour), 5)
}

func checkPositionAt(t *testing.T, j *journal.Journal, at time.Time, want uint64) {
	t.Helper()
	got, err := j.PositionAt(t.Context(), at)
	if err != nil || got != want {
		t.Errorf("at %s: got %d, %v, want %d", at, got, err, want)
	}
}
