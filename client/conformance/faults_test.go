//go:build clients

package conformance_test

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deskbridge/deskbridge/client"
	"github.com/deskbridge/deskbridge/client/bridgetest"
	"github.com/deskbridge/deskbridge/client/conformance"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
)

func faultScenarios() []scenario {
	return []scenario{
		{"cut in the middle of a batch", cutMidBatch},
		{"restart of the bridge", interrupted((*bridgetest.Bridge).Restart)},
		{"two restarts, one behind the other", interrupted(func(b *bridgetest.Bridge) { b.Restart(); b.Restart() })},
		{"half-open connection", interrupted(func(b *bridgetest.Bridge) { b.Blackhole(); b.Resume() })},
		{"drain", drained},
		{"stall, then resume", stalled},
		{"slow loop body", slowLoop},
		{"slow reader is cut", slowReader},
		{"slow reader falls behind", fellBehind},
		{"beside a subscription that is refused", beside(plays(status.Error(codes.Unavailable, "refused")))},
		{"beside a subscription that is silent", beside(stalls())},
		{"errors that pass", temporaryErrors},
		{"100,000 events with cuts", volume},
	}
}

// cutMidBatch cuts while the loop works through a batch, and in the middle of messages.
func cutMidBatch(s *stage) {
	bridge := s.played(30)
	bridge.CutAfter(50_000)
	c := s.subscribe(subscription{address: bridge.Addr(), request: allThereIs(), delay: 2 * time.Millisecond})
	c.awaitCount(50)
	bridge.Cut()
	c.awaitCount(100)
	bridge.CutAfter(10_000)
	c.finish(bridge.Events())
}

// interrupted disturbs a stream that has caught up. Nothing of it shows, but a reconnect.
func interrupted(disturb func(*bridgetest.Bridge)) func(*stage) {
	return func(s *stage) {
		bridge := s.played(2)
		c := s.subscribe(subscription{address: bridge.Addr(), request: impatient()})
		c.awaitState(conformance.StateCaughtUp, 1)
		disturb(bridge)
		bridge.Play(2)
		want := bridge.Events()
		c.expect(want)
		c.awaitState(conformance.StateConnected, 2)
		if seen := c.cancel(want); seen.count(conformance.StateReconnecting) == 0 {
			s.Error("reconnected without a word")
		}
	}
}

func drained(s *stage) {
	bridge := s.played(2)
	c := s.subscribe(subscription{address: bridge.Addr(), request: impatient()})
	c.awaitState(conformance.StateCaughtUp, 1)
	bridge.Drain()
	draining := c.awaitState(conformance.StateDraining, 1)
	reconnecting := c.awaitState(conformance.StateReconnecting, 1)
	if reconnecting.DelayMS < draining.DelayMS {
		s.Errorf("reconnecting after %d ms, was asked to wait %d ms", reconnecting.DelayMS, draining.DelayMS)
	}
	bridge.Play(1)
	want := bridge.Events()
	c.expect(want)
	c.cancel(want)
}

// stalled is shorter than three heartbeats: the stream goes on.
func stalled(s *stage) {
	bridge := s.played(1)
	c := s.subscribe(subscription{address: bridge.Addr(), request: fromEarliest()})
	c.awaitState(conformance.StateCaughtUp, 1)
	bridge.Stall()
	bridge.Play(2)
	bridge.Resume()
	want := bridge.Events()
	c.expect(want)
	if seen := c.cancel(want); seen.count(conformance.StateReconnecting) > 0 {
		s.Errorf("reconnected: %+v", seen.all(conformance.StateReconnecting))
	}
}

// slowLoop spends more than three heartbeats in the loop's body: that is no silence of the bridge.
func slowLoop(s *stage) {
	bridge := bridgetest.Start(s)
	bridge.Post(`{"Event": "SessionBegin", "SessionId": "s1"}`)
	bridge.Post(`{"Event": "SessionEnd", "SessionId": "s1"}`)
	request := impatient()
	request.StopWhenCaughtUp = true
	c := s.subscribe(subscription{address: bridge.Addr(), request: request, delay: 4500 * time.Millisecond})
	if seen := c.finish(bridge.Events()); seen.count(conformance.StateReconnecting) > 0 {
		s.Errorf("reconnected: %+v", seen.all(conformance.StateReconnecting))
	}
}

// slowReader stops the program, as a machine without room for it does, until the bridge has cut its stream.
func slowReader(s *stage) {
	bridge := bridgetest.Start(s, func(config *server.Config) { config.SendTimeout = time.Second })
	bridge.Play(1)
	c := s.subscribe(subscription{address: bridge.Addr(), request: fromEarliest()})
	c.awaitState(conformance.StateCaughtUp, 1)
	c.signal(syscall.SIGSTOP)
	// More than all buffers in between hold, and soon: a program that stands still for half a minute would count as dead.
	for n := range 64 {
		bridge.Post(fmt.Sprintf(`{"Event": "Human.UserSendMsg", "SessionId": "long %d", "MsgBody": [`+
			`{"MsgType": "TIMTextElem", "MsgContent": {"Text": "%s"}}]}`, n, strings.Repeat("x", 200<<10)))
	}
	s.awaitNoStream(bridge)
	c.signal(syscall.SIGCONT)
	c.await("a reconnect because of SLOW_READER", reconnectedFor("SLOW_READER"))
	want := bridge.Events()
	c.expect(want)
	c.cancel(want)
}

