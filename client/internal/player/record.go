package player

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/deskbridge/deskbridge/client/internal/simulate"
)

// Record writes a line of JSON for each acknowledged callback: what a reader of the bridge must see. Each line is
// written at once, in a single write, so that the record of a run that is killed ends with a whole line.
type Record struct {
	mu  sync.Mutex
	out io.Writer
}

// NewRecord returns a record that writes to out.
func NewRecord(out io.Writer) *Record { return &Record{out: out} }

// Entry is one line of a record.
type Entry struct {
	RequestID string `json:"request_id"`
	SessionID string `json:"session_id"`
	Event     string `json:"event"`
	// Sequence is the callback's place in its session, from 1. One that is missing was not acknowledged.
	Sequence     int       `json:"sequence"`
	Acknowledged time.Time `json:"acknowledged"`
}

// add does nothing on a nil Record.
func (r *Record) add(callback *simulate.Callback, sequence int) error {
	if r == nil {
		return nil
	}
	line, err := json.Marshal(Entry{
		RequestID: callback.RequestID, SessionID: callback.SessionID(), Event: callback.Event(),
		Sequence: sequence, Acknowledged: time.Now(),
	})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}
