package journal_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a journal that is closed at the end of the test.
func open(t testing.TB, config journal.Config) *journal.Journal {
	t.Helper()
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	j, err := journal.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeJournal(t, j) })
	return j
}

func closeJournal(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// entry is the n-th of a test: its session is n modulo 10, its data names n.
func entry(n int) journal.Entry {
	return journal.Entry{
		AppID:     "1400000000",
		SessionID: fmt.Sprintf("session %d", n%10),
		DedupeKey: fmt.Sprintf("key-%d", n),
		Data:      []byte(fmt.Sprintf("event %d", n)),
	}
}

func appendEntry(t testing.TB, j *journal.Journal, e journal.Entry) journal.Receipt {
	t.Helper()
	receipt, err := j.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// appendEntries appends the entries first to last, in order.
func appendEntries(t testing.TB, j *journal.Journal, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		appendEntry(t, j, entry(n))
	}
}

// read returns count records behind after.
func read(t testing.TB, j *journal.Journal, after uint64, count int) []journal.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := j.NewReader(after)
	defer r.Close()
	var records []journal.Record
	for len(records) < count {
		batch, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d records: %v", len(records), err)
		}
		records = append(records, batch...)
	}
	return records
}

// checkRecords wants the records of entries first, first+1, … at positions of the same number.
func checkRecords(t testing.TB, records []journal.Record, first int) {
	t.Helper()
	for i, record := range records {
		want := first + i
		if record.Position != uint64(want) || string(record.Data) != fmt.Sprintf("event %d", want) {
			t.Fatalf("record %d: got position %d, %q, want event %d", i, record.Position, record.Data, want)
		}
		if age := time.Since(record.StoreTime); age < 0 || age > time.Hour {
			t.Fatalf("record %d: stored %s ago", i, age)
		}
	}
}

func TestAppendedIsReadInOrder(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	appendEntries(t, j, 1, 30)
	checkRecords(t, read(t, j, 0, 30), 1)
	checkRecords(t, read(t, j, 17, 13), 18)
}

func TestReopenedJournalGoesOn(t *testing.T) {
	t.Parallel()
	config := journal.Config{Dir: t.TempDir()}
	first := open(t, config)
	appendEntries(t, first, 1, 5)
	closeJournal(t, first)

	second := open(t, config)
	if second.Epoch() != first.Epoch() {
		t.Errorf("epoch: got %q, want %q", second.Epoch(), first.Epoch())
	}
	appendEntries(t, second, 6, 9)
	checkRecords(t, read(t, second, 0, 9), 1)
}

func TestRepeatIsDuplicateAcrossRestart(t *testing.T) {
	t.Parallel()
	config := journal.Config{Dir: t.TempDir()}
	j := open(t, config)
	appendEntries(t, j, 1, 3)
	want := journal.Receipt{Position: 2, Duplicate: true}
	if got := appendEntry(t, j, entry(2)); got != want {
		t.Errorf("repeat: got %+v, want %+v", got, want)
	}
	closeJournal(t, j)
	j = open(t, config)
	if got := appendEntry(t, j, entry(2)); got != want {
		t.Errorf("repeat after a restart: got %+v, want %+v", got, want)
	}
}

func TestWithoutKeyNothingIsDuplicate(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	e := journal.Entry{Data: []byte("same")}
	for want := range uint64(3) {
		if got := appendEntry(t, j, e); got.Position != want+1 || got.Duplicate {
			t.Errorf("got %+v, want position %d", got, want+1)
		}
	}
}

func TestEpochsDiffer(t *testing.T) {
	t.Parallel()
	a, b := open(t, journal.Config{}), open(t, journal.Config{})
	if a.Epoch() == b.Epoch() {
		t.Errorf("both have %q", a.Epoch())
	}
	cursor := journal.Cursor{Epoch: a.Epoch(), Position: 7}
	if got, err := journal.ParseCursor(cursor.String()); err != nil || got != cursor {
		t.Errorf("cursor: got %v, %v", got, err)
	}
}
