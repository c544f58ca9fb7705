package filter

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// sample is an event with every field that filters look at.
func sample() *deskbridgev1.SessionEvent {
	return &deskbridgev1.SessionEvent{
		Id:                "id-1",
		Type:              deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_CHAT_BOT_USER_SEND_MSG,
		TypeName:          proto.String("ChatBot.UserSendMsg"),
		SessionId:         proto.String("session-1"),
		SdkAppId:          "1400000001",
		Channel:           deskbridgev1.Channel_CHANNEL_WEB,
		ChannelName:       proto.String("Web(H5)"),
		ClientUserId:      proto.String("user-1"),
		CustomerServiceId: proto.String("@desk_shop"),
		AgentId:           proto.String("agent@example.com"),
		Message: &deskbridgev1.Message{Key: proto.String("key"), Elements: []*deskbridgev1.MessageElement{{
			TypeName: proto.String("TIMTextElem"),
			Content: &deskbridgev1.MessageElement_Text{
				Text: &deskbridgev1.TextElement{Text: proto.String("I want a refund")},
			},
		}}},
		SatisfactionRating: proto.Int32(2),
	}
}

func read(t testing.TB, m *deskbridgev1.SessionEvent) *Event {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	e := new(Event)
	if err := e.Read(7, data); err != nil {
		t.Fatal(err)
	}
	return e
}

