package journal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"
)

func openAt(t *testing.T, dir string) *local {
	t.Helper()
	j, err := openLocal(t.Context(), Config{Dir: dir, AckTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// fill appends count records of a size, with sessions "1" to "3" in turn.
func fill(t *testing.T, j *local, count, size int) {
	t.Helper()
	for n := range count {
		_, err := j.Append(t.Context(), Entry{SessionID: fmt.Sprint(n%3 + 1), Data: bytes.Repeat([]byte("x"), size)})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// collect reads the records behind after up to the head.
func collect(t *testing.T, j *local, after uint64) ([]Record, error) {
	t.Helper()
	r := j.NewReader(after)
	defer r.Close()
	head, _ := j.durable.load()
	var records []Record
	for last := after; last < head; last = records[len(records)-1].Position {
		batch, err := r.Next(t.Context())
		if err != nil {
			return records, err
		}
		records = append(records, batch...)
	}
	return records, nil
}

func TestTrimmedRecordsAreGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	fill(t, j, 9, 10)
	all, err := collect(t, j, 0)
	if err != nil || len(all) != 9 {
		t.Fatalf("got %d records, %v", len(all), err)
	}
	if err := j.trim(t.Context(), all[5].StoreTime); err != nil {
		t.Fatal(err)
	}
	checkTrimmed(t, j, all)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	checkTrimmed(t, openAt(t, dir), all)
}

// checkTrimmed wants the first five of nine records to be gone.
func checkTrimmed(t *testing.T, j *local, all []Record) {
	t.Helper()
	bounds, err := j.Bounds(t.Context())
	if err != nil || bounds.Earliest != 6 || bounds.Latest != 9 || bounds.Count != 4 ||
		!bounds.EarliestTime.Equal(all[5].StoreTime) {
		t.Errorf("bounds: got %+v, %v", bounds, err)
	}
	if rest, err := collect(t, j, 5); err != nil || len(rest) != 4 {
		t.Errorf("behind 5: got %d records, %v", len(rest), err)
	}
	if _, err := collect(t, j, 4); !errors.Is(err, ErrTrimmed) {
		t.Errorf("behind 4: got %v, want ErrTrimmed", err)
	}
	if session, _, err := j.Session(t.Context(), "", "1", 0, 10); err != nil || len(session) != 1 || session[0].Position != 7 {
		t.Errorf("session: got %v, %v, want position 7", session, err)
	}
	if position, err := j.PositionAt(t.Context(), all[0].StoreTime); err != nil || position != 5 {
		t.Errorf("position at the first record: got %d, %v, want 5", position, err)
	}
}

func TestTrimmingRemovesFiles(t *testing.T) {
	t.Parallel()
	j := openAt(t, t.TempDir())
	slow := j.NewReader(0)
	defer slow.Close()
	fill(t, j, 1, 10)
	if _, err := slow.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill(t, j, 30, 900<<10)
	checkBlocks(t, j, 4)
	if err := j.trim(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, j, 1)
	if bounds, err := j.Bounds(t.Context()); err != nil || bounds.Count != 0 || bounds.Earliest != 32 || bounds.Latest != 31 {
		t.Errorf("bounds: got %+v, %v", bounds, err)
	}
	fill(t, j, 3, 10)
	if records, err := collect(t, j, 31); err != nil || len(records) != 3 {
		t.Errorf("afterwards: got %d records, %v", len(records), err)
	}
	var err error
	for err == nil {
		_, err = slow.Next(t.Context())
	}
	if !errors.Is(err, ErrTrimmed) {
		t.Errorf("reader that was overtaken: got %v, want ErrTrimmed", err)
	}
}

func checkBlocks(t *testing.T, j *local, want int) {
	t.Helper()
	blocks, err := j.directory.blocks(eventsStream).blocks()
	if err != nil || len(blocks) != want {
		t.Fatalf("got %d block files, %v, want %d", len(blocks), err, want)
	}
}

func TestTrimmingToMaxBytes(t *testing.T) {
	t.Parallel()
	j := openAt(t, t.TempDir())
	fill(t, j, 30, 900<<10)
	blocks, err := j.directory.blocks(eventsStream).blocks()
	if err != nil {
		t.Fatal(err)
	}
	j.config.MaxBytes = blocks[2].size + blocks[3].size
	if err := j.trim(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, j, 2)
	first := j.directory.blocks(eventsStream).firstIn(blocks[2].index)
	if bounds, err := j.Bounds(t.Context()); err != nil || bounds.Earliest != first || bounds.Latest != 30 {
		t.Errorf("bounds: got %+v, %v, want the earliest at %d", bounds, err, first)
	}
}

// TestTrimmingPassesDamage has a bit flipped in a position: it must not keep the journal from being trimmed.
func TestTrimmingPassesDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	fill(t, j, 60, 900<<10)
	edit(t, blockPaths(t, dir)[1], func(content []byte) []byte {
		content[4+5] ^= 1
		return content
	})
	j.config.MaxBytes = 20 << 20
	if err := j.trim(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, j, 2)
	if bounds, err := j.Bounds(t.Context()); err != nil || bounds.Latest != 60 || bounds.Earliest < 30 {
		t.Errorf("bounds: got %+v, %v", bounds, err)
	}
}

func TestExcess(t *testing.T) {
	t.Parallel()
	blocks := []block{{size: 10}, {size: 10}, {size: 10}}
	for bound, want := range map[int64]int{0: 0, 30: 0, 29: 1, 20: 1, 19: 2, 10: 2, 9: 2, 1: 2} {
		if got := excess(blocks, bound); got != want {
			t.Errorf("bound %d: got %d, want %d", bound, got, want)
		}
	}
}

func TestTrimsWhatExpiredWhileClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	fill(t, j, 9, 10)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := openLocal(t.Context(), Config{Dir: dir, AckTimeout: time.Minute, Retention: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(trimInterval); ; time.Sleep(10 * time.Millisecond) {
		bounds, err := j.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if bounds.Count == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("bounds: got %+v, want no record", bounds)
		}
	}
}
