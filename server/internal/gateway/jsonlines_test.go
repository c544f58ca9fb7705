package gateway

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestEventsStayOnTheirLine has text with everything that any reader may take for the end of a line.
func TestEventsStayOnTheirLine(t *testing.T) {
	t.Parallel()
	const breaks = "\n\v\f\r\x1c\x1d\x1e\u0085\u2028\u2029"
	event := &deskbridgev1.SessionEvent{Id: "a" + breaks + "b\u2028\u2028", SessionId: proto.String("中文“”")}
	response := &deskbridgev1.SubscribeResponse{Cursor: "e:1", Kind: &deskbridgev1.SubscribeResponse_Events{
		Events: &deskbridgev1.EventBatch{Events: []*deskbridgev1.SessionEvent{event}},
	}}
	for _, form := range []format{jsonLines{}, serverSentEvents{}} {
		out, err := form.appendResponse([]byte("before\n"), response)
		if err != nil {
			t.Fatal(err)
		}
		text := string(out)
		if strings.ContainsAny(strings.ReplaceAll(text, "\n", ""), breaks) || !strings.HasPrefix(text, "before\n") {
			t.Errorf("%s: %q", form.contentType(), text)
		}
		from, to := strings.Index(text, `{"id"`), strings.LastIndex(text, `"}`)+2
		got := &deskbridgev1.SessionEvent{}
		if err := protojson.Unmarshal(out[from:to], got); err != nil || !proto.Equal(got, event) {
			t.Errorf("%s: %q is read as %v, %v", form.contentType(), text, got, err)
		}
	}
}
