//go:build clients

package conformance_test

import (
	"math"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskbridge/deskbridge/client/conformance"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func newerScenarios() []scenario {
	return []scenario{
		{"newer bridge: type, element, enum, field, response", newerContent},
		{"newer bridge: final error of an unknown reason", newerFinalError},
		{"newer bridge: passing error of an unknown reason", newerTemporaryError},
		{"positions and cursors of 64 bits", largePositions},
		{"repeated events are dropped", repeats},
		{"a stream that ends without an error goes on", endWithoutError},
		{"draining: the delay is kept", drainingDelay},
	}
}

// unknownField is one that no message of this contract has.
func unknownField() []byte {
	return protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "from the future")
}

func newerEvent(position uint64) *deskbridgev1.SessionEvent {
	element := &deskbridgev1.MessageElement{TypeName: proto.String("TIMHologramElem")}
	element.ProtoReflect().SetUnknown(unknownField())
	event := &deskbridgev1.SessionEvent{
		Position: position, Id: cursorAt(position),
		Type: 99, TypeName: proto.String("Human.UserWave"), Channel: 77, ChannelName: proto.String("Telepathy"),
		Message: &deskbridgev1.Message{Elements: []*deskbridgev1.MessageElement{element}},
	}
	event.ProtoReflect().SetUnknown(unknownField())
	return event
}

func newerContent(s *stage) {
	unknown := &response{Cursor: cursorAt(7)}
	unknown.ProtoReflect().SetUnknown(unknownField())
	newerOpened := opened(0, 7)
	newerOpened.GetOpened().ProtoReflect().SetUnknown(unknownField())
	bridge := s.script(
		plays(status.Error(codes.Unavailable, "cut"), newerOpened, batch(newerEvent(1), newerEvent(2)), unknown),
		plays(nil, opened(7, 7), caughtUp(7)),
	)
	c := s.subscribe(subscription{address: bridge.address, request: allThereIs(), events: true})
	_, seen := c.end(conformance.CauseFinished)
	want := []*deskbridgev1.SessionEvent{newerEvent(1), newerEvent(2)}
	for _, event := range want { // what is unknown has no name, and no place in JSON
		event.ProtoReflect().SetUnknown(nil)
		event.Message.Elements[0].ProtoReflect().SetUnknown(nil)
	}
	s.checkContent(want, seen.events)
	if calls := bridge.seen(); len(calls) != 2 || calls[1].after != cursorAt(7) {
		s.Errorf("calls: %+v, want the second behind the unknown response", calls)
	}
}

func newerFailure(code codes.Code) error {
	newer := status.New(code, "a reason of the future")
	newer, err := newer.WithDetails(&deskbridgev1.ErrorDetail{Reason: 99, Field: "start.at_moon_phase"})
	if err != nil {
		panic(err)
	}
	return newer.Err()
}

func newerFinalError(s *stage) {
	bridge := s.script(plays(newerFailure(codes.FailedPrecondition)))
	end, _ := s.subscribe(subscription{address: bridge.address, request: allThereIs()}).end(conformance.CauseError)
	if end.Code != "FAILED_PRECONDITION" || end.Field != "start.at_moon_phase" {
		s.Errorf("ended with %+v", end)
	}
}

func newerTemporaryError(s *stage) {
	want := eventsAt(1, 2)
	bridge := s.script(
		plays(newerFailure(codes.Unavailable), opened(0, 2), batch(want[0])),
		plays(nil, opened(1, 2), batch(want[1]), caughtUp(2)),
	)
	s.subscribe(subscription{address: bridge.address, request: allThereIs()}).finish(want)
}

func largePositions(s *stage) {
	const first, second, third = 1<<53 + 1, 1<<63 + 1, math.MaxUint64
	want := eventsAt(first, second, third)
	bridge := s.script(
		plays(status.Error(codes.Unavailable, "cut"), opened(1<<53, third), batch(want[0])),
		plays(status.Error(codes.Unavailable, "cut"), opened(first, third), batch(want[1])),
		plays(nil, opened(second, third), batch(want[2]), caughtUp(third)),
	)
	seen := s.subscribe(subscription{address: bridge.address, request: allThereIs()}).finish(want)
	if connected := seen.all(conformance.StateConnected); connected[2].Start != second || connected[2].Head != third {
		s.Errorf("connected: %+v", connected)
	}
	for i, after := range []string{"", cursorAt(first), cursorAt(second)} {
		if calls := bridge.seen(); calls[i].after != after {
			s.Errorf("call %d is behind %q, want %q", i, calls[i].after, after)
		}
	}
}

// repeats come from a bridge that begins a stream before the cursor.
func repeats(s *stage) {
	want := eventsAt(1, 2, 3, 4, 5)
	bridge := s.script(
		plays(status.Error(codes.Unavailable, "cut"), opened(0, 5), batch(want[0], want[1], want[2])),
		plays(nil, opened(1, 5), batch(want[1], want[2], want[3]), batch(want[3], want[4]), caughtUp(5)),
	)
	s.subscribe(subscription{address: bridge.address, request: allThereIs()}).finish(want)
}

func endWithoutError(s *stage) {
	want := eventsAt(1, 2)
	bridge := s.script(
		plays(nil, opened(0, 2), batch(want[0])),
		plays(nil, opened(1, 2), batch(want[1]), caughtUp(2)),
	)
	s.subscribe(subscription{address: bridge.address, request: allThereIs()}).finish(want)
}

func drainingDelay(s *stage) {
	const delay = 1500 * time.Millisecond
	want := eventsAt(1, 2)
	draining := &response{Cursor: cursorAt(1), Kind: &deskbridgev1.SubscribeResponse_Draining{
		Draining: &deskbridgev1.Draining{ReconnectDelay: durationpb.New(delay)},
	}}
	bridge := s.script(
		plays(nil, opened(0, 2), batch(want[0]), draining),
		plays(nil, opened(1, 2), batch(want[1]), caughtUp(2)),
	)
	seen := s.subscribe(subscription{address: bridge.address, request: allThereIs()}).finish(want)
	if states := seen.all(conformance.StateDraining); len(states) != 1 || states[0].DelayMS != delay.Milliseconds() {
		s.Errorf("draining: %+v", states)
	}
	if calls := bridge.seen(); calls[1].at.Sub(calls[0].done) < delay {
		s.Errorf("came back after %v, was asked for %v", calls[1].at.Sub(calls[0].done), delay)
	}
}

func bearerToken(s *stage) {
	bridge := s.script(plays(nil, opened(0, 0), caughtUp(0)))
	s.subscribe(subscription{address: bridge.address, request: allThereIs(), token: "s3cret"}).finish(nil)
	if calls := bridge.seen(); calls[0].token != "Bearer s3cret" {
		s.Errorf("authorization: %q", calls[0].token)
	}
}
