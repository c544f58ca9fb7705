package journal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deskbridge/deskbridge/server/internal/journal"
	"github.com/deskbridge/deskbridge/server/internal/journal/journaltest"
)

// openOn opens a journal on a cluster.
func openOn(t *testing.T, urls string, config journal.Config) *journal.Journal {
	t.Helper()
	config.Cluster.URLs = urls
	if config.DiskReserve == 0 {
		config.DiskReserve = 1 << 20
	}
	return open(t, config)
}

func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := journaltest.StartCluster(t, 3)
	first, second := openTogether(t, cluster)
	if first.Epoch() == "" || first.Epoch() != second.Epoch() {
		t.Fatalf("epochs: got %q and %q, want one", first.Epoch(), second.Epoch())
	}
	if bounds, err := first.Bounds(t.Context()); err != nil || bounds.Earliest != 1 || bounds.Latest != 0 || bounds.Count != 0 {
		t.Errorf("empty: got %+v, %v", bounds, err)
	}
	checkPositionAt(t, first, time.Now(), 0)
	tail := second.NewReader(0)
	defer tail.Close()
	appendEntries(t, first, 1, 15)
	appendEntries(t, second, 16, 30)
	t.Run("read", func(t *testing.T) {
		checkRecords(t, read(t, first, 0, 30), 1)
		checkRecords(t, read(t, second, 17, 13), 18)
		if records, err := tail.Next(t.Context()); err != nil {
			t.Error(err)
		} else {
			checkRecords(t, records, 1)
		}
	})
	t.Run("bounds", func(t *testing.T) {
		bounds, err := second.Bounds(t.Context())
		if err != nil || bounds.Earliest != 1 || bounds.Latest != 30 || bounds.Count != 30 {
			t.Errorf("got %+v, %v", bounds, err)
		}
	})
	t.Run("duplicate", func(t *testing.T) {
		want := journal.Receipt{Position: 3, Duplicate: true}
		if got := appendEntry(t, second, entry(3)); got != want {
			t.Errorf("repeat at the other bridge: got %+v, want %+v", got, want)
		}
	})
	t.Run("session", func(t *testing.T) {
		checkSession(t, second, "", "session 3", "event 3", "event 13", "event 23")
		checkSession(t, first, "1400000000", "session 0", "event 10", "event 20", "event 30")
		checkSession(t, first, "", "unknown")
		page, _, err := first.Session(t.Context(), "", "session 3", 3, 1)
		if err != nil || len(page) != 1 || page[0].Position != 13 {
			t.Errorf("page: got %v, %v", page, err)
		}
	})
	t.Run("record", func(t *testing.T) {
		if record, err := first.Record(t.Context(), 20); err != nil || string(record.Data) != "event 20" {
			t.Errorf("got %v, %v", record, err)
		}
		for _, position := range []uint64{0, 31} {
			if _, err := first.Record(t.Context(), position); !errors.Is(err, journal.ErrNotFound) {
				t.Errorf("%d: got %v, want ErrNotFound", position, err)
			}
		}
	})
	t.Run("position at", func(t *testing.T) {
		records := read(t, first, 0, 30)
		checkPositionAt(t, second, records[9].StoreTime, 9)
		checkPositionAt(t, second, records[29].StoreTime.Add(1), 30)
		checkPositionAt(t, second, records[0].StoreTime.Add(-time.Hour), 0)
	})
	t.Run("future", func(t *testing.T) {
		r := first.NewReader(31)
		defer r.Close()
		if _, err := r.Next(expired(t)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want a timeout", err)
		}
		appendEntries(t, second, 31, 32)
		if records, err := r.Next(t.Context()); err != nil || len(records) != 1 || records[0].Position != 32 {
			t.Errorf("got %v, %v, want position 32", records, err)
		}
	})
	t.Run("closed", func(t *testing.T) { checkClosedReaders(t, first, second) })
	t.Run("consumers", func(t *testing.T) {
		for range 20 {
			read(t, first, 0, 1)
		}
		for deadline := time.Now().Add(time.Minute); cluster.Consumers("events") > 1; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the readers have left %d consumers, want only the tail's", cluster.Consumers("events"))
			}
		}
	})
	t.Run("trimmed", func(t *testing.T) {
		cluster.Trim("events", 11)
		r := second.NewReader(4)
		defer r.Close()
		if _, err := r.Next(t.Context()); !errors.Is(err, journal.ErrTrimmed) {
			t.Errorf("got %v, want ErrTrimmed", err)
		}
		checkRecords(t, read(t, second, 10, 22), 11)
		if bounds, err := second.Bounds(t.Context()); err != nil || bounds.Earliest != 11 || bounds.Count != 22 {
			t.Errorf("bounds: got %+v, %v", bounds, err)
		}
	})
}

