// Package journal is the durable, ordered log of session events, on NATS JetStream: embedded in the process by default,
// or an external cluster. It stores opaque bytes: it must not know what an event means, who reads it, or how it is
// transported. It is the only package that imports NATS.
package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Sentinel errors. They come wrapped; test with errors.Is.
var (
	// ErrUnavailable: the journal can't be read or written now; the same call may succeed later.
	ErrUnavailable = errors.New("journal unavailable")
	// ErrFull: the disk or the configured size is nearly exhausted; nothing was stored.
	ErrFull = errors.New("journal full")
	// ErrTrimmed: records behind the asked position are no longer retained.
	ErrTrimmed = errors.New("journal trimmed")
	// ErrDamaged: stored data fails its checks. It needs an operator.
	ErrDamaged = errors.New("journal damaged")
	// ErrTooLarge: the record is larger than MaxRecordBytes.
	ErrTooLarge = errors.New("record too large")
	// ErrBroken comes with ErrUnavailable when only opening the journal anew will help.
	ErrBroken = errors.New("it must be opened anew")
	// ErrSpooled: a spool holds events for a cluster, and the journal was opened without one.
	ErrSpooled = errors.New("events wait in the spool")
	// ErrClosed: the journal is closed.
	ErrClosed = errors.New("journal closed")
	// ErrCursorMalformed: the text is not a cursor.
	ErrCursorMalformed = errors.New("malformed cursor")
)

// MaxRecordBytes bounds one stored event, so that it always fits a frame that every gRPC client accepts.
const MaxRecordBytes = 960 << 10

// MaxQuarantineBytes bounds one record of the quarantine.
const MaxQuarantineBytes = 4 << 20

// Entry is an event to store.
type Entry struct {
	// AppID and SessionID address the event; each may be empty.
	AppID, SessionID string
	// DedupeKey makes a repeat within the dedupe window a duplicate.
	DedupeKey string
	// Data is the encoded event. The journal keeps a reference until Append returns.
	Data []byte
}

// Receipt says where an entry is.
type Receipt struct {
	// Position of the entry, or of the first copy when Duplicate.
	Position uint64
	// Duplicate: an entry with the same DedupeKey had been stored before; this one was not.
	Duplicate bool
	// Spooled: the cluster can't take it now. It is on this machine's disk and goes to the cluster by itself; until
	// then it has no position.
	Spooled bool
}

// Record is a stored event.
type Record struct {
	// Position in the journal; strictly increasing, not always consecutive.
	Position uint64
	// StoreTime is when the journal took it.
	StoreTime time.Time
	// Data is the encoded event as it was appended. Shared by all readers: never modify it.
	Data []byte
}

// Bounds says where the journal begins and ends.
type Bounds struct {
	// Epoch names this life of the journal.
	Epoch string
	// Former has the last cursor of each former epoch: up to there its positions are this epoch's. Never modify it.
	Former []Cursor
	// Earliest is the position of the oldest retained record, Latest of the newest record ever stored (the head).
	// An empty journal has Earliest = Latest + 1.
	Earliest, Latest uint64
	// EarliestTime and LatestTime are the store times of those records; zero when the journal is empty.
	EarliestTime, LatestTime time.Time
	// Count of retained records and Bytes they take.
	Count, Bytes uint64
}

// End returns the last position of an epoch, which for the current one is Latest. It is not ok for an epoch that this
// journal knows nothing of.
func (b Bounds) End(epoch string) (position uint64, ok bool) {
	if epoch == b.Epoch {
		return b.Latest, true
	}
	for _, former := range b.Former {
		if former.Epoch == epoch {
			return former.Position, true
		}
	}
	return 0, false
}

// Cursor is a place between two records of one epoch: everything up to Position lies before it.
//
// The epoch is there because positions start again at 1 when a data directory is deleted: an old position alone would
// silently name an unrelated place in the new journal.
type Cursor struct {
	Epoch    string
	Position uint64
}

// String returns the cursor's text, "<epoch>:<position>".
func (c Cursor) String() string {
	return c.Epoch + ":" + strconv.FormatUint(c.Position, 10)
}

// ParseCursor is the inverse of Cursor.String. It accepts exactly what String returns.
func ParseCursor(text string) (Cursor, error) {
	epoch, digits, ok := strings.Cut(text, ":")
	if !ok || epoch == "" || len(epoch) > 32 {
		return Cursor{}, fmt.Errorf("%w: want <epoch>:<position>", ErrCursorMalformed)
	}
	for _, r := range epoch {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return Cursor{}, fmt.Errorf("%w: the epoch holds a character other than a-z and 0-9", ErrCursorMalformed)
		}
	}
	position, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || strconv.FormatUint(position, 10) != digits {
		return Cursor{}, fmt.Errorf("%w: the position is not a decimal number", ErrCursorMalformed)
	}
	return Cursor{Epoch: epoch, Position: position}, nil
}
