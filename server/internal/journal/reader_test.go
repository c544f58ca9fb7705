package journal_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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
	never := j.NewReader(math.MaxUint64)
	defer never.Close()
	if _, err := never.Next(expired(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("behind the last position there could be: got %v, want a timeout", err)
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
	for name, end := range map[string]func(journal.Reader) error{
		"reader":  journal.Reader.Close,
		"journal": func(journal.Reader) error { return j.Close() },
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

// TestReadersLeaveNothingBehind opens more readers than the log engine has room for at once.
func TestReadersLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	appendEntries(t, j, 1, 1)
	for n := range 1100 {
		r := j.NewReader(0)
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatalf("reader %d: %v", n, err)
		}
		if err := r.Close(); err != nil {
			t.Fatalf("reader %d: %v", n, err)
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

func TestManyReadersSeeTheSame(t *testing.T) {
	t.Parallel()
	const events = 300
	j := open(t, journal.Config{})
	var readers errgroup.Group
	for n := range 8 {
		after := uint64(n * 20)
		readers.Go(func() error {
			r := j.NewReader(after)
			defer r.Close()
			for last := after; last < events; {
				records, err := r.Next(t.Context())
				if err != nil {
					return err
				}
				checkRecords(t, records, int(last)+1)
				last = records[len(records)-1].Position
			}
			return nil
		})
	}
	appendEntries(t, j, 1, events)
	if err := readers.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestStuckReaderGoesOn leaves a reader alone with records that are larger together than what it may hold.
func TestStuckReaderGoesOn(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{AckTimeout: time.Minute})
	r := j.NewReader(0)
	defer r.Close()
	e := journal.Entry{Data: bytes.Repeat([]byte("x"), 300<<10)}
	appendEntry(t, j, e)
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		appendEntry(t, j, e)
	}
	for read := uint64(1); read < 31; {
		records, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, record := range records {
			size += len(record.Data)
		}
		if read++; records[0].Position != read || size > 3<<20 {
			t.Fatalf("got %d bytes from position %d, want few from %d", size, records[0].Position, read)
		}
		read = records[len(records)-1].Position
	}
}
