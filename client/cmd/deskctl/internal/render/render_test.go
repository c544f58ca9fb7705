package render

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func withElements(elements ...*deskbridgev1.MessageElement) *deskbridgev1.SessionEvent {
	return &deskbridgev1.SessionEvent{Message: &deskbridgev1.Message{Elements: elements}}
}

func text(s string) *deskbridgev1.MessageElement {
	return &deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Text{
		Text: &deskbridgev1.TextElement{Text: &s},
	}}
}

func TestContent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		event *deskbridgev1.SessionEvent
		want  string
	}{
		{"nothing", &deskbridgev1.SessionEvent{}, ""},
		{"text", withElements(text("hello")), `"hello"`},
		{"text over lines", withElements(text("a\nb\t\"c\"\x1b[2J\u202e")), `"a\nb\t\"c\"\x1b[2J\u202e"`},
		{"long text", withElements(text(strings.Repeat("你", 161))), `"` + strings.Repeat("你", 160) + `"…`},
		{"two parts", withElements(text("a"), text("b")), `"a" + "b"`},
		{"location", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Location{
			Location: &deskbridgev1.LocationElement{
				Description: new("shop"), Latitude: new(29.340656774), Longitude: new(116.77497920),
			},
		}}), `location "shop" 29.34066,116.77498`},
		{"face", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Face{
			Face: &deskbridgev1.FaceElement{Index: new(int64(7)), Data: new("tt07")},
		}}), `face 7 "tt07"`},
		{"custom for people", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Custom{
			Custom: &deskbridgev1.CustomElement{Data: new(`{"src":15}`), Description: new("Menu")},
		}}), `custom "Menu"`},
		{"custom for programs", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Custom{
			Custom: &deskbridgev1.CustomElement{Data: new(`{"src":"15"}`)},
		}}), `custom {"src":"15"}`},
		{"sound", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Sound{
			Sound: &deskbridgev1.SoundElement{Seconds: new(int64(4)), Size: new(int64(62351))},
		}}), `sound 4 s 60.9 KiB`},
		{"image", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Image{
			Image: &deskbridgev1.ImageElement{Renditions: []*deskbridgev1.ImageRendition{
				{}, {Width: new(int64(1156)), Height: new(int64(582)), Size: new(int64(900))},
			}},
		}}), `image 1156×582 900 B`},
		{"image without sizes", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Image{
			Image: &deskbridgev1.ImageElement{},
		}}), `image`},
		{"file", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_File{
			File: &deskbridgev1.FileElement{Name: new("a\n.pdf"), Size: new(int64(5 << 20))},
		}}), `file "a\n.pdf" 5.0 MiB`},
		{"video", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Video{
			Video: &deskbridgev1.VideoElement{Format: new("mp4"), Seconds: new(int64(3))},
		}}), `video 3 s mp4`},
		{"relay", withElements(&deskbridgev1.MessageElement{Content: &deskbridgev1.MessageElement_Relay{
			Relay: &deskbridgev1.RelayElement{Title: new("Chat"), MessageCount: new(int64(3))},
		}}), `relay "Chat" 3 messages`},
		{"newer element", withElements(&deskbridgev1.MessageElement{
			TypeName: new("TIMStickerElem"), Content: &deskbridgev1.MessageElement_Other{
				Other: &deskbridgev1.OtherElement{ContentJson: `{"PackId":7}`},
			},
		}), `element TIMStickerElem {"PackId":7}`},
		{"rating", &deskbridgev1.SessionEvent{SatisfactionRating: new(int32(4))}, "★★★★☆"},
		{"rating out of range", &deskbridgev1.SessionEvent{SatisfactionRating: new(int32(-9))}, "rating -9"},
		{"empty rating", &deskbridgev1.SessionEvent{SatisfactionRating: new(int32(0))}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Content(test.event); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestPretty(t *testing.T) {
	t.Parallel()
	event := withElements(text("hello"))
	event.Type = deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_HUMAN_AGENT_SEND_MSG
	event.TypeName = new("Human.AgentSendMsg")
	event.SessionId = new("2baf4d84-beb4-4607-a1ea-6ebcaef3e0e6")
	event.ClientUserId, event.AgentId = new("buyer_1"), new("amy@example.com")
	event.EventTime = timestamppb.New(time.Date(2025, 1, 2, 3, 4, 5, 6e6, time.UTC))
	forward := proto.CloneOf(event)
	forward.Message = nil
	forward.Type = deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_AGENT_FORWARD
	forward.TypeName, forward.ForwardFromAgentId = new("AgentForward"), new("bob@example.com")
	newer := &deskbridgev1.SessionEvent{
		TypeName: new("Session.Paused"), SessionId: new("s1"),
		ReceiveTime: timestamppb.New(time.Date(2025, 1, 2, 3, 4, 6, 0, time.UTC)),
	}
	tests := map[string]*deskbridgev1.SessionEvent{
		`2025-01-02 03:04:05.006  2baf4d84  Human.AgentSendMsg           amy@example.com → buyer_1  "hello"`:             event,
		`2025-01-02 03:04:05.006  2baf4d84  AgentForward                 buyer_1 with bob@example.com → amy@example.com`: forward,
		`2025-01-02 03:04:06.000  s1        Session.Paused               user`:                                           newer,
	}
	for want, event := range tests {
		got, err := newPretty(false, time.UTC).format(event)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want+"\n", string(got)); diff != "" {
			t.Errorf("line (-want +got):\n%s", diff)
		}
	}
}

func TestPrettyColoursOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	for _, colour := range []bool{false, true} {
		line, err := newPretty(colour, time.UTC).format(&deskbridgev1.SessionEvent{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(line), "\x1b["); got != colour {
			t.Errorf("colour %v: %q", colour, line)
		}
	}
}

func TestJSONIsOneStableLine(t *testing.T) {
	t.Parallel()
	event := withElements(text("a\nb\x1b\x7f\u009b2J é你"))
	event.Position = 7
	want := `{"position":"7","message":{"elements":[{"text":{"text":"a\nb\u001b\u007f\u009b2J é你"}}]}}` + "\n"
	for range 20 { // protojson varies from process to process, and by message
		got, err := JSON(event)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Fatalf("line (-want +got):\n%s", diff)
		}
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	event := withElements(text("a\nb"))
	event.SessionId, event.Position = new("s\x1b1"), 7
	tests := map[string]string{
		`{{.Position}} {{.GetSessionId | escape}} {{content .}}`: `7 s\x1b1 "a\nb"`,
		`{{.GetAgentId}}|{{json .Message}}`:                      `|{"elements":[{"text":{"text":"a\nb"}}]}`,
	}
	for source, want := range tests {
		format, err := ParseFormat("go-template="+source, false)
		if err != nil {
			t.Fatal(err)
		}
		got, err := format(event)
		if err != nil || string(got) != want+"\n" {
			t.Errorf("%s: %q, %v", source, got, err)
		}
	}
}

func TestParseFormatRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "yaml", "Pretty", "go-template=", "go-template={{", "go-template={{nothing .}}"} {
		if _, err := ParseFormat(name, false); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"plain é 你 😀":  "plain é 你 😀",
		"a\x1b[31mred": `a\x1b[31mred`,
		"a\r\nb":       `a\r\nb`,
		`"quoted"`:     `"quoted"`,
		`back\slash`:   `back\\slash`,
		`\"`:           `\\"`,
		"\u202eright":  `\u202eright`,
		"\u009bC1":     `\u009bC1`,
	}
	for text, want := range tests {
		if got := Escape(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

// Whatever strangers write, an event is one line, and none of its characters is obeyed by a terminal.
func FuzzFormats(f *testing.F) {
	f.Add("ChatBot.UserSendMsg", "s1", "a\nb\x1b[2J")
	f.Add("\x00", "\u009b2J", "\u2028\u202e\\\"")
	f.Fuzz(func(t *testing.T, typeName, id, content string) {
		clean := func(s string) *string { return new(strings.ToValidUTF8(s, "")) }
		event := withElements(text(*clean(content)), &deskbridgev1.MessageElement{
			TypeName: clean(typeName), Content: &deskbridgev1.MessageElement_Custom{
				Custom: &deskbridgev1.CustomElement{Data: clean(content)},
			},
		}, &deskbridgev1.MessageElement{TypeName: clean(typeName), Content: &deskbridgev1.MessageElement_Video{
			Video: &deskbridgev1.VideoElement{Format: clean(content)},
		}})
		event.TypeName, event.SessionId, event.AgentId, event.ClientUserId = clean(typeName), clean(id), clean(id), clean(id)
		event.ForwardFromAgentId = clean(id)
		line, err := newPretty(false, time.UTC).format(event)
		if err != nil {
			t.Fatal(err)
		}
		checkLine(t, string(line), unicode.IsGraphic)

		encoded, err := JSON(event)
		if err != nil {
			t.Fatal(err)
		}
		checkLine(t, string(encoded), func(r rune) bool { return !unicode.IsControl(r) })
		var back deskbridgev1.SessionEvent
		if err := protojson.Unmarshal(encoded, &back); err != nil || !proto.Equal(event, &back) {
			t.Errorf("JSON changed the event: %v", err)
		}
		if !json.Valid(encoded) {
			t.Errorf("not JSON: %s", encoded)
		}
	})
}

func checkLine(t *testing.T, line string, allowed func(rune) bool) {
	t.Helper()
	body, ok := strings.CutSuffix(line, "\n")
	if !ok {
		t.Errorf("no line break at the end: %q", line)
	}
	for _, r := range body {
		if !allowed(r) {
			t.Errorf("%U in %q", r, line)
		}
	}
}
