package bridgetest_test

import (
	"context"
	"testing"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/bridgetest"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// countRatings is a consumer under test: it counts the ratings of each agent there are by now.
func countRatings(ctx context.Context, address string, handled func()) (map[string]int, error) {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return nil, err
	}
	defer bridge.Close()
	request := &deskbridgev1.SubscribeRequest{
		Filter: &deskbridgev1.EventFilter{
			Types: []deskbridgev1.SessionEventType{deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_SATISFACTION_SELECTED},
		},
		Start: &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
		},
		StopWhenCaughtUp: true,
	}
	ratings := map[string]int{}
	for event, err := range bridge.Subscribe(ctx, request) {
		if err != nil {
			return nil, err
		}
		ratings[event.GetAgentId()]++
		handled()
	}
	return ratings, nil
}

// testCountRatings wants each rating to be counted once, although the bridge restarts after each.
func testCountRatings(t *testing.T) {
	bridge := bridgetest.Start(t)
	bridge.Post(`{"Event": "SatisfactionSelected", "SessionId": "s1", "AgentId": "amy", "SatisfactionSelected": 5}`)
	bridge.Post(`{"Event": "SessionEnd", "SessionId": "s1", "AgentId": "amy"}`)
	bridge.Post(`{"Event": "SatisfactionSelected", "SessionId": "s2", "AgentId": "amy", "SatisfactionSelected": 3}`)

	ratings, err := countRatings(t.Context(), bridge.Addr(), bridge.Restart)
	if err != nil {
		t.Fatal(err)
	}
	if len(ratings) != 1 || ratings["amy"] != 2 {
		t.Errorf("ratings: got %v, want 2 of amy", ratings)
	}
}

func ExampleStart() {
	_ = testCountRatings // a test as any other, but for its name
}
