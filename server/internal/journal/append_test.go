package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestCopiesAtOnceAreStoredOnce(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	appendEntries(t, j, 1, 4)
	var mu sync.Mutex
	stored := 0
	var copies errgroup.Group
	for range 100 {
		copies.Go(func() error {
			receipt, err := j.Append(t.Context(), entry(5))
			mu.Lock()
			defer mu.Unlock()
			if !receipt.Duplicate {
				stored++
			}
			if err == nil && receipt.Position != 5 {
				err = fmt.Errorf("position %d, want 5", receipt.Position)
			}
			return err
		})
	}
	if err := copies.Wait(); err != nil {
		t.Error(err)
	}
	if stored != 1 {
		t.Errorf("%d of the copies are no duplicates, want 1", stored)
	}
	appendEntries(t, j, 6, 6)
	checkRecords(t, read(t, j, 0, 6), 1)
}

// TestManyCallersShareOneOrder has callers append new entries, their own old ones and the same ones as others, and
// compares every receipt with what is in the journal.
func TestManyCallersShareOneOrder(t *testing.T) {
	t.Parallel()
	const callers, calls = 32, 60
	j := open(t, journal.Config{})
	histories := make([]history, callers)
	var all errgroup.Group
	for caller := range callers {
		all.Go(func() error { return histories[caller].record(t, j, caller, calls) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	want := map[uint64]string{}
	for _, h := range histories {
		h.check(t, want)
	}
	for _, record := range read(t, j, 0, len(want)) {
		if want[record.Position] != string(record.Data) {
			t.Errorf("position %d: got %q, want %q", record.Position, record.Data, want[record.Position])
		}
	}
}

type call struct {
	key     string
	receipt journal.Receipt
}

// history is what one caller did, in order.
type history []call

func (h *history) record(t *testing.T, j *journal.Journal, caller, calls int) error {
	random := rand.New(rand.NewPCG(1, uint64(caller)))
	for n := range calls {
		key := fmt.Sprintf("%d-%d", caller, n)
		switch random.IntN(4) {
		case 0:
			key = fmt.Sprintf("%d-%d", caller, random.IntN(n+1))
		case 1:
			key = fmt.Sprintf("shared-%d", n)
		}
		receipt, err := j.Append(t.Context(), journal.Entry{
			SessionID: fmt.Sprint(caller), DedupeKey: key, Data: []byte(key),
		})
		if err != nil {
			return err
		}
		*h = append(*h, call{key, receipt})
	}
	return nil
}

// check collects the stored entries, and wants each of them behind the one that this caller had stored before.
func (h history) check(t *testing.T, stored map[uint64]string) {
	t.Helper()
	var last uint64
	for _, c := range h {
		if known, ok := stored[c.receipt.Position]; ok && known != c.key {
			t.Errorf("position %d was given to %q and to %q", c.receipt.Position, known, c.key)
		}
		stored[c.receipt.Position] = c.key
		if c.receipt.Duplicate {
			continue
		}
		if c.receipt.Position <= last {
			t.Errorf("%q: position %d after %d", c.key, c.receipt.Position, last)
		}
		last = c.receipt.Position
	}
}

func TestLargestRecord(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{AckTimeout: time.Minute})
	e := journal.Entry{
		AppID: strings.Repeat("a", 300), SessionID: strings.Repeat("s", 300), DedupeKey: strings.Repeat("k", 300),
		Data: bytes.Repeat([]byte("x"), journal.MaxRecordBytes+1),
	}
	if _, err := j.Append(t.Context(), e); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("one byte too much: got %v, want ErrTooLarge", err)
	}
	e.Data = e.Data[1:]
	var many errgroup.Group
	for n := range 20 {
		many.Go(func() error {
			e := e
			e.DedupeKey += fmt.Sprint(n)
			_, err := j.Append(t.Context(), e)
			return err
		})
	}
	if err := many.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, record := range read(t, j, 0, 20) {
		if !bytes.Equal(record.Data, e.Data) {
			t.Fatalf("record %d differs", record.Position)
		}
	}
}

func TestDuplicateIsForgottenAfterTheWindow(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{AckTimeout: time.Second, DedupeWindow: time.Second})
	appendEntries(t, j, 1, 1)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		receipt, err := j.Append(t.Context(), entry(1))
		if err == nil && !receipt.Duplicate {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %+v, %v", receipt, err)
		}
	}
}

func TestClosedJournalRefuses(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	if err := j.Ready(); err != nil {
		t.Errorf("open: %v", err)
	}
	closeJournal(t, j)
	closeJournal(t, j)
	_, appendErr := j.Append(t.Context(), entry(1))
	_, boundsErr := j.Bounds(t.Context())
	_, _, sessionErr := j.Session(t.Context(), "", "a", 0, 1)
	_, positionErr := j.PositionAt(t.Context(), time.Now())
	_, quarantineErr := j.Quarantine().Put(t.Context(), nil)
	for name, err := range map[string]error{
		"Append": appendErr, "Bounds": boundsErr, "Session": sessionErr, "PositionAt": positionErr,
		"Ready": j.Ready(), "Put": quarantineErr,
	} {
		if !errors.Is(err, journal.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
}
