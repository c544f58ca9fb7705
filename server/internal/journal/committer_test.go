package journal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// openWithSync opens a journal whose syncs are done by the given function.
func openWithSync(t *testing.T, config Config, sync func() error) *local {
	t.Helper()
	config.Dir = t.TempDir()
	j, err := openLocal(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if err := j.committer.Load().close(ErrClosed); err != nil {
		t.Fatal(err)
	}
	committer := j.committer.Load().committerConfig
	committer.sync = sync
	j.committer.Store(startCommitter(t.Context(), committer))
	return j
}

// TestQuarantineSharesSyncs has a slow disk: who can't be answered in time is refused, the others share what it does.
func TestQuarantineSharesSyncs(t *testing.T) {
	t.Parallel()
	j, err := openLocal(t.Context(), Config{Dir: t.TempDir(), AckTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	config := j.keeper.Load().committerConfig
	if err := j.keeper.Load().close(ErrClosed); err != nil {
		t.Fatal(err)
	}
	disk, published, syncs := make(chan struct{}), atomic.Int32{}, atomic.Int32{}
	publish, sync := config.publish, config.sync
	config.publish = func(ctx context.Context, group []*pending) error {
		published.Add(int32(len(group)))
		return publish(ctx, group)
	}
	config.sync = func() error {
		<-disk
		syncs.Add(1)
		return sync()
	}
	j.keeper.Store(startCommitter(t.Context(), config))
	if _, err := j.Quarantine().Put(t.Context(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while the disk hangs: got %v, want ErrUnavailable", err)
	}
	j.config.AckTimeout = time.Minute
	const callers = 100
	answers := make(chan error)
	for range callers {
		go func() {
			_, err := j.Quarantine().Put(t.Context(), []byte("x"))
			answers <- err
		}()
	}
	for deadline := time.Now().Add(30 * time.Second); int(published.Load())+len(j.keeper.Load().queue) < callers; {
		if time.Now().After(deadline) {
			t.Fatal("not all callers wait")
		}
		time.Sleep(time.Millisecond)
	}
	close(disk)
	for range callers {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := syncs.Load(); n > callers/2 {
		t.Errorf("synced %d times for %d callers", n, callers)
	}
	if count, _, err := j.Quarantine().Size(t.Context()); err != nil || count != callers+1 {
		t.Errorf("got %d records, %v, want %d", count, err, callers+1)
	}
}

func TestCloseDoesNotWaitForADiskThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := make(chan struct{})
		c := startCommitter(t.Context(), committerConfig{
			publish: func(context.Context, []*pending) error { return nil },
			sync: func() error {
				<-disk
				return nil
			},
		})
		if err := c.close(ErrClosed); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		close(disk)
	})
}

func numbered(n int) Entry {
	return Entry{DedupeKey: fmt.Sprint(n), Data: []byte(fmt.Sprint(n))}
}

func TestNothingIsSeenBeforeItIsSynced(t *testing.T) {
	t.Parallel()
	disk := make(chan struct{})
	j := openWithSync(t, Config{AckTimeout: time.Minute}, func() error {
		<-disk
		return nil
	})
	r := j.NewReader(0)
	defer r.Close()
	acknowledged := make(chan error)
	go func() {
		_, err := j.Append(t.Context(), numbered(1))
		acknowledged <- err
	}()
	awaitStored(t, j, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if records, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before the sync: got %d records, %v", len(records), err)
	}
	if bounds, err := j.Bounds(t.Context()); err != nil || bounds.Latest != 0 {
		t.Errorf("before the sync: got head %d, %v, want 0", bounds.Latest, err)
	}
	if records, _, err := j.Session(t.Context(), "", "", 0, 1); err != nil || len(records) != 0 {
		t.Errorf("before the sync: got %d records of the session, %v", len(records), err)
	}
	close(disk)
	if err := <-acknowledged; err != nil {
		t.Error(err)
	}
	if records, err := r.Next(t.Context()); err != nil || len(records) != 1 {
		t.Errorf("after the sync: got %d records, %v", len(records), err)
	}
}

// awaitStored waits until the log engine has the position, on disk or not.
func awaitStored(t *testing.T, j *local, position uint64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		info, err := j.events.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.LastSeq >= position {
			return
		}
	}
	t.Fatalf("position %d didn't come", position)
}

func TestLateEntryIsThereForTheRepeat(t *testing.T) {
	t.Parallel()
	disk := make(chan struct{})
	j := openWithSync(t, Config{AckTimeout: 300 * time.Millisecond}, func() error {
		<-disk
		return nil
	})
	if _, err := j.Append(t.Context(), numbered(1)); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("while the disk hangs: got %v, want ErrUnavailable", err)
	}
	close(disk)
	receipt, err := j.Append(t.Context(), numbered(1))
	if want := (Receipt{Position: 1, Duplicate: true}); err != nil || receipt != want {
		t.Errorf("repeat: got %+v, %v, want %+v", receipt, err, want)
	}
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	disk := make(chan struct{})
	j := openWithSync(t, Config{AckTimeout: time.Minute}, func() error {
		<-disk
		return nil
	})
	defer close(disk)
	// One group is synced, one waits to be, one is being gathered.
	var err error
	for n := 0; err == nil; n++ {
		if n > queueLimit+4*groupEntries {
			t.Fatalf("%d entries wait", n)
		}
		err = j.committer.Load().enqueue(newPending(numbered(n), time.Now().Add(time.Minute)))
	}
	if _, err := j.Append(t.Context(), numbered(0)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	syncs := 0
	j := openWithSync(t, Config{}, func() error {
		if syncs++; syncs == 2 {
			return errors.New("disk error")
		}
		return nil
	})
	if _, err := j.Append(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 5; n++ {
		if _, err := j.Append(t.Context(), numbered(n)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("entry %d: got %v, want ErrUnavailable", n, err)
		}
	}
	if err := j.Ready(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ready: got %v, want ErrUnavailable", err)
	}
	if syncs != 2 {
		t.Errorf("synced %d times, want 2", syncs)
	}
}
