package journal_test

import (
	"errors"
	"testing"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func FuzzParseCursor(f *testing.F) {
	for _, text := range []string{"a:1", "a:", ":1", "a:01", "a:+1", "a:-1", "A:1", "a:18446744073709551616", "a:1:2", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		switch cursor, err := journal.ParseCursor(text); {
		case err == nil && cursor.String() != text:
			t.Errorf("%q was read as %+v", text, cursor)
		case err != nil && !errors.Is(err, journal.ErrCursorMalformed):
			t.Errorf("%q: got %v", text, err)
		}
	})
}
