package journal_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestQuarantineKeepsUntilDeleted(t *testing.T) {
	t.Parallel()
	config := journal.Config{Dir: t.TempDir()}
	j := open(t, config)
	for _, text := range []string{"one", "two", "three"} {
		if _, err := j.Quarantine().Put(t.Context(), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Quarantine().Delete(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	q := open(t, config).Quarantine()

	records, _, err := q.List(t.Context(), 0, 10)
	if err != nil || len(records) != 2 || string(records[0].Data) != "one" || string(records[1].Data) != "three" {
		t.Errorf("list: got %v, %v", records, err)
	}
	if records, _, err = q.List(t.Context(), records[0].ID, 10); err != nil || len(records) != 1 {
		t.Errorf("list behind the first: got %v, %v", records, err)
	}
	if record, err := q.Get(t.Context(), 3); err != nil || string(record.Data) != "three" || record.StoreTime.IsZero() {
		t.Errorf("get: got %v, %v", record, err)
	}
	if count, bytes, err := q.Size(t.Context()); err != nil || count != 2 || bytes == 0 {
		t.Errorf("size: got %d records, %d bytes, %v", count, bytes, err)
	}
	if records, more, err := q.List(t.Context(), 3, 10); err != nil || len(records) != 0 || more {
		t.Errorf("list behind the last: got %v, %t, %v", records, more, err)
	}
	for _, id := range []uint64{0, 2, 4} {
		if _, err := q.Get(t.Context(), id); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("get %d: got %v, want ErrNotFound", id, err)
		}
		if err := q.Delete(t.Context(), id); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("delete %d: got %v, want ErrNotFound", id, err)
		}
	}
}

func TestQuarantineOfDeletedRecordsIsEmpty(t *testing.T) {
	t.Parallel()
	q := open(t, journal.Config{}).Quarantine()
	for range 5 {
		if _, err := q.Put(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []uint64{4, 5, 2, 3, 1} {
		if err := q.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if records, _, err := q.List(t.Context(), 3, 10); err != nil || len(records) > 1 {
			t.Errorf("without %d: got %v, %v", id, records, err)
		}
	}
	if records, _, err := q.List(t.Context(), 0, 10); err != nil || len(records) != 0 {
		t.Errorf("got %v, %v", records, err)
	}
}

func TestFullQuarantineRefuses(t *testing.T) {
	t.Parallel()
	q := open(t, journal.Config{QuarantineBytes: 4096}).Quarantine()
	kept := 0
	var err error
	for err == nil && kept < 100 {
		if _, err = q.Put(t.Context(), bytes.Repeat([]byte("x"), 500)); err == nil {
			kept++
		}
	}
	if !errors.Is(err, journal.ErrFull) {
		t.Fatalf("got %v after %d records, want ErrFull", err, kept)
	}
	if count, _, err := q.Size(t.Context()); err != nil || count != uint64(kept) || kept == 0 {
		t.Errorf("got %d records, %v, want %d", count, err, kept)
	}
	if err := q.Delete(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Put(t.Context(), bytes.Repeat([]byte("x"), 500)); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
}
