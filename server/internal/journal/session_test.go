package journal_test

import (
	"strings"
	"testing"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// awkwardIDs would be confused by a careless subject.
func awkwardIDs() []string {
	return []string{
		"", "a", "A", "a.b", "a b", "a*", "*", ">", "a.>", "=", "=YQ", "#", "#YQ", "a\x00b", "\n", "é", "\xff", "$JS.API",
		"_INBOX.a", strings.Repeat("x", 96), strings.Repeat("x", 97), strings.Repeat("x", 98), strings.Repeat(".", 5000),
	}
}

func TestSessionsAreNotConfused(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	for _, id := range awkwardIDs() {
		appendEntry(t, j, journal.Entry{AppID: "app", SessionID: id, Data: []byte("1 " + id)})
		appendEntry(t, j, journal.Entry{AppID: id, SessionID: "session", Data: []byte("app " + id)})
		appendEntry(t, j, journal.Entry{AppID: "app", SessionID: id, Data: []byte("2 " + id)})
	}
	for _, id := range awkwardIDs() {
		checkSession(t, j, "app", id, "1 "+id, "2 "+id)
		checkSession(t, j, "", id, "1 "+id, "2 "+id)
		if id != "" {
			checkSession(t, j, id, "session", "app "+id)
		}
	}
	checkSession(t, j, "app", "unknown")
}

func checkSession(t *testing.T, j *journal.Journal, appID, sessionID string, want ...string) {
	t.Helper()
	records, err := j.Session(t.Context(), appID, sessionID, 0, 100)
	if err != nil {
		t.Fatalf("app %q session %q: %v", appID, sessionID, err)
	}
	if len(records) != len(want) {
		t.Fatalf("app %q session %q: got %d records, want %d", appID, sessionID, len(records), len(want))
	}
	for i, record := range records {
		if string(record.Data) != want[i] {
			t.Errorf("app %q session %q: got %q, want %q", appID, sessionID, record.Data, want[i])
		}
	}
}

func TestSessionIsPaged(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	appendEntries(t, j, 1, 95)
	var positions []uint64
	for after := uint64(0); ; {
		page, err := j.Session(t.Context(), "", "session 3", after, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, record := range page {
			positions = append(positions, record.Position)
		}
		after = positions[len(positions)-1]
	}
	if len(positions) != 10 || positions[0] != 3 || positions[9] != 93 {
		t.Errorf("got positions %v, want 3, 13, … 93", positions)
	}
}
