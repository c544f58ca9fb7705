package filter

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func encoded(t interface{ Fatal(...any) }, event *deskbridgev1.SessionEvent) *Event {
	data, err := proto.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	view := new(Event)
	if err := view.Read(1, data); err != nil {
		t.Fatal(err)
	}
	return view
}

func TestScopeRefusesWhatLiesOutside(t *testing.T) {
	t.Parallel()
	scope := Scope{Blind: true, Events: compile(t, &deskbridgev1.EventFilter{
		SdkAppIds: []string{"1"}, TypeNames: []string{"Human.*", "SessionEnd"}, CustomerServiceIds: []string{"@a", "@b"},
	})}
	for name, tt := range map[string]struct {
		filter *deskbridgev1.EventFilter
		field  string // at fault; none where the filter is fine
	}{
		"app":                 {&deskbridgev1.EventFilter{SdkAppIds: []string{"1", "2"}}, "filter.sdk_app_ids[1]"},
		"account":             {&deskbridgev1.EventFilter{CustomerServiceIds: []string{"@c"}}, "filter.customer_service_ids[0]"},
		"type":                {&deskbridgev1.EventFilter{Types: []deskbridgev1.SessionEventType{17, 1}}, "filter.types[1]"},
		"type name":           {&deskbridgev1.EventFilter{TypeNames: []string{"SessionBegin"}}, "filter.type_names[0]"},
		"prefix":              {&deskbridgev1.EventFilter{TypeNames: []string{"ChatBot.*"}}, "filter.type_names[0]"},
		"prefix within":       {&deskbridgev1.EventFilter{TypeNames: []string{"Human.Agent*"}}, ""},
		"prefix around":       {&deskbridgev1.EventFilter{TypeNames: []string{"Session*", "H*"}}, ""},
		"own":                 {&deskbridgev1.EventFilter{SdkAppIds: []string{"1"}, Types: []deskbridgev1.SessionEventType{5}}, ""},
		"expression":          {&deskbridgev1.EventFilter{Expression: `event.message.key != ""`}, ""},
		"expression: content": {&deskbridgev1.EventFilter{Expression: `event.extra_json != ""`}, "filter.expression"},
	} {
		_, err := CompileWithin(tt.filter, scope)
		var e *Error
		if tt.field == "" && err != nil || tt.field != "" && (!errors.As(err, &e) || e.Field != tt.field || !e.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestScopeNarrows holds a filter within a scope against the two of them, one after the other and in an index.
func TestScopeNarrows(t *testing.T) {
	t.Parallel()
	draw := func(t *rapid.T, label string, values ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(values), 0, 2, rapid.ID).Draw(t, label)
	}
	rapid.Check(t, func(t *rapid.T) {
		drawFilter := func(label string) *deskbridgev1.EventFilter {
			return &deskbridgev1.EventFilter{
				SdkAppIds:          draw(t, label+" apps", "1", "2", "3"),
				TypeNames:          draw(t, label+" types", "Human.*", "SessionEnd", "Session*", "Human.UserSendMsg"),
				CustomerServiceIds: draw(t, label+" accounts", "@a", "@b"),
			}
		}
		bound, err := Compile(drawFilter("bound"))
		if err != nil {
			t.Fatal(err)
		}
		asked := drawFilter("asked")
		asked.SessionIds = draw(t, "sessions", "s", "t")
		narrowed, err := CompileWithin(asked, Scope{Events: bound})
		if err != nil {
			return // refused
		}
		alone, err := Compile(asked)
		if err != nil {
			t.Fatal(err)
		}
		event := encoded(t, &deskbridgev1.SessionEvent{
			SdkAppId:          rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "app"),
			TypeName:          proto.String(rapid.SampledFrom([]string{"Human.UserSendMsg", "SessionEnd", "SessionBegin"}).Draw(t, "type")),
			CustomerServiceId: proto.String(rapid.SampledFrom([]string{"@a", "@b", "@c"}).Draw(t, "account")),
			SessionId:         proto.String(rapid.SampledFrom([]string{"s", "t", "u"}).Draw(t, "session")),
		})
		want := bound.MatchFields(event) && alone.MatchFields(event)
		if got := narrowed.MatchFields(event); got != want {
			t.Fatalf("matches: %t, want %t", got, want)
		}
		if !narrowed.HasFields() {
			return
		}
		index := NewIndex[int]()
		index.Add(narrowed, 1)
		if got := len(index.AppendMatches(nil, event)) == 1; got != want {
			t.Fatalf("the index finds it: %t, want %t", got, want)
		}
		if index.Remove(narrowed, 1); index.Len() != 0 {
			t.Fatal("it is still in the index")
		}
	})
}

// TestBlindExpressionSeesNoContent evaluates expressions that compiling would refuse: what names no field of content may
// still reach it.
func TestBlindExpressionSeesNoContent(t *testing.T) {
	t.Parallel()
	event := encoded(t, &deskbridgev1.SessionEvent{
		CloudCustomData: proto.String("words"), ExtraJson: `{"a":"words"}`,
		Callback: &deskbridgev1.CallbackMetadata{ClientIp: "192.0.2.1"},
		Message:  &deskbridgev1.Message{Key: proto.String("k"), Elements: []*deskbridgev1.MessageElement{{}}},
	})
	for _, text := range []string{
		`has(event.cloud_custom_data)`, `event.extra_json != ""`, `size(event.message.elements) > 0`,
		`event.callback.client_ip != ""`, `dyn(event).cloud_custom_data == "words"`,
	} {
		f := compile(t, &deskbridgev1.EventFilter{Expression: text})
		if ok, err := f.Match(event); !ok || err != nil {
			t.Errorf("%s, with content: %t, %v", text, ok, err)
		}
		f.expression.blind = true
		if ok, err := f.Match(event); ok || err != nil && text[0] != 'd' {
			t.Errorf("%s, without: %t, %v", text, ok, err)
		}
	}
}