// awaitNoStream waits until nobody reads from the bridge.
func (s *stage) awaitNoStream(bridge *bridgetest.Bridge) {
	s.Helper()
	c, err := client.New(client.Config{Address: bridge.Addr()})
	if err != nil {
		s.Fatal(err)
	}
	defer c.Close()
	service := deskbridgev1.NewSubscriptionServiceClient(c)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		list, err := service.ListSubscriptions(s.Context(), &deskbridgev1.ListSubscriptionsRequest{})
		if err != nil {
			s.Fatal(err)
		}
		if len(list.GetSubscriptions()) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("not within %v: the end of %v", patience, list)
		}
	}
}

// fellBehind is told by a bridge whose reader can't keep up: nothing is lost.
func fellBehind(s *stage) {
	want := eventsAt(1, 2)
	behind := &response{Cursor: cursorAt(1), Kind: &deskbridgev1.SubscribeResponse_FellBehind{
		FellBehind: &deskbridgev1.FellBehind{HeadPosition: 9, Lag: 8},
	}}
	bridge := s.script(plays(nil, opened(0, 1), batch(want[0]), behind, batch(want[1]), caughtUp(9)))
	seen := s.subscribe(subscription{address: bridge.address, request: allThereIs()}).finish(want)
	if told := seen.all(conformance.StateFellBehind); len(told) != 1 || told[0].Head != 9 || told[0].Lag != 8 {
		s.Errorf("fell behind: %+v, want once, 8 behind 9", told)
	}
}

// beside has another subscription of the same client in trouble, again and again. Nothing of it may reach the first.
func beside(trouble script) func(*stage) {
	return func(s *stage) {
		want := eventsAt(1)
		bridge := s.script()
		bridge.named = map[string]script{"well": stalls(opened(0, 1), batch(want[0])), "in trouble": trouble}
		c := s.subscribe(subscription{
			address: bridge.address,
			request: &deskbridgev1.SubscribeRequest{Name: "well"},
			beside: &deskbridgev1.SubscribeRequest{
				Name: "in trouble", HeartbeatInterval: durationpb.New(100 * time.Millisecond),
			},
		})
		c.expect(want)
		bridge.awaitCalls(s, "in trouble", 4)
		if seen := c.cancel(want); seen.count(conformance.StateReconnecting) > 0 {
			s.Errorf("reconnected: %+v", seen.states)
		}
	}
}

func reconnectedFor(reason string) func(*transcript) bool {
	return func(t *transcript) bool {
		for _, line := range t.all(conformance.StateReconnecting) {
			if line.Reason == reason {
				return true
			}
		}
		return false
	}
}

// temporaryErrors are those of proxies in between, and of a bridge that has too much to do.
func temporaryErrors(s *stage) {
	bridge := s.played(1)
	for _, code := range []codes.Code{codes.Unavailable, codes.Unknown, codes.Internal, codes.Canceled} {
		bridge.Reject(code, nil)
	}
	bridge.Reject(codes.ResourceExhausted, &deskbridgev1.ErrorDetail{
		Reason: deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED,
	})
	c := s.subscribe(subscription{address: bridge.Addr(), request: allThereIs()})
	seen := c.finish(bridge.Events())
	if !reconnectedFor("LIMIT_EXCEEDED")(&seen) || seen.count(conformance.StateReconnecting) < 5 {
		s.Errorf("reconnected because of %+v", seen.all(conformance.StateReconnecting))
	}
}

// volume cuts the stream again and again, while it is read as fast as it can be. How far a client's buffers run ahead of
// its loop is its own business: each cut is due some bytes behind the one before.
func volume(s *stage) {
	const cuts = 8
	bridge, want := s.archive.fill()
	if len(want) < archiveSize {
		s.Fatal("the archive could not be filled")
	}
	proxy := bridgetest.NewProxy(s, bridge.Addr)
	proxy.CutAfter(100_000)
	c := s.subscribe(subscription{address: proxy.Addr(), request: allThereIs()})
	for n := 1; n < cuts; n++ {
		c.awaitState(conformance.StateReconnecting, n)
		proxy.CutAfter(100_000 * int64(n))
	}
	seen := c.finish(want)
	if n := seen.count(conformance.StateReconnecting); n < cuts {
		s.Errorf("reconnected %d times only: the cuts were missed", n)
	}
}