// openTogether opens two journals at the same moment, on a cluster that has none.
func openTogether(t *testing.T, cluster *journaltest.Cluster) (first, second *journal.Journal) {
	t.Helper()
	journals := make([]*journal.Journal, 2)
	var opening errgroup.Group
	for i := range journals {
		dir := t.TempDir()
		opening.Go(func() (err error) {
			journals[i], err = journal.Open(t.Context(), journal.Config{
				Dir: dir, DiskReserve: 1 << 20, Cluster: journal.Cluster{URLs: cluster.URLs()},
			})
			return err
		})
	}
	err := opening.Wait()
	for _, j := range journals {
		if j != nil {
			t.Cleanup(func() { closeJournal(t, j) })
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return journals[0], journals[1]
}

func checkClosedReaders(t *testing.T, journals ...*journal.Journal) {
	t.Helper()
	for _, j := range journals {
		r := j.NewReader(32)
		result := make(chan error)
		go func() {
			_, err := r.Next(t.Context())
			result <- err
		}()
		r.Close()
		if err := <-result; !errors.Is(err, journal.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

// TestClusterServersRestart stops and starts each server in turn, and the leader twice, under load.
func TestClusterServersRestart(t *testing.T) {
	t.Parallel()
	cluster := journaltest.StartCluster(t, 3)
	first, second := openTogether(t, cluster)
	loads := []*load{startLoad(t, "a", first), startLoad(t, "b", second)}
	restart := func(i int) {
		cluster.Stop(i)
		awaitAcknowledged(t, loads, 20)
		cluster.Start(i)
		awaitAcknowledged(t, loads, 20)
	}
	for i := range 3 {
		restart(i)
	}
	for range 2 {
		restart(cluster.Leader("events"))
	}
	want := stopLoads(t, loads)
	checkAll(t, want, first, second)
}

// load appends to a journal until it is stopped, a few sessions at the same time, each in its order.
type load struct {
	name         string
	running      sync.WaitGroup
	stop         chan struct{}
	acknowledged atomic.Int64
	mu           sync.Mutex
	last         map[string]int // session → the last number that was acknowledged
	failures     []error
}

const loadSessions = 8

func startLoad(t *testing.T, name string, j *journal.Journal) *load {
	l := &load{name: name, stop: make(chan struct{}), last: map[string]int{}}
	for session := range loadSessions {
		l.running.Go(func() { l.run(t.Context(), j, fmt.Sprintf("%s-%d", name, session)) })
	}
	return l
}

func (l *load) run(ctx context.Context, j *journal.Journal, session string) {
	for n := 1; ; n++ {
		select {
		case <-l.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		text := fmt.Sprintf("%s %d", session, n)
		_, err := j.Append(ctx, journal.Entry{SessionID: session, DedupeKey: text, Data: []byte(text)})
		l.mu.Lock()
		if err != nil {
			l.failures = append(l.failures, fmt.Errorf("%s: %w", text, err))
		} else {
			l.last[session] = n
			l.acknowledged.Add(1)
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// awaitAcknowledged waits until each load got some more through.
func awaitAcknowledged(t *testing.T, loads []*load, more int64) {
	t.Helper()
	for _, l := range loads {
		target := l.acknowledged.Load() + more
		for deadline := time.Now().Add(30 * time.Second); l.acknowledged.Load() < target; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("load %s stands still", l.name)
			}
		}
	}
}

// stopLoads returns the last acknowledged number of every session.
func stopLoads(t *testing.T, loads []*load) map[string]int {
	t.Helper()
	want := map[string]int{}
	for _, l := range loads {
		close(l.stop)
		l.running.Wait()
		for _, err := range l.failures {
			t.Errorf("not acknowledged: %v", err)
		}
		maps.Copy(want, l.last)
	}
	return want
}

// checkAll wants every journal to give the same records at the same positions: each session's numbers from 1 to the
// last, each once and in order.
func checkAll(t *testing.T, want map[string]int, journals ...*journal.Journal) {
	t.Helper()
	total := 0
	for _, n := range want {
		total += n
	}
	var reference []journal.Record
	for i, j := range journals {
		awaitDrained(t, j)
		records := read(t, j, 0, total)
		got := map[string]int{}
		for n, record := range records {
			var session string
			var number int
			if _, err := fmt.Sscanf(string(record.Data), "%s %d", &session, &number); err != nil {
				t.Fatal(err)
			}
			if record.Position != uint64(n+1) || number != got[session]+1 {
				t.Fatalf("journal %d, position %d: got %q behind number %d", i, record.Position, record.Data, got[session])
			}
			got[session] = number
			if reference != nil && string(reference[n].Data) != string(record.Data) {
				t.Fatalf("position %d: %q and %q", n+1, reference[n].Data, record.Data)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("journal %d: got %v, want %v", i, got, want)
		}
		if bounds, err := j.Bounds(t.Context()); err != nil || bounds.Count != uint64(total) {
			t.Errorf("journal %d: got %+v, %v, want %d records", i, bounds, err, total)
		}
		reference = records
	}
}

// TestReplacedStreamIsNoticed deletes the stream under two journals. It is made anew, both must be opened anew, and what
// they took meanwhile is there then, under another epoch.
func TestReplacedStreamIsNoticed(t *testing.T) {
	t.Parallel()
	cluster := journaltest.StartCluster(t, 3)
	config := journal.Config{Dir: t.TempDir(), AckTimeout: 4 * time.Second, Cluster: journal.Cluster{Replicas: 3}}
	j, other := openOn(t, cluster.URLs(), config), openOn(t, cluster.URLs(), journal.Config{Cluster: config.Cluster})
	appendEntries(t, j, 1, 3)
	cluster.Delete("events")
	appendEntry(t, j, entry(4))
	for name, j := range map[string]*journal.Journal{"first": j, "second": other} {
		for deadline := time.Now().Add(time.Minute); !errors.Is(j.Accepts(), journal.ErrBroken); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %v, want ErrBroken", name, j.Accepts())
			}
		}
	}
	before := j.Epoch()
	closeJournal(t, j)
	j = openOn(t, cluster.URLs(), config)
	awaitDrained(t, j)
	if j.Epoch() == before || j.Epoch() == "" {
		t.Errorf("epoch: got %q, was %q", j.Epoch(), before)
	}
	if records := read(t, j, 0, 1); string(records[0].Data) != string(entry(4).Data) {
		t.Errorf("got %q, want what came after the stream was deleted", records[0].Data)
	}
	if err := j.Accepts(); err != nil {
		t.Error(err)
	}
}

func awaitDrained(t *testing.T, j *journal.Journal) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stats, err := j.SpoolStats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats == (journal.SpoolStats{}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the spool still has %+v", stats)
		}
	}
}
