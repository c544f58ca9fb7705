package fanout

import (
	"context"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// Journal is what the fan-out needs of one.
type Journal interface {
	// Bounds says where the journal begins and ends.
	Bounds(ctx context.Context) (journal.Bounds, error)
	// NewReader returns a reader of everything behind a position.
	NewReader(after uint64) Reader
}

// Reader follows a journal. One goroutine uses it.
type Reader interface {
	// Next waits for the next record and returns those that are ready. The slice is the caller's. After
	// journal.ErrUnavailable and the context's error the next call goes on where this one stopped.
	Next(ctx context.Context) ([]journal.Record, error)
	// Close frees what the reader holds.
	Close() error
}

// From makes a journal usable as a Journal.
func From(j *journal.Journal) Journal { return adapter{j} }

type adapter struct{ *journal.Journal }

// NewReader implements Journal.
func (a adapter) NewReader(after uint64) Reader { return a.Journal.NewReader(after) }
