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
	records, _, err := j.Session(t.Context(), appID, sessionID, 0, 100)
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
	for limit, wantPages := range map[int]int{1: 10, 4: 3, 5: 2, 10: 1, 100: 1} {
		positions, pages := readSession(t, j, "session 3", limit)
		if len(positions) != 10 || positions[0] != 3 || positions[9] != 93 || pages != wantPages {
			t.Errorf("limit %d: got positions %v on %d pages, want 3, 13, … 93 on %d", limit, positions, pages, wantPages)
		}
	}
}

func readSession(t *testing.T, j *journal.Journal, session string, limit int) (positions []uint64, pages int) {
	t.Helper()
	for after, more := uint64(0), true; more; {
		var page []journal.Record
		var err error
		if page, more, err = j.Session(t.Context(), "", session, after, limit); err != nil || len(page) == 0 {
			t.Fatalf("page %d: %d records, %v", pages, len(page), err)
		}
		for _, record := range page {
			positions = append(positions, record.Position)
		}
		after = positions[len(positions)-1]
		pages++
	}
	return positions, pages
}

func TestPageOfLargeRecordsIsBounded(t *testing.T) {
	t.Parallel()
	j := open(t, journal.Config{})
	const records = 20
	for range records {
		appendEntry(t, j, journal.Entry{SessionID: "large", Data: make([]byte, journal.MaxRecordBytes)})
	}
	positions, pages := readSession(t, j, "large", 100)
	if len(positions) != records || pages != 3 {
		t.Errorf("got %d records on %d pages, want %d on 3", len(positions), pages, records)
	}
}