func compile(t testing.TB, f *deskbridgev1.EventFilter) *Filter {
	t.Helper()
	c, err := Compile(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// matchCases are filters and whether they select the sample.
func matchCases() map[string]struct {
	filter *deskbridgev1.EventFilter
	want   bool
} {
	type f = deskbridgev1.EventFilter
	type c = struct {
		filter *deskbridgev1.EventFilter
		want   bool
	}
	userSend := deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_CHAT_BOT_USER_SEND_MSG
	end := deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SESSION_END
	web, sdk := deskbridgev1.Channel_CHANNEL_WEB, deskbridgev1.Channel_CHANNEL_SDK
	return map[string]c{
		"nil":                    {nil, true},
		"empty":                  {&f{}, true},
		"type":                   {&f{Types: []deskbridgev1.SessionEventType{userSend}}, true},
		"one of types":           {&f{Types: []deskbridgev1.SessionEventType{end, userSend}}, true},
		"other type":             {&f{Types: []deskbridgev1.SessionEventType{end}}, false},
		"type name":              {&f{TypeNames: []string{"ChatBot.UserSendMsg"}}, true},
		"other type name":        {&f{TypeNames: []string{"SessionEnd"}}, false},
		"prefix":                 {&f{TypeNames: []string{"ChatBot.*"}}, true},
		"other prefix":           {&f{TypeNames: []string{"Human.*"}}, false},
		"prefix of everything":   {&f{TypeNames: []string{"*"}}, true},
		"whole name as a prefix": {&f{TypeNames: []string{"ChatBot.UserSendMsg*"}}, true},
		"name or everything":     {&f{TypeNames: []string{"SessionEnd", "*"}}, true},
		"type or type name": {
			&f{Types: []deskbridgev1.SessionEventType{end}, TypeNames: []string{"ChatBot.UserSendMsg"}}, true,
		},
		"type or other type name": {
			&f{Types: []deskbridgev1.SessionEventType{userSend}, TypeNames: []string{"SessionEnd"}}, true,
		},
		"neither type nor type name": {
			&f{Types: []deskbridgev1.SessionEventType{end}, TypeNames: []string{"Human.*"}}, false,
		},
		"session":              {&f{SessionIds: []string{"session-1"}}, true},
		"session by prefix":    {&f{SessionIds: []string{"session-"}}, false},
		"many sessions":        {&f{SessionIds: []string{"a", "b", "c", "d", "e", "session-1"}}, true},
		"many other sessions":  {&f{SessionIds: []string{"a", "b", "c", "d", "e", "f"}}, false},
		"user":                 {&f{ClientUserIds: []string{"user-1"}}, true},
		"other user":           {&f{ClientUserIds: []string{"user-2"}}, false},
		"agent":                {&f{AgentIds: []string{"agent@example.com"}}, true},
		"other agent":          {&f{AgentIds: []string{"Agent@example.com"}}, false},
		"customer service":     {&f{CustomerServiceIds: []string{"@desk_shop"}}, true},
		"other service":        {&f{CustomerServiceIds: []string{"@desk"}}, false},
		"channel":              {&f{Channels: []deskbridgev1.Channel{web}}, true},
		"one of channels":      {&f{Channels: []deskbridgev1.Channel{sdk, web}}, true},
		"other channel":        {&f{Channels: []deskbridgev1.Channel{sdk}}, false},
		"app":                  {&f{SdkAppIds: []string{"1400000001"}}, true},
		"other app":            {&f{SdkAppIds: []string{"1400000002"}}, false},
		"two fields":           {&f{SessionIds: []string{"session-1"}, AgentIds: []string{"agent@example.com"}}, true},
		"one of two fields":    {&f{SessionIds: []string{"session-1"}, AgentIds: []string{"x"}}, false},
		"other of two fields":  {&f{SessionIds: []string{"x"}, AgentIds: []string{"agent@example.com"}}, false},
		"expression":           {&f{Expression: "event.satisfaction_rating <= 2"}, true},
		"failing expression":   {&f{Expression: "event.satisfaction_rating > 2"}, false},
		"field and expression": {&f{SessionIds: []string{"x"}, Expression: "true"}, false},
		"expression over text": {
			&f{Expression: `event.message.elements.exists(e, e.text.text.contains("refund"))`}, true,
		},
		"expression over the enum":     {&f{Expression: "event.channel == Channel.CHANNEL_WEB"}, true},
		"expression over the position": {&f{Expression: "event.position == 7u"}, true},
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	e := read(t, sample())
	for name, c := range matchCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := compile(t, c.filter).Match(e)
			if err != nil || got != c.want {
				t.Errorf("Match = %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	type f = deskbridgev1.EventFilter
	long := strings.Repeat("x", MaxValueBytes+1)
	many := make([]string, MaxValues+1)
	for i := range many {
		many[i] = "x"
	}
	cases := map[string]struct {
		filter        *f
		field, reason string
	}{
		"unspecified type":    {&f{Types: []deskbridgev1.SessionEventType{1, 0}}, "filter.types[1]", "0 is not a known"},
		"unknown type":        {&f{Types: []deskbridgev1.SessionEventType{18}}, "filter.types[0]", "18 is not a known"},
		"negative type":       {&f{Types: []deskbridgev1.SessionEventType{-1}}, "filter.types[0]", "-1 is not a known"},
		"unspecified channel": {&f{Channels: []deskbridgev1.Channel{0}}, "filter.channels[0]", "0 is not a known"},
		"empty value":         {&f{SessionIds: []string{"a", ""}}, "filter.session_ids[1]", "is empty"},
		"empty type name":     {&f{TypeNames: []string{""}}, "filter.type_names[0]", "is empty"},
		"long value":          {&f{AgentIds: []string{long}}, "filter.agent_ids[0]", "1025 bytes"},
		"many values":         {&f{ClientUserIds: many}, "filter.client_user_ids", "1001 values"},
		"many type names":     {&f{TypeNames: many}, "filter.type_names", "1001 values"},
		"misspelt name":       {&f{TypeNames: []string{"SesionEnd"}}, "filter.type_names[0]", `did you mean "SessionEnd"?`},
		"name in other case":  {&f{TypeNames: []string{"sessionend"}}, "filter.type_names[0]", `did you mean "SessionEnd"?`},
		"prefix in other case": {
			&f{TypeNames: []string{"*", "human.*"}}, "filter.type_names[1]", `did you mean "Human.*"?`,
		},
		"star inside":         {&f{TypeNames: []string{"Chat*Msg"}}, "filter.type_names[0]", "at the end only"},
		"two stars":           {&f{TypeNames: []string{"Chat**"}}, "filter.type_names[0]", "at the end only"},
		"expression syntax":   {&f{Expression: "event.id =="}, "filter.expression", "1:12: "},
		"expression field":    {&f{Expression: "true &&\n event.sesion_id == ''"}, "filter.expression", "2:7: undefined field"},
		"expression type":     {&f{Expression: "event.session_id"}, "filter.expression", "yields string, not a bool"},
		"expression variable": {&f{Expression: "evnt.id == ''"}, "filter.expression", "1:1: undeclared reference"},
		"expression size":     {&f{Expression: strings.Repeat(" ", MaxExpressionBytes) + "true"}, "filter.expression", "4100 bytes"},
		"expression cost": {
			&f{Expression: "event.message.elements.all(a, event.message.elements.all(b, " +
				"event.message.elements.all(c, a.text.text.contains(b.text.text + c.text.text))))"},
			"filter.expression", "may cost",
		},
		"expression regex": {&f{Expression: `event.id.matches("(((a{9}){9}){9}){9}")`}, "filter.expression", "1:18: "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile(c.filter)
			var mistake *Error
			if !errors.As(err, &mistake) {
				t.Fatalf("Compile: %v; want an *Error", err)
			}
			if mistake.Field != c.field || !strings.Contains(mistake.Reason, c.reason) {
				t.Errorf("Compile: %v; want %s: …%s…", err, c.field, c.reason)
			}
		})
	}
}

func TestTypesNewerThanTheContract(t *testing.T) {
	t.Parallel()
	m := sample()
	m.Type, m.TypeName = 0, proto.String("Session.Archived")
	e := read(t, m)
	for _, name := range []string{"Session.Archived", "Session.*"} {
		f := compile(t, &deskbridgev1.EventFilter{TypeNames: []string{name}})
		if !f.MatchFields(e) {
			t.Errorf("%q does not select it", name)
		}
	}
}

func TestExpressionFailure(t *testing.T) {
	t.Parallel()
	long := sample()
	long.Message.Elements[0].GetText().Text = proto.String(strings.Repeat("secret ", 120_000))
	cases := map[string]struct {
		expression string
		event      *deskbridgev1.SessionEvent
		reason     string
	}{
		"index": {"true &&\n event.message.elements[3].text.text == ''", sample(), "2:32: fails on the event at position 7: index out of bounds"},
		"value": {"int(event.message.elements[0].text.text) > 0", sample(), "1:4: fails on the event at position 7: invalid operation"},
		"cost": {
			`event.message.elements[0].text.text.matches("a.*b.*c.*(secret|refund).*d.*e.*f.*g.*h.*i.*j.*k.*l.*m.*n.*o.*p")`,
			long, "cost limit exceeded",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := compile(t, &deskbridgev1.EventFilter{Expression: c.expression})
			_, err := f.Match(read(t, c.event))
			var mistake *Error
			if !errors.As(err, &mistake) || mistake.Field != "filter.expression" || !strings.Contains(mistake.Reason, c.reason) {
				t.Fatalf("Match: %v; want …%s…", err, c.reason)
			}
			if strings.Contains(err.Error(), "refund\"") || strings.Contains(err.Error(), "want a") {
				t.Errorf("the error quotes the event: %v", err)
			}
		})
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	data, err := proto.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	x := NewIndex[int]()
	for _, c := range matchCases() {
		if f := compile(t, c.filter); f.HasFields() {
			x.Add(f, x.Len())
		}
	}
	e := new(Event)
	owners := x.AppendMatches(nil, read(t, sample()))
	allocations := testing.AllocsPerRun(100, func() {
		if err := e.Read(1, data); err != nil {
			t.Fatal(err)
		}
		owners = x.AppendMatches(owners[:0], e)
	})
	if allocations != 0 || len(owners) == 0 {
		t.Errorf("%v allocations for %d matches", allocations, len(owners))
	}
}
