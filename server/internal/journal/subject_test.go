package journal

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"
)

// awkward draws ids of which many are one character apart, or look like what others are mapped to.
func awkward(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[=#]?[A-Za-z0-9_-]{0,4}[.*> ]?`),
		rapid.Map(rapid.StringMatching(`[a.]{95,99}`), strings.Clone),
		rapid.Map(rapid.StringN(0, 3, -1), subjectToken),
		rapid.Map(rapid.StringN(0, 3, -1), messageID),
	).Draw(t, label)
}

func TestSubjectsAreValidAndDistinct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		app, session, other := awkward(t, "app"), awkward(t, "session"), awkward(t, "other")
		subject := eventSubject(app, session)
		if !server.IsValidLiteralSubject(subject) || strings.Count(subject, ".") != 2 || len(subject) > 300 {
			t.Errorf("%q is no subject of an event", subject)
		}
		if (subjectToken(app) == subjectToken(other)) != (app == other) {
			t.Errorf("%q and %q become %q", app, other, subjectToken(app))
		}
	})
}

func TestMessageIDsAreValidAndDistinct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key, other := awkward(t, "key"), awkward(t, "other")
		if id := messageID(key); id == "" || len(id) > dedupeKeyLimit || strings.ContainsAny(id, " \r\n\t\x00") {
			t.Errorf("%q is no message ID", id)
		}
		if (messageID(key) == messageID(other)) != (key == other) {
			t.Errorf("%q and %q become %q", key, other, messageID(key))
		}
	})
}
