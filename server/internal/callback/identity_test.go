package callback

import (
	"fmt"
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

var idForm = regexp.MustCompile(`^[0-9a-f]{40}$`)

func TestIDFromRequestID(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, requestID := range []string{"", "r", "R", " r", "é", strings.Repeat("a", 10_000), "1", "{}"} {
		for _, app := range []string{"", "1", "1r"} {
			for _, body := range []string{`{}`, `{"AgentId":"a"}`} {
				name := fmt.Sprintf("app %q, RequestID %.10q, body %s", app, requestID, body)
				id := ID(Query{SDKAppID: app, RequestID: requestID}, mustDecode(t, body))
				if !idForm.MatchString(id) {
					t.Errorf("%s: ID = %q", name, id)
				}
				if again := ID(Query{SDKAppID: app, RequestID: requestID}, mustDecode(t, " "+body)); again != id {
					t.Errorf("%s: ID = %q, and for a repeat %q", name, id, again)
				}
				if other, ok := seen[id]; ok {
					t.Errorf("%s and %s have the same ID", name, other)
				}
				seen[id] = name
			}
		}
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
			{"1", "\ufeff" + `{"SessionId":"s","Event":"SessionBegin","EventTime":1}`},
		},
		{{"1", `{"CallbackCommand":null,"SessionId":"s","Event":"SessionBegin","EventTime":1}`}},
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
			if !idForm.MatchString(id) {
				t.Errorf("ID = %q", id)
			}
			if first, ok := seen[id]; ok && first != i {
				t.Errorf("%v has the ID of group %d", c, first)
			} else if !ok && len(seen) != i {
				t.Errorf("%v differs from its group", c)
			}
			seen[id] = i
		}
	}
}

// TestIDIsStable guards the identity of callbacks that were stored by an earlier release.
func TestIDIsStable(t *testing.T) {
	t.Parallel()
	const want = "4400fd5ac733b1dae1fa52df22ded8b1a9270c20"
	body := samples(t)[3].Body
	if got := ID(Query{SDKAppID: sampleApp}, mustDecode(t, body)); got != want {
		t.Errorf("ID = %s, want %s", got, want)
	}
}

// TestIDIgnoresTheReceiver checks that only the body counts of an event.
func TestIDIgnoresTheReceiver(t *testing.T) {
	t.Parallel()
	bare, stored := mustDecode(t, `{"AgentId":"a"}`), mustDecode(t, `{"AgentId":"a"}`)
	stored.Id, stored.Position, stored.SdkAppId = "id", 7, "2"
	stored.Callback = &deskbridgev1.CallbackMetadata{RequestId: "r"}
	if q := (Query{SDKAppID: "1"}); ID(q, bare) != ID(q, stored) {
		t.Error("ID depends on what the receiver added")
	}
}
