package callback

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestEncodeForeignEvents encodes events that Decode would not make.
func TestEncodeForeignEvents(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name  string
		event *deskbridgev1.SessionEvent
		want  string
	}{
		{"nil", nil, `{}`},
		{"empty", &deskbridgev1.SessionEvent{}, `{}`},
		{"empty message", &deskbridgev1.SessionEvent{Message: &deskbridgev1.Message{}}, `{}`},
		{"nil element", messageOf(nil), `{"MsgBody":[{}]}`},
		{"raw_json wins", messageOf(&deskbridgev1.MessageElement{RawJson: " 1 ", TypeName: new("a")}), `{"MsgBody":[1]}`},
		{"content without values", messageOf(&deskbridgev1.MessageElement{
			Content: &deskbridgev1.MessageElement_Text{Text: &deskbridgev1.TextElement{}},
		}), `{"MsgBody":[{"MsgContent":{}}]}`},
		{"numbers that JSON lacks", messageOf(&deskbridgev1.MessageElement{
			Content: &deskbridgev1.MessageElement_Location{Location: &deskbridgev1.LocationElement{
				Latitude: new(math.NaN()), Longitude: new(math.Inf(1)),
			}},
		}), `{"MsgBody":[{"MsgContent":{}}]}`},
		{"time finer than the wire's", &deskbridgev1.SessionEvent{
			EventTime: &timestamppb.Timestamp{Seconds: 1, Nanos: 2_999_999},
		}, `{"EventTime":1002}`},
		{"unordered extra_json", &deskbridgev1.SessionEvent{ExtraJson: ` { "b" : 1, "a" : [ ] } `}, `{"a":[],"b":1}`},
		{"extra_json overrides", &deskbridgev1.SessionEvent{
			AgentId: new("a"), ExtraJson: `{"Z":"x","AgentId":null}`,
		}, `{"AgentId":null,"Z":"x"}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, err := Encode(row.event); err != nil || string(got) != row.want {
				t.Errorf("Encode = %s, %v; want %s", got, err, row.want)
			}
		})
	}
}

func messageOf(element *deskbridgev1.MessageElement) *deskbridgev1.SessionEvent {
	return &deskbridgev1.SessionEvent{
		Message: &deskbridgev1.Message{Elements: []*deskbridgev1.MessageElement{element}},
	}
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	rows := []struct {
		field string
		event *deskbridgev1.SessionEvent
	}{
		{"extra_json", &deskbridgev1.SessionEvent{ExtraJson: `secret`}},
		{"extra_json", &deskbridgev1.SessionEvent{ExtraJson: `{"secret":}`}},
		{"extra_json", &deskbridgev1.SessionEvent{ExtraJson: `{} {}`}},
		{"extra_json", &deskbridgev1.SessionEvent{ExtraJson: `["secret"]`}},
		{"raw_json", messageOf(&deskbridgev1.MessageElement{RawJson: `"secret`})},
		{"content_json", messageOf(&deskbridgev1.MessageElement{
			Content: &deskbridgev1.MessageElement_Other{Other: &deskbridgev1.OtherElement{}},
		})},
	}
	for _, row := range rows {
		body, err := Encode(row.event)
		if err == nil || body != nil || !strings.Contains(err.Error(), row.field) {
			t.Errorf("Encode(%v) = %s, %v; want an error that names %s", row.event, body, err, row.field)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the event's text: %v", err)
		}
	}
}
