//go:build clients

package conformance_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deskbridge/deskbridge/client/conformance"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// subscription is what a program is to do. Events are printed as positions unless events is set.
type subscription struct {
	address    string
	request    *deskbridgev1.SubscribeRequest
	beside     *deskbridgev1.SubscribeRequest // of a second subscription of the client; nil for none
	token      string
	cursorFile string
	limit      int
	delay      time.Duration
	events     bool
}

func (s subscription) command() (conformance.Command, error) {
	request, err := protojson.Marshal(s.request)
	command := conformance.Command{
		Address: s.address, Token: s.token, Request: request, CursorFile: s.cursorFile, Limit: s.limit,
		DelayMS: s.delay.Milliseconds(), Print: conformance.PrintPositions,
	}
	if s.beside != nil && err == nil {
		command.Beside, err = protojson.Marshal(s.beside)
	}
	if s.events {
		command.Print = conformance.PrintEvents
	}
	return command, err
}

// consumer is a client's conformance program while it runs.
type consumer struct {
	*process
	stage *stage

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with each line
	seen    transcript
}

// transcript is what a program has printed so far.
type transcript struct {
	positions []uint64
	ids       []string
	events    []*deskbridgev1.SessionEvent
	states    []conformance.Line
	end       *conformance.End
	// faulty is the first line that must not be there.
	faulty string
}

func (s *stage) subscribe(what subscription) *consumer {
	s.Helper()
	command, err := what.command()
	if err != nil {
		s.Fatal(err)
	}
	line, err := json.Marshal(command)
	if err != nil {
		s.Fatal(err)
	}
	c := &consumer{stage: s, changed: make(chan struct{})}
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("the program's states: %+v, events: %d, end: %+v", c.seen.states, len(c.seen.positions), c.seen.end)
		}
	})
	c.process = launch(s, s.language.program, nil, c.add)
	if _, err := c.input.Write(append(line, '\n')); err != nil {
		s.Fatalf("the program does not read its command: %v", err)
	}
	return c
}

func (c *consumer) add(line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.seen.add(line); err != nil && c.seen.faulty == "" {
		c.seen.faulty = fmt.Sprintf("%v: %.500s", err, line)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (t *transcript) add(text []byte) error {
	var line conformance.Line
	if err := json.Unmarshal(text, &line); err != nil {
		return err
	}
	switch {
	case t.end != nil:
		return fmt.Errorf("a line after the end")
	case line.End != nil:
		t.end = line.End
	case line.At != nil:
		position, err := strconv.ParseUint(line.At[0], 10, 64)
		t.positions, t.ids = append(t.positions, position), append(t.ids, line.At[1])
		return err
	case line.Event != nil:
		return t.addEvent(line.Event)
	case line.State != "":
		t.states = append(t.states, line)
	default:
		return fmt.Errorf("an empty line")
	}
	return nil
}

func (t *transcript) addEvent(text []byte) error {
	event := &deskbridgev1.SessionEvent{}
	err := protojson.Unmarshal(text, event)
	t.events = append(t.events, event)
	t.positions, t.ids = append(t.positions, event.GetPosition()), append(t.ids, event.GetId())
	return err
}

// count is how often a state was told.
func (t transcript) count(state string) int { return len(t.all(state)) }

func (t transcript) all(state string) []conformance.Line {
	return slices.DeleteFunc(slices.Clone(t.states), func(l conformance.Line) bool { return l.State != state })
}

// await waits until the transcript is as wanted, and returns it. It fails when the program ends before.
func (c *consumer) await(what string, reached func(*transcript) bool) transcript {
	c.stage.Helper()
	timeout := time.After(patience)
	for {
		seen, done, changed := c.look(reached)
		if seen.faulty != "" {
			c.stage.Fatalf("a faulty line: %s", seen.faulty)
		}
		if done {
			return seen
		}
		select {
		case <-changed:
		case <-c.exited:
			if seen, done, _ := c.look(reached); done {
				return seen
			}
			c.stage.Fatalf("the program ended (%v) without: %s", c.exit, what)
		case <-timeout:
			c.stage.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (c *consumer) look(reached func(*transcript) bool) (seen transcript, done bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen, reached(&c.seen), c.changed
}

// awaitState waits until a state has been told so often, and returns the last one.
func (c *consumer) awaitState(state string, times int) conformance.Line {
	c.stage.Helper()
	seen := c.await(fmt.Sprintf("state %s, %d times", state, times), func(t *transcript) bool {
		return t.count(state) >= times
	})
	return seen.all(state)[times-1]
}

// awaitCount waits until so many events have come.
func (c *consumer) awaitCount(n int) transcript {
	c.stage.Helper()
	return c.await(fmt.Sprintf("%d events", n), func(t *transcript) bool { return len(t.positions) >= n })
}

// expect waits for as many events as wanted, and wants them to be those and no others.
func (c *consumer) expect(want []*deskbridgev1.SessionEvent) {
	c.stage.Helper()
	c.awaitCount(len(want)).check(c.stage, want)
}

func (t transcript) check(s *stage, want []*deskbridgev1.SessionEvent) {
	s.Helper()
	for i, event := range want[:min(len(want), len(t.positions))] {
		if t.positions[i] != event.GetPosition() || t.ids[i] != event.GetId() {
			s.Fatalf("event %d is at %d (%s), want %d (%s)", i, t.positions[i], t.ids[i], event.GetPosition(), event.GetId())
		}
	}
	if len(t.positions) != len(want) {
		s.Fatalf("%d events, want %d", len(t.positions), len(want))
	}
}

// exitPatience is how long a program may take to end by itself: what a client leaves running takes longer.
const exitPatience = 20 * time.Second

// end waits for the subscription's end, and for that of the program, by itself and without a fault.
func (c *consumer) end(cause string) (conformance.End, transcript) {
	c.stage.Helper()
	seen := c.await("the end", func(t *transcript) bool { return t.end != nil })
	if seen.end.Cause != cause {
		c.stage.Fatalf("ended with %+v, want %q", *seen.end, cause)
	}
	select {
	case <-c.exited:
	case <-time.After(exitPatience):
		c.stage.Fatalf("the program is still running %v after its end", exitPatience)
	}
	if seen, _, _ = c.look(func(*transcript) bool { return true }); c.exit != nil || seen.faulty != "" {
		c.stage.Fatalf("the program ended with: %v %s", c.exit, seen.faulty)
	}
	return *seen.end, seen
}

// say writes a line to the program.
func (c *consumer) say(word string) {
	c.stage.Helper()
	if _, err := io.WriteString(c.input, word+"\n"); err != nil {
		c.stage.Fatal(err)
	}
}

// cancel ends the subscription from outside, when it has seen what is wanted and nothing else.
func (c *consumer) cancel(want []*deskbridgev1.SessionEvent) transcript {
	c.stage.Helper()
	c.say("cancel")
	_, seen := c.end(conformance.CauseCancelled)
	seen.check(c.stage, want)
	return seen
}

// finish is for a subscription that stops when it has caught up.
func (c *consumer) finish(want []*deskbridgev1.SessionEvent) transcript {
	c.stage.Helper()
	_, seen := c.end(conformance.CauseFinished)
	seen.check(c.stage, want)
	return seen
}
