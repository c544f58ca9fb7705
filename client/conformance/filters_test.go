//go:build clients

package conformance_test

import (
	"io"
	"net/http"
	"strings"

	"github.com/deskbridge/deskbridge/client/bridgetest"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

const otherApp = "1600099999"

// filterScenarios are one for each field of EventFilter. A sample is an event that the filter is made for.
func filterScenarios() []scenario {
	type event = deskbridgev1.SessionEvent
	type filter = deskbridgev1.EventFilter
	rows := []struct {
		name   string
		filter func(sample *event) *filter
		passes func(sample, e *event) bool
	}{
		{
			"types",
			func(s *event) *filter { return &filter{Types: []deskbridgev1.SessionEventType{s.GetType()}} },
			func(s, e *event) bool { return e.GetType() == s.GetType() },
		},
		{
			"type_names",
			func(*event) *filter { return &filter{TypeNames: []string{"SessionEnd", "ChatBot.*"}} },
			func(_, e *event) bool {
				return e.GetTypeName() == "SessionEnd" || strings.HasPrefix(e.GetTypeName(), "ChatBot.")
			},
		},
		{
			"session_ids",
			func(s *event) *filter { return &filter{SessionIds: []string{s.GetSessionId(), "no such session"}} },
			func(s, e *event) bool { return e.GetSessionId() == s.GetSessionId() },
		},
		{
			"client_user_ids",
			func(s *event) *filter { return &filter{ClientUserIds: []string{s.GetClientUserId()}} },
			func(s, e *event) bool { return e.GetClientUserId() == s.GetClientUserId() },
		},
		{
			"agent_ids",
			func(s *event) *filter { return &filter{AgentIds: []string{s.GetAgentId()}} },
			func(s, e *event) bool { return e.GetAgentId() == s.GetAgentId() },
		},
		{
			"customer_service_ids",
			func(s *event) *filter { return &filter{CustomerServiceIds: []string{s.GetCustomerServiceId()}} },
			func(s, e *event) bool { return e.GetCustomerServiceId() == s.GetCustomerServiceId() },
		},
		{
			"channels",
			func(s *event) *filter { return &filter{Channels: []deskbridgev1.Channel{s.GetChannel()}} },
			func(s, e *event) bool { return e.GetChannel() == s.GetChannel() },
		},
		{
			"sdk_app_ids",
			func(*event) *filter { return &filter{SdkAppIds: []string{otherApp}} },
			func(_, e *event) bool { return e.GetSdkAppId() == otherApp },
		},
		{
			"expression",
			func(*event) *filter {
				return &filter{Expression: `event.satisfaction_rating > 3 || event.session_id == "会话 ☎"`}
			},
			func(_, e *event) bool { return e.GetSatisfactionRating() > 3 || e.GetSessionId() == "会话 ☎" },
		},
	}
	var scenarios []scenario
	for _, row := range rows {
		scenarios = append(scenarios, scenario{"filter: " + row.name, func(s *stage) {
			bridge := s.played(8)
			bridge.Post(`{"Event": "SessionBegin", "SessionId": "会话 ☎"}`)
			s.postForOtherApp(bridge)
			events := bridge.Events()
			sample := withAgent(events)
			var want []*event
			for _, e := range events {
				if row.passes(sample, e) {
					want = append(want, e)
				}
			}
			if len(want) == 0 || len(want) == len(events) {
				s.Fatalf("%d of %d events pass: that shows nothing", len(want), len(events))
			}
			request := allThereIs()
			request.Filter = row.filter(sample)
			s.subscribe(subscription{address: bridge.Addr(), request: request}).finish(want)
		}})
	}
	return scenarios
}

func withAgent(events []*deskbridgev1.SessionEvent) *deskbridgev1.SessionEvent {
	for _, event := range events {
		if event.GetAgentId() != "" {
			return event
		}
	}
	return nil
}

func (s *stage) postForOtherApp(bridge *bridgetest.Bridge) {
	s.Helper()
	target := bridge.URL() + "/v1/callbacks/desk?CallbackCommand=Desk.SessionEventNotify&SdkAppid=" + otherApp
	answer, err := http.Post(target, "application/json", strings.NewReader(`{"Event": "SessionEnd", "SessionId": "s"}`))
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), `"OK"`) {
		s.Fatalf("the webhook answered %s, %v", text, err)
	}
	http.DefaultClient.CloseIdleConnections()
}
