package callback

import (
	"regexp"
	"strings"
	"testing"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func mustDecode(t testing.TB, body string) *deskbridgev1.SessionEvent {
	t.Helper()
	event, err := Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return event
}

var hashForm = regexp.MustCompile(`^sha256-[0-9a-f]{64}$`)

func TestIDFromRequestID(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, requestID string
		verbatim        bool
	}{
		{"usual", "req-5f3a9c01-0001", true},
		{"one character", "!", true},
		{"all kinds of characters", `~"\{}<>&%`, true},
		{"longest", strings.Repeat("a", 128), true},
		{"too long", strings.Repeat("a", 129), false},
		{"space", "a b", false},
		{"control character", "a\x7f", false},
		{"not ASCII", "é", false},
		{"in the form of a hash", "sha256-0", false},
	}
	seen := make(map[string]string)
	for _, row := range rows {
		id := ID(Query{RequestID: row.requestID}, mustDecode(t, `{"AgentId":"a"}`))
		if verbatim := id == row.requestID; verbatim != row.verbatim || !verbatim && !hashForm.MatchString(id) {
			t.Errorf("%s: ID = %q", row.name, id)
		}
		if again := ID(Query{RequestID: row.requestID, SDKAppID: "1"}, mustDecode(t, `{}`)); again != id {
			t.Errorf("%s: ID depends on more than the RequestID: %q, %q", row.name, id, again)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same ID", row.name, other)
		}
		seen[id] = row.name
	}
}

// TestIDFromContent has groups of callbacks that are the same within a group and differ between groups.
func TestIDFromContent(t *testing.T) {
	t.Parallel()
	type callback struct{ app, body string }
	groups := [][]callback{
		{
			{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1}`},
			{"1", ` { "EventTime" : 1, "Event" : "SessionBegin", "SessionId" : "\u0073" } `},
			{"1", `{"EventTime":7,"EventTime":1,"Event":"SessionBegin","SessionId":"s"}`},
			{"1", "\ufeff" + `{"CallbackCommand":null,"SessionId":"s","Event":"SessionBegin","EventTime":1}`},
		},
		{{"2", `{"SessionId":"s","Event":"SessionBegin","EventTime":1}`}},
		{{"1", `{"SessionId":"t","Event":"SessionBegin","EventTime":1}`}},
		{{"1", `{"SessionId":"s","Event":"SessionEnd","EventTime":1}`}},
		{{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":2}`}},
		{{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":"1"}`}},
		{{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1,"MsgKey":"1"}`}},
		{{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1,"MsgKey":"2"}`}},
		{{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1,"MsgBody":[]}`}},
		{
			{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1,"X":{"a":1,"b":"\/"}}`},
			{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1,"X":{"b":"/","a":1}}`},
		},
		{{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1,"X":{"a":1,"b":"\ud800"}}`}},
		{{"1", `{"SessionId":"s","Event":"SessionBegin","EventTime":1,"X":{"a":1,"b":"\ud801"}}`}},
		{{"1", `{}`}},
		{{"", `{}`}},
		{{"1{}", `{}`}},
	}
	seen := make(map[string]int)
	for i, group := range groups {
		for _, c := range group {
			q, event := Query{SDKAppID: c.app}, mustDecode(t, c.body)
			id := ID(q, event)
			if !hashForm.MatchString(id) {
				t.Errorf("ID = %q", id)
			}
			if first, ok := seen[id]; ok && first != i {
				t.Errorf("%v has the ID of group %d", c, first)
			} else if !ok && len(seen) != i {
				t.Errorf("%v differs from its group", c)
			}
			seen[id] = i
			q.RequestID = "r"
			if ContentHash(q, event) != ContentHash(Query{SDKAppID: c.app}, event) {
				t.Errorf("%v: ContentHash depends on the RequestID", c)
			}
		}
	}
}

// TestContentHashIsStable guards the identity of callbacks that were stored by an earlier release.
func TestContentHashIsStable(t *testing.T) {
	t.Parallel()
	const want = "sha256-26a0b382eca3b7acd41ece3d95391938eeda835ea1723a1a806b6e1f0f9c464e"
	body := samples(t)[3].Body
	if got := ID(Query{SDKAppID: sampleApp}, mustDecode(t, body)); got != want {
		t.Errorf("ID = %s, want %s", got, want)
	}
}

// TestContentHashIgnoresTheReceiver checks that only the body counts of an event.
func TestContentHashIgnoresTheReceiver(t *testing.T) {
	t.Parallel()
	bare, stored := mustDecode(t, `{"AgentId":"a"}`), mustDecode(t, `{"AgentId":"a"}`)
	stored.Id, stored.Position, stored.SdkAppId = "id", 7, "2"
	stored.Callback = &deskbridgev1.CallbackMetadata{RequestId: "r"}
	if q := (Query{SDKAppID: "1"}); ContentHash(q, bare) != ContentHash(q, stored) {
		t.Error("ContentHash depends on what the receiver added")
	}
}
