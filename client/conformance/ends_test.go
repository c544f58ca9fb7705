//go:build clients

package conformance_test

import (
	"time"

	"github.com/deskbridge/deskbridge/client/conformance"
)

func endScenarios() []scenario {
	return []scenario{
		{"cancel: waiting for events", cancelWaiting},
		{"cancel: end of input", cancelByEndOfInput},
		{"cancel: in the loop's body", cancelInLoop},
		{"cancel: while the bridge is away", cancelAway},
		{"cancel: while the connection is stalled", cancelStalled},
	}
}

func cancelWaiting(s *stage) {
	bridge := s.played(1)
	c := s.subscribe(subscription{address: bridge.Addr(), request: fromEarliest()})
	c.awaitState(conformance.StateCaughtUp, 1)
	c.cancel(bridge.Events())
}

func cancelByEndOfInput(s *stage) {
	bridge := s.played(1)
	c := s.subscribe(subscription{address: bridge.Addr(), request: fromEarliest()})
	c.awaitState(conformance.StateCaughtUp, 1)
	if err := c.input.Close(); err != nil {
		s.Fatal(err)
	}
	_, seen := c.end(conformance.CauseCancelled)
	seen.check(s, bridge.Events())
}

// cancelInLoop leaves most of a batch undelivered.
func cancelInLoop(s *stage) {
	bridge := s.played(10)
	c := s.subscribe(subscription{address: bridge.Addr(), request: fromEarliest(), delay: 500 * time.Millisecond})
	c.awaitCount(2)
	c.say("cancel")
	_, seen := c.end(conformance.CauseCancelled)
	events := bridge.Events()
	if n := len(seen.positions); n >= len(events) {
		s.Fatalf("%d events of %d came", n, len(events))
	}
	seen.check(s, events[:len(seen.positions)])
}

func cancelAway(s *stage) {
	c := s.subscribe(subscription{address: newDoor(s, nil).Addr(), request: fromEarliest()})
	c.awaitState(conformance.StateReconnecting, 3)
	c.cancel(nil)
}

func cancelStalled(s *stage) {
	bridge := s.played(1)
	c := s.subscribe(subscription{address: bridge.Addr(), request: fromEarliest()})
	c.awaitState(conformance.StateCaughtUp, 1)
	bridge.Stall()
	c.cancel(bridge.Events())
}
