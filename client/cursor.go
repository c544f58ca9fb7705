package client

import (
	"context"
	"strconv"
	"strings"
	"sync"
)

// CursorStore keeps one subscription's cursor over restarts of the program. The client calls it from one goroutine. An
// error of either method ends the subscription.
//
// A cursor is saved after the loop has come back from the events before it, so that a crash never skips one. It
// delivers again what the loop has consumed since the last save: the events of about a second at most. To have each
// event take effect exactly once, save FormatCursor of it in the same transaction as its effect, and give Subscribe a
// store that loads it and whose Save does nothing.
type CursorStore interface {
	// Load returns the cursor saved last; "" when there is none.
	Load(ctx context.Context) (string, error)
	// Save replaces it. It is called at most once a second behind events, at once when the stream has caught up or is
	// quiet, and when the loop ends; then for at most five seconds, even if the subscription's context has ended.
	Save(ctx context.Context, cursor string) error
}

// FormatCursor returns the cursor behind an event: epoch is that of Hooks.Connected, position the event's.
func FormatCursor(epoch string, position uint64) string {
	return epoch + ":" + strconv.FormatUint(position, 10)
}

// positionOf returns the position in a cursor, 0 when it has none.
func positionOf(cursor string) uint64 {
	position, _ := strconv.ParseUint(cursor[strings.LastIndexByte(cursor, ':')+1:], 10, 64)
	return position
}

// MemoryCursorStore keeps the cursor for as long as the program runs: so that a loop that ended can be entered again
// where it stopped. The zero value is ready, and may be used concurrently.
type MemoryCursorStore struct {
	mu     sync.Mutex
	cursor string
}

// Load never fails.
func (s *MemoryCursorStore) Load(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor, nil
}

// Save never fails.
func (s *MemoryCursorStore) Save(_ context.Context, cursor string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = cursor
	return nil
}
