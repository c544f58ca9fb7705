package journal_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/journal"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

func TestSpoolDrainsInOrder(t *testing.T) {
	t.Parallel()
	cluster := journaltest.StartCluster(t, 1)
	proxy := journaltest.StartProxy(t, cluster.Addr(0))
	config := journal.Config{Dir: t.TempDir(), AckTimeout: 2 * time.Second, Cluster: journal.Cluster{Replicas: 1}}
	config.Cluster.URLs = proxy.URL()
	j := openOn(t, proxy.URL(), config)
	other := openOn(t, "nats://"+cluster.Addr(0), journal.Config{Cluster: config.Cluster})
	appendEntries(t, j, 1, 3)
	tail := j.NewReader(3)
	defer tail.Close()

	proxy.Cut()
	checkSpooled(t, j, 4, 20)
	if got, want := appendEntry(t, j, entry(7)), (journal.Receipt{Duplicate: true, Spooled: true}); got != want {
		t.Errorf("repeat of a spooled entry: got %+v, want %+v", got, want)
	}
	checkAway(t, j, tail)
	appendEntries(t, other, 5, 5) // as if it had got through before the cut

	// What is spooled outlives the process, and a cluster that is away doesn't keep the next one from starting.
	closeJournal(t, j)
	j = openOn(t, proxy.URL(), config)
	checkStats(t, j, 17)
	checkSpooled(t, j, 21, 29)
	if epoch := j.Epoch(); epoch != "" {
		t.Errorf("before the cluster was reached: got epoch %q", epoch)
	}

	proxy.Heal()
	awaitDrained(t, j)
	if j.Epoch() != other.Epoch() {
		t.Errorf("epoch: got %q, want %q", j.Epoch(), other.Epoch())
	}
	if receipt := appendEntry(t, j, entry(30)); receipt.Spooled || receipt.Position != 30 {
		t.Errorf("afterwards: got %+v, want position 30", receipt)
	}
	records := read(t, other, 3, 27)
	checkRecords(t, records[17:], 21)
	for i, n := range []int{5, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20} {
		if want := string(entry(n).Data); string(records[i].Data) != want {
			t.Errorf("position %d: got %q, want %q", records[i].Position, records[i].Data, want)
		}
	}
	if err := j.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
}

// TestSpoolIsNotForgotten opens a data directory without the cluster it was used with.
func TestSpoolIsNotForgotten(t *testing.T) {
	t.Parallel()
	cluster := journaltest.StartCluster(t, 1)
	proxy := journaltest.StartProxy(t, cluster.Addr(0))
	config := journal.Config{Dir: t.TempDir(), Cluster: journal.Cluster{Replicas: 1}}
	j := openOn(t, proxy.URL(), config)
	proxy.Cut()
	checkSpooled(t, j, 1, 3)
	if _, err := j.Quarantine().Put(t.Context(), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	alone := journal.Config{Dir: config.Dir}
	if _, err := journal.Open(t.Context(), alone); !errors.Is(err, journal.ErrSpooled) ||
		!strings.Contains(err.Error(), filepath.Join(config.Dir, "spool")) {
		t.Fatalf("got %v, want ErrSpooled with the directory", err)
	}

	proxy.Heal()
	j = openOn(t, proxy.URL(), config)
	awaitDrained(t, j)
	closeJournal(t, j)
	var log bytes.Buffer
	alone.Logger = slog.New(slog.NewTextHandler(&log, nil))
	open(t, alone)
	if !strings.Contains(log.String(), "out of sight") {
		t.Errorf("the log says nothing of the quarantine: %s", &log)
	}
}

// checkSpooled appends the entries first to last, and wants each to be acknowledged from the spool.
func checkSpooled(t *testing.T, j *journal.Journal, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		if got, want := appendEntry(t, j, entry(n)), (journal.Receipt{Spooled: true}); got != want {
			t.Errorf("entry %d: got %+v, want %+v", n, got, want)
		}
	}
}

func checkStats(t *testing.T, j *journal.Journal, entries uint64) {
	t.Helper()
	stats, err := j.SpoolStats(t.Context())
	if err != nil || stats.Entries != entries || stats.Bytes == 0 || stats.OldestAge <= 0 {
		t.Errorf("stats: got %+v, %v, want %d entries", stats, err, entries)
	}
}

// checkAway wants everything that reads to say within three seconds that the cluster is away, again and again.
func checkAway(t *testing.T, j *journal.Journal, tail journal.Reader) {
	t.Helper()
	for name, read := range map[string]func(context.Context) error{
		"tail": func(ctx context.Context) error {
			_, err := tail.Next(ctx)
			return err
		},
		"bounds": func(ctx context.Context) error {
			_, err := j.Bounds(ctx)
			return err
		},
		"session": func(ctx context.Context) error {
			_, _, err := j.Session(ctx, "", "session 1", 0, 10)
			return err
		},
		"record": func(ctx context.Context) error {
			_, err := j.Record(ctx, 1)
			return err
		},
		"position": func(ctx context.Context) error {
			_, err := j.PositionAt(ctx, time.Now())
			return err
		},
		"ready": func(context.Context) error { return j.Ready() },
	} {
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			if err := read(ctx); !errors.Is(err, journal.ErrUnavailable) {
				t.Errorf("%s: got %v, want ErrUnavailable", name, err)
			}
			cancel()
		}
	}
}

func TestReaderGoesOnAfterAnOutage(t *testing.T) {
	t.Parallel()
	cluster := journaltest.StartCluster(t, 1)
	proxy := journaltest.StartProxy(t, cluster.Addr(0))
	j := openOn(t, proxy.URL(), journal.Config{Cluster: journal.Cluster{Replicas: 1}})
	tail := j.NewReader(0)
	defer tail.Close()
	for n := 1; n <= 3; n++ {
		appendEntries(t, j, n, n)
		checkRecords(t, nextAvailable(t, tail), n)
		proxy.Cut()
		if _, err := tail.Next(t.Context()); !errors.Is(err, journal.ErrUnavailable) {
			t.Fatalf("cut: got %v, want ErrUnavailable", err)
		}
		proxy.Heal()
	}
}

// nextAvailable is for a reader that may come back in a moment.
func nextAvailable(t *testing.T, r journal.Reader) []journal.Record {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		records, err := r.Next(t.Context())
		if err == nil {
			return records
		}
		if !errors.Is(err, journal.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestFullSpoolRefuses(t *testing.T) {
	t.Parallel()
	j := openOn(t, "nats://127.0.0.1:1", journal.Config{SpoolBytes: 1000, AckTimeout: time.Minute})
	checkSpooled(t, j, 1, 3)
	var err error
	for n := 4; n < 20 && err == nil; n++ {
		_, err = j.Append(t.Context(), entry(n))
	}
	if !errors.Is(err, journal.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}

func TestQuarantineNeedsNoCluster(t *testing.T) {
	t.Parallel()
	j := openOn(t, "nats://127.0.0.1:1", journal.Config{})
	id, err := j.Quarantine().Put(t.Context(), []byte("kept"))
	if err != nil {
		t.Fatal(err)
	}
	if record, err := j.Quarantine().Get(t.Context(), id); err != nil || string(record.Data) != "kept" {
		t.Errorf("got %v, %v", record, err)
	}
}
