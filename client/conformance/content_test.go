//go:build clients

package conformance_test

import (
	"encoding/json"
	"fmt"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/deskbridge/deskbridge/client/bridgetest"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func contentScenarios() []scenario {
	return []scenario{
		{"content: every type of message", sameContent(func(_ *stage, bridge *bridgetest.Bridge) { bridge.Play(60) })},
		{"content: unicode", sameContent(postUnicode)},
		{"content: 64-bit values", sameContent(postLargeNumbers)},
		{"content: read mask", readMask},
	}
}

// sameContent wants the client to hand on each event as the Go client sees it, field by field.
func sameContent(post func(*stage, *bridgetest.Bridge)) func(*stage) {
	return func(s *stage) {
		bridge := bridgetest.Start(s)
		post(s, bridge)
		want := bridge.Events()
		c := s.subscribe(subscription{address: bridge.Addr(), request: allThereIs(), events: true})
		s.checkContent(want, c.finish(want).events)
	}
}

func (s *stage) checkContent(want, got []*deskbridgev1.SessionEvent) {
	s.Helper()
	if difference := cmp.Diff(want, got, protocmp.Transform()); difference != "" {
		s.Errorf("events differ (-want +got):\n%.3000s", difference)
	}
}

func postUnicode(s *stage, bridge *bridgetest.Bridge) {
	for i, text := range []string{
		"退款 🚚 👩‍👩‍👧‍👦 é é ﬀ", "שלום \u202e عربى", "line\u2028separators\u2029 \ufeff and \u0000 and \u001b", `"quotes" \ </script>`,
		"\U0010FFFF \uFFFD",
	} {
		quoted, err := json.Marshal(text)
		if err != nil {
			s.Fatal(err)
		}
		bridge.Post(fmt.Sprintf(`{"Event": "Human.UserSendMsg", "SessionId": %s, "EventTime": %d, "MsgBody":
			[{"MsgType": "TIMTextElem", "MsgContent": {"Text": %[1]s}}], "新": %[1]s}`, quoted, 1725540020017+i))
	}
	bridge.Post(`{"Event": "SessionEnd", "SessionId": "\ud83d\ude00"}`)
}

func postLargeNumbers(_ *stage, bridge *bridgetest.Bridge) {
	for _, number := range []string{
		"9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "0",
	} {
		bridge.Post(fmt.Sprintf(`{"Event": "Human.UserSendMsg", "SessionId": "s", "EventTime": 1725540020017, "MsgBody":
			[{"MsgType": "TIMFaceElem", "MsgContent": {"Index": %s}}]}`, number))
	}
}

func readMask(s *stage) {
	bridge := s.played(2)
	request := allThereIs()
	request.ReadMask = &fieldmaskpb.FieldMask{Paths: []string{"session_id", "message.key"}}
	var want []*deskbridgev1.SessionEvent
	for _, event := range bridge.Events() {
		masked := &deskbridgev1.SessionEvent{Id: event.GetId(), Position: event.GetPosition(), SessionId: event.SessionId}
		if event.Message != nil {
			masked.Message = &deskbridgev1.Message{Key: event.Message.Key}
		}
		want = append(want, masked)
	}
	c := s.subscribe(subscription{address: bridge.Addr(), request: request, events: true})
	s.checkContent(want, c.finish(want).events)
}
