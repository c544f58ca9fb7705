//go:build clients

package conformance_test

import (
	"path/filepath"
	"time"

	"github.com/deskbridge/deskbridge/client/conformance"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func resumeScenarios() []scenario {
	return []scenario{
		{"leave the loop, resume from the cursor file", leaveAndResume},
		{"kill -9, resume from the cursor file", killAndResume},
		{"a filtered stream's heartbeat is the resume point", heartbeatIsResumePoint},
	}
}

func (s *stage) cursorFile() string { return filepath.Join(s.TempDir(), "cursor") }

// leaveAndResume leaves the loop with an event that is not consumed, twice: it comes again, and nothing else does.
func leaveAndResume(s *stage) {
	bridge := s.played(3)
	events := bridge.Events()
	what := subscription{address: bridge.Addr(), request: allThereIs(), cursorFile: s.cursorFile()}
	what.limit = 5
	first := s.subscribe(what)
	_, seen := first.end(conformance.CauseLeft)
	seen.check(s, events[:5])
	_, seen = s.subscribe(what).end(conformance.CauseLeft)
	seen.check(s, events[4:9])
	what.limit = 0
	s.subscribe(what).finish(events[8:])
	s.subscribe(what).finish(nil)
}

// killAndResume wants no gap, and no more repeats than a second's work: that is how often a cursor is saved.
func killAndResume(s *stage) {
	bridge := s.played(20)
	events := bridge.Events()
	what := subscription{
		address: bridge.Addr(), request: allThereIs(), cursorFile: s.cursorFile(), delay: 50 * time.Millisecond,
	}
	c := s.subscribe(what)
	c.awaitCount(40)
	c.kill()
	killed := len(c.awaitCount(40).positions)

	what.delay = 0
	_, seen := s.subscribe(what).end(conformance.CauseFinished)
	repeated := len(seen.positions) - (len(events) - killed)
	// The event in the loop's body was not consumed.
	if repeated < 1 || repeated > killed-1 {
		s.Fatalf("killed with event %d; %d events come again", killed, repeated)
	}
	seen.check(s, events[killed-repeated:])
}

// heartbeatIsResumePoint has a filter that leaves out everything after the first events: only heartbeats tell how far
// the stream is.
func heartbeatIsResumePoint(s *stage) {
	bridge := s.played(1)
	request := impatient()
	request.Filter = &deskbridgev1.EventFilter{SessionIds: []string{bridge.Events()[0].GetSessionId()}}
	want := bridge.Events()
	what := subscription{address: bridge.Addr(), request: request, cursorFile: s.cursorFile()}
	c := s.subscribe(what)
	c.awaitState(conformance.StateHeartbeat, 1)
	bridge.Play(1)
	head := bridge.Journal().GetLatest().GetPosition()
	// The next heartbeat may have been on its way. The one after it has moved; the third shows that it was taken in.
	c.awaitState(conformance.StateHeartbeat, 4)
	bridge.Cut()
	connected := c.awaitState(conformance.StateConnected, 2)
	if connected.Start != head {
		s.Errorf("reconnected behind %d, want %d", connected.Start, head)
	}
	c.cancel(want)

	c = s.subscribe(what)
	if connected := c.awaitState(conformance.StateConnected, 1); connected.Start != head {
		s.Errorf("a new process resumed behind %d, want %d", connected.Start, head)
	}
	c.cancel(nil)
}
