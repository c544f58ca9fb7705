package callback

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

const sampleApp = "1600012345"

// sample is a line of samples.jsonl.
type sample struct {
	Name, Query, Body string
	Expect            struct {
		Verdict, Event, Reason, Token string
		Now                           int64
		Elements, Absent              []string
		Fields                        map[string]any
	}
}

func samples(t testing.TB) []sample {
	t.Helper()
	data, err := os.ReadFile("testdata/samples.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var list []sample
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if len(list) != 26 {
		t.Fatalf("have %d samples, want 26", len(list))
	}
	return list
}

// receive does with a sample what a receiver does, up to the storage.
func receive(t *testing.T, s sample, seen map[string]bool) (verdict, reason string) {
	t.Helper()
	q := ParseQuery(s.Query)
	config := AuthConfig{AppIDs: []string{sampleApp}}
	if s.Expect.Token != "" {
		config.Tokens = []string{s.Expect.Token}
	}
	auth, err := NewAuthenticator(config)
	if err != nil {
		t.Fatal(err)
	}
	switch err := auth.Verify(q, time.Unix(s.Expect.Now, 0)); {
	case errors.Is(err, ErrAppForeign):
		return "reject", "wrong_sdkappid"
	case err != nil:
		return "reject", "bad_sign"
	}
	event := checkLossless(t, []byte(s.Body))
	if event.GetCallbackCommand() != q.Command {
		t.Errorf("Command = %q, the URL has %q", event.GetCallbackCommand(), q.Command)
	}
	if KindOf(q.Command) != SessionEvent {
		return "other_command", ""
	}
	id := ID(q, event)
	if seen[id] {
		return "duplicate", ""
	}
	seen[id] = true
	return "accept", ""
}

func TestSamples(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			verdict, reason := receive(t, s, seen)
			if verdict != s.Expect.Verdict || reason != s.Expect.Reason {
				t.Fatalf("verdict %s %s, want %s %s", verdict, reason, s.Expect.Verdict, s.Expect.Reason)
			}
			if s.Expect.Event != "" {
				checkSample(t, s)
			}
		})
	}
}

func checkSample(t *testing.T, s sample) {
	t.Helper()
	event := checkLossless(t, []byte(s.Body))
	if TypeName(event.GetType()) != s.Expect.Event || event.GetTypeName() != s.Expect.Event {
		t.Errorf("type %v, name %q, want %s", event.GetType(), event.GetTypeName(), s.Expect.Event)
	}
	if event.GetExtraJson() != "" {
		t.Errorf("extra_json = %q", event.GetExtraJson())
	}
	var elements []string
	for _, e := range event.GetMessage().GetElements() {
		elements = append(elements, e.GetTypeName())
		if e.GetContent() == nil || e.GetExtraJson() != "" || e.GetRawJson() != "" {
			t.Errorf("element is not typed whole: %v", e)
		}
	}
	if s.Expect.Elements != nil && strings.Join(elements, " ") != strings.Join(s.Expect.Elements, " ") {
		t.Errorf("elements %v, want %v", elements, s.Expect.Elements)
	}
	for name, want := range s.Expect.Fields {
		if got, ok := sampleField(t, event, name); !ok || got != want {
			t.Errorf("%s = %v (present %v), want %v", name, got, ok, want)
		}
	}
	for _, name := range s.Expect.Absent {
		if got, ok := sampleField(t, event, name); ok {
			t.Errorf("%s = %v, want none", name, got)
		}
	}
}

// sampleField returns the typed field that a sample names by its member.
func sampleField(t *testing.T, event *deskbridgev1.SessionEvent, name string) (value any, present bool) {
	t.Helper()
	switch name {
	case "AgentId":
		return event.GetAgentId(), event.AgentId != nil
	case "IsContactUser":
		return event.GetIsContactUser(), event.IsContactUser != nil
	case "SatisfactionSelected":
		return float64(event.GetSatisfactionRating()), event.SatisfactionRating != nil
	case "MsgKey":
		return event.GetMessage().GetKey(), event.GetMessage() != nil && event.Message.Key != nil
	case "MsgBody":
		return nil, len(event.GetMessage().GetElements()) > 0
	}
	if rest, ok := strings.CutPrefix(name, "MsgBody."); ok {
		at, member, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(at)
		if err == nil && member == "Text" && i < len(event.GetMessage().GetElements()) {
			text := event.Message.Elements[i].GetText()
			return text.GetText(), text != nil && text.Text != nil
		}
	}
	t.Fatalf("no typed field for %s", name)
	return nil, false
}

func TestDocumentedBody(t *testing.T) {
	body, err := os.ReadFile("testdata/documented.json")
	if err != nil {
		t.Fatal(err)
	}
	event := checkLossless(t, body)
	if event.GetExtraJson() != "" {
		t.Errorf("extra_json = %q", event.GetExtraJson())
	}
	if got := event.GetEventTime().AsTime().UnixMilli(); got != 1725540020017 {
		t.Errorf("event_time = %d ms", got)
	}
	if event.GetChannel() != deskbridgev1.Channel_CHANNEL_SDK || event.GetSatisfactionRating() != 5 {
		t.Errorf("event = %v", event)
	}
}
