package journal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestReaderFollowsTheTail(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	r := j.NewReader(0)
	defer r.Close()
	for n := 1; n <= 20; n++ {
		appendEntry(t, j, entry(n))
		records, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != 1 {
			t.Fatalf("got %d records, want 1", len(records))
		}
		checkRecords(t, records, n)
	}
}

func TestReaderWaitsForAFuturePosition(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	appendEntries(t, j, 1, 2)
	r := j.NewReader(5)
	defer r.Close()
	if _, err := r.Next(expired(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a timeout", err)
	}
	appendEntries(t, j, 3, 6)
	records, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkRecords(t, records, 6)
}

func TestClosedReaderEndsNext(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	for name, end := range map[string]func(*journal.Reader) error{
		"reader":  (*journal.Reader).Close,
		"journal": func(*journal.Reader) error { return j.Close() },
	} {
		r := j.NewReader(0)
		defer r.Close()
		result := make(chan error)
		go func() {
			_, err := r.Next(t.Context())
			result <- err
		}()
		if err := end(r); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, journal.ErrClosed) {
			t.Errorf("%s closed: got %v, want ErrClosed", name, err)
		}
		if _, err := r.Next(t.Context()); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("%s closed, next call: got %v, want ErrClosed", name, err)
		}
	}
}

// expired returns a context that ends in a moment.
func expired(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
