//go:build clients

package conformance_test

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/bridgetest"
	"github.com/deskbridge/deskbridge/client/conformance"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func fromEarliest() *deskbridgev1.SubscribeRequest {
	return &deskbridgev1.SubscribeRequest{Start: &deskbridgev1.SubscribeRequest_StartPosition{
		StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
	}}
}

// allThereIs ends when it has caught up.
func allThereIs() *deskbridgev1.SubscribeRequest {
	request := fromEarliest()
	request.StopWhenCaughtUp = true
	return request
}

// impatient has the shortest heartbeat: its watchdog fires after three seconds.
func impatient() *deskbridgev1.SubscribeRequest {
	request := fromEarliest()
	request.HeartbeatInterval = durationpb.New(time.Second)
	return request
}

func afterCursor(cursor string) *deskbridgev1.SubscribeRequest {
	return &deskbridgev1.SubscribeRequest{
		Start: &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: cursor}, StopWhenCaughtUp: true,
	}
}

// played is a bridge that has some sessions in its journal.
func (s *stage) played(sessions int) *bridgetest.Bridge {
	s.Helper()
	bridge := bridgetest.Start(s)
	bridge.Play(sessions)
	return bridge
}

func startScenarios() []scenario {
	return []scenario{
		{"start: latest", startLatest},
		{"start: earliest, stop when caught up", startEarliest},
		{"start: after a cursor", startAfterCursor},
		{"start: at a time", startAtTime},
		{"expired cursor: fail", expiredFails},
		{"expired cursor: earliest", expiredEarliest},
		{"expired cursor: latest", expiredLatest},
		{"a bridge that is away at first", startAway},
	}
}

func startLatest(s *stage) {
	bridge := s.played(1)
	c := s.subscribe(subscription{address: bridge.Addr(), request: &deskbridgev1.SubscribeRequest{}})
	connected := c.awaitState(conformance.StateConnected, 1)
	info := bridge.Journal()
	if head := info.GetLatest().GetPosition(); connected.Start != head || connected.Head != head ||
		connected.Epoch != info.GetEpoch() {
		s.Errorf("connected: %+v, want the head %d of %s", connected, head, info.GetEpoch())
	}
	before := len(bridge.Events())
	bridge.Play(1)
	want := bridge.Events()[before:]
	c.expect(want)
	c.cancel(want)
}

func startEarliest(s *stage) {
	bridge := s.played(3)
	c := s.subscribe(subscription{address: bridge.Addr(), request: allThereIs()})
	seen := c.finish(bridge.Events())
	caughtUp := seen.all(conformance.StateCaughtUp)
	if head := bridge.Journal().GetLatest().GetPosition(); len(caughtUp) != 1 || caughtUp[0].Head != head {
		s.Errorf("caught up: %+v, want once, at %d", caughtUp, head)
	}
}

func startAfterCursor(s *stage) {
	bridge := s.played(2)
	events := bridge.Events()
	cursor := client.FormatCursor(bridge.Journal().GetEpoch(), events[4].GetPosition())
	s.subscribe(subscription{address: bridge.Addr(), request: afterCursor(cursor)}).finish(events[5:])
}

func startAtTime(s *stage) {
	bridge := s.played(1)
	before := len(bridge.Events())
	start := time.Now()
	bridge.Play(1)
	request := &deskbridgev1.SubscribeRequest{
		Start: &deskbridgev1.SubscribeRequest_AtTime{AtTime: timestamppb.New(start)}, StopWhenCaughtUp: true,
	}
	s.subscribe(subscription{address: bridge.Addr(), request: request}).finish(bridge.Events()[before:])
}

// expired is a bridge that has trimmed what is behind the cursor, and new events after that.
func (s *stage) expired() (bridge *bridgetest.Bridge, cursor string) {
	s.Helper()
	bridge = s.played(1)
	cursor = bridge.Journal().GetEarliestCursor()
	bridge.Expire()
	bridge.Play(1)
	return bridge, cursor
}

func expiredFails(s *stage) {
	bridge, cursor := s.expired()
	end, _ := s.subscribe(subscription{address: bridge.Addr(), request: afterCursor(cursor)}).end(conformance.CauseError)
	info := bridge.Journal()
	if end.Reason != "CURSOR_EXPIRED" || end.Code != "OUT_OF_RANGE" ||
		end.EarliestCursor != info.GetEarliestCursor() || end.LatestCursor != info.GetLatestCursor() {
		s.Errorf("ended with %+v, want %s and %s", end, info.GetEarliestCursor(), info.GetLatestCursor())
	}
}

func expiredEarliest(s *stage) {
	bridge, cursor := s.expired()
	request := afterCursor(cursor)
	request.OnExpired = deskbridgev1.OnExpired_ON_EXPIRED_EARLIEST
	s.subscribe(subscription{address: bridge.Addr(), request: request}).finish(bridge.Events())
}

func expiredLatest(s *stage) {
	bridge, cursor := s.expired()
	request := afterCursor(cursor)
	request.OnExpired = deskbridgev1.OnExpired_ON_EXPIRED_LATEST
	s.subscribe(subscription{address: bridge.Addr(), request: request}).finish(nil)
}

func startAway(s *stage) {
	bridge := s.played(1)
	door := newDoor(s, bridge)
	c := s.subscribe(subscription{address: door.Addr(), request: allThereIs()})
	c.awaitState(conformance.StateReconnecting, 5)
	door.open()
	delays := c.finish(bridge.Events()).all(conformance.StateReconnecting)
	if delays[4].DelayMS <= delays[0].DelayMS {
		s.Errorf("the delays don't grow: %+v", delays)
	}
}
