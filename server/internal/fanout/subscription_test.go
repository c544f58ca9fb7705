package fanout

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// waitHead waits until the tail has read a position.
func waitHead(t testing.TB, h *Hub, position uint64) {
	t.Helper()
	waitFor(t, fmt.Sprintf("the tail to reach %d", position), func() bool { return h.Head() >= position })
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !done() {
		if !sleep(ctx, time.Millisecond) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// sequence is first, first+1, …, last.
func sequence(first, last uint64) (all []uint64) {
	for p := first; p <= last; p++ {
		all = append(all, p)
	}
	return all
}

func TestSlowReaderFallsBehindAndMissesNothing(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	h := runHub(t, Config{Journal: From(j), WindowBytes: 50 << 10})
	slow := subscribe(t, h, nil, Options{})
	filtered := subscribe(t, h, &deskbridgev1.EventFilter{SdkAppIds: []string{"1400000001"}}, Options{})
	fast := subscribe(t, h, nil, Options{})
	for _, s := range []*Subscription{slow, filtered, fast} {
		nextOf(t, s, CaughtUp)
	}
	fastEvents := make(chan []*Event)
	go func() { fastEvents <- take(t, fast, 1000) }()
	last := appendEvents(t, j, "s", 0, 1000)
	if got := positions(<-fastEvents); !slices.Equal(got, sequence(1, last)) {
		t.Errorf("the fast reader got %d events", len(got))
	}
	for name, s := range map[string]*Subscription{"slow": slow, "filtered": filtered} {
		if item := nextOf(t, s, FellBehind); item.Position != 0 || item.Lag() == 0 {
			t.Errorf("%s: fell behind at %d with lag %d, want at 0", name, item.Position, item.Lag())
		}
		if got := positions(take(t, s, last)); !slices.Equal(got, sequence(1, last)) {
			t.Errorf("%s: got %d events, want %d", name, len(got), last)
		}
		nextOf(t, s, CaughtUp)
	}
	if n := h.Stats().FallBehinds; n != 2 {
		t.Errorf("%d fell behind, want 2", n)
	}
}

func TestReaderBehindThePendingBoundStaysInTheWindow(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	h := runHub(t, Config{Journal: From(j)})
	s := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"s"}}, Options{})
	nextOf(t, s, CaughtUp)
	last := appendEvents(t, j, "s", 0, 3*maxPending)
	waitHead(t, h, last)
	if got := positions(take(t, s, last)); !slices.Equal(got, sequence(1, last)) {
		t.Errorf("got %d events, want %d", len(got), last)
	}
	last = appendEvents(t, j, "s", 3*maxPending, 1)
	if item := nextOf(t, s, Events); item.Position != last {
		t.Errorf("at %d, want %d", item.Position, last)
	}
}

func TestCaughtUpWaitsForItsTarget(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]*deskbridgev1.EventFilter{
		"everything": nil, "another session": {SessionIds: []string{"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := openJournal(t)
			h := runHub(t, Config{Journal: From(j)})
			s := subscribe(t, h, f, Options{Target: 5, Heartbeat: time.Minute})
			appended := make(chan uint64)
			go func() { appended <- appendEvents(t, j, "s", 0, 5) }()
			for item := next(t, s); ; item = next(t, s) {
				if item.Kind == CaughtUp {
					if item.Position < 5 {
						t.Errorf("caught up at %d", item.Position)
					}
					break
				}
			}
			<-appended
		})
	}
}

func TestStartAheadOfTheTail(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	h := runHub(t, Config{Journal: From(j)})
	all := subscribe(t, h, nil, Options{After: 10, Target: 10})
	one := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"s"}}, Options{After: 10, Target: 10})
	for _, s := range []*Subscription{all, one} {
		if item := nextOf(t, s, CaughtUp); item.Position != 10 || item.Head != 10 {
			t.Errorf("caught up at %d with head %d, want 10", item.Position, item.Head)
		}
	}
	appendEvents(t, j, "s", 0, 12)
	for _, s := range []*Subscription{all, one} {
		if got := positions(take(t, s, 12)); !slices.Equal(got, sequence(11, 12)) {
			t.Errorf("got %v, want 11 and 12", got)
		}
	}
}

func TestExpressionFailureEndsTheSubscription(t *testing.T) {
	t.Parallel()
	for _, behind := range []bool{false, true} {
		t.Run(fmt.Sprintf("behind the window: %v", behind), func(t *testing.T) {
			t.Parallel()
			j := openJournal(t)
			config := Config{Journal: From(j)}
			if behind {
				config.WindowBytes = 1
			}
			h := runHub(t, config)
			appendEvents(t, j, "s", 1, 6) // The agent of the last one is agent-6.
			waitHead(t, h, 6)
			s := subscribe(t, h, &deskbridgev1.EventFilter{Expression: "1 / (event.agent_id == 'agent-4' ? 0 : 1) == 1"}, Options{})
			if got := positions(take(t, s, 3)); !slices.Equal(got, sequence(1, 3)) {
				t.Errorf("got %v before the failure, want 1 to 3", got)
			}
			_, err := s.Next(t.Context())
			var mistake *filter.Error
			if !errors.As(err, &mistake) || mistake.Field != "filter.expression" {
				t.Errorf("Next: %v, want an error of the expression", err)
			}
		})
	}
}

// costly is an expression that takes milliseconds for each event, and is true for those of one agent.
func costly(agent string) string {
	list := "[" + strings.TrimSuffix(strings.Repeat("1, ", 50), ", ") + "]"
	return fmt.Sprintf("!%s.exists(x, %s.exists(y, event.agent_id == 'nobody')) && event.agent_id == %q", list, list, agent)
}

// TestCostlyExpressionKeepsHeartbeats has expressions that need far longer than a heartbeat's interval for what is read
// or looked at in one go.
func TestCostlyExpressionKeepsHeartbeats(t *testing.T) {
	t.Parallel()
	const events = 300
	for _, behind := range []bool{false, true} {
		t.Run(fmt.Sprintf("behind the window: %v", behind), func(t *testing.T) {
			t.Parallel()
			j := openJournal(t)
			config := Config{Journal: From(j)}
			if behind {
				config.WindowBytes = 1
			}
			h := runHub(t, config)
			waitHead(t, h, appendEvents(t, j, "s", 1, events))
			s := subscribe(t, h, &deskbridgev1.EventFilter{Expression: costly("agent-3")}, Options{Heartbeat: time.Millisecond})
			var places, got []uint64
			for {
				item := next(t, s)
				if item.Kind == CaughtUp {
					break
				}
				places = append(places, item.Position)
				got = append(got, positions(item.Events)...)
			}
			if distinct := len(slices.Compact(places)); distinct < 5 {
				t.Errorf("the reader heard of %d places", distinct)
			}
			if len(got) != 43 || got[0] != 3 || got[42] != 297 {
				t.Errorf("got %d events: %v", len(got), got)
			}
		})
	}
}

func TestCancelEndsCostlyExpression(t *testing.T) {
	t.Parallel()
	const events = 100
	j := openJournal(t)
	h := runHub(t, Config{Journal: From(j)})
	waitHead(t, h, appendEvents(t, j, "s", 1, events))
	s := subscribe(t, h, &deskbridgev1.EventFilter{Expression: costly("nobody")}, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), matchTime)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || s.cursor == events {
		t.Errorf("Next: %v, at %d", err, s.cursor)
	}
}

func TestUnreachableJournal(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	source := newFaulty(From(j))
	h := runHub(t, Config{Journal: source, WindowBytes: 1})
	live := subscribe(t, h, nil, Options{Heartbeat: 20 * time.Millisecond})
	// On a busy machine a heartbeat may come first.
	waitFor(t, "caught up", func() bool { return next(t, live).Kind == CaughtUp })
	source.fail(journal.ErrUnavailable)
	last := appendEvents(t, j, "s", 0, 20)
	behind := subscribe(t, h, nil, Options{Heartbeat: 20 * time.Millisecond})
	for _, s := range []*Subscription{live, behind} {
		waitFor(t, "a heartbeat that says so", func() bool {
			item := next(t, s)
			return item.Kind == Heartbeat && item.Unreachable
		})
	}
	if !h.Stats().Unreachable {
		t.Error("the statistics say that the journal is reachable")
	}
	source.fail(nil)
	for _, s := range []*Subscription{live, behind} {
		if got := positions(take(t, s, last)); !slices.Equal(got, sequence(1, last)) {
			t.Errorf("got %d events, want %d", len(got), last)
		}
		waitFor(t, "a heartbeat that says that all is well", func() bool {
			item := next(t, s)
			return item.Kind == Heartbeat && !item.Unreachable
		})
	}
}

// TestTailCannotPass lets the tail jump over records: the readers must not.
func TestTailCannotPass(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{journal.ErrTrimmed, journal.ErrDamaged} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			j := openJournal(t)
			source := newFaulty(From(j))
			h := runHub(t, Config{Journal: source})
			all := subscribe(t, h, nil, Options{})
			one := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"s"}}, Options{})
			lost := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"x"}}, Options{})
			for _, s := range []*Subscription{all, one, lost} {
				nextOf(t, s, CaughtUp)
			}
			source.fail(cause)
			last := appendEvents(t, j, "s", 0, 20)
			waitHead(t, h, last)
			nextOf(t, lost, FellBehind)
			if _, err := lost.Next(t.Context()); !errors.Is(err, cause) {
				t.Errorf("Next: %v, want %v", err, cause)
			}
			source.fail(nil)
			for _, s := range []*Subscription{all, one} {
				nextOf(t, s, FellBehind)
				if got := positions(take(t, s, last)); !slices.Equal(got, sequence(1, last)) {
					t.Errorf("got %v, want 1 to %d", got, last)
				}
			}
		})
	}
}

func TestMalformedEvent(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	h := runHub(t, Config{Journal: From(j)})
	s := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"s"}}, Options{})
	nextOf(t, s, CaughtUp)
	if _, err := j.Append(t.Context(), journal.Entry{DedupeKey: "bad", Data: []byte{0xff}}); err != nil {
		t.Fatal(err)
	}
	nextOf(t, s, FellBehind)
	if _, err := s.Next(t.Context()); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("Next: %v, want ErrDamaged", err)
	}
	later := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"s"}}, Options{After: 1})
	nextOf(t, later, CaughtUp)
	last := appendEvents(t, j, "s", 0, 1)
	if item := nextOf(t, later, Events); item.Position != last {
		t.Errorf("at %d, want %d", item.Position, last)
	}
}

// TestStalledReplayGivesItsTurnAway lets a reader stop in the middle of the journal while it has the only turn.
func TestStalledReplayGivesItsTurnAway(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	last := appendEvents(t, j, "s", 0, 1500)
	h := runHub(t, Config{Journal: From(j), WindowBytes: 1, MaxCatchUps: 1})
	waitHead(t, h, last)
	stalled := subscribe(t, h, nil, Options{Target: last})
	got := positions(nextOf(t, stalled, Events).Events)
	waiting := subscribe(t, h, nil, Options{Target: last, Heartbeat: 10 * time.Millisecond})
	if item := nextOf(t, waiting, Heartbeat); item.Position != 0 || item.Head != last {
		t.Errorf("heartbeat at %d with head %d, want 0 and %d", item.Position, item.Head, last)
	}
	if events := take(t, waiting, last); len(events) != int(last) {
		t.Errorf("got %d events, want %d", len(events), last)
	}
	got = append(got, positions(take(t, stalled, last))...)
	if !slices.Equal(got, sequence(1, last)) {
		t.Errorf("the stalled reader got %d events, want %d", len(got), last)
	}
	waitFor(t, "all turns to be given back", func() bool { return h.Stats().Replaying == 0 })
}

func TestItemsAreBounded(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 0} {
		t.Run(fmt.Sprintf("window of %d bytes", window), func(t *testing.T) {
			t.Parallel()
			j := openJournal(t)
			large := event("s", 0)
			large.ExtraJson = string(make([]byte, 900<<10))
			if _, err := j.Append(t.Context(), entry(t, large)); err != nil {
				t.Fatal(err)
			}
			last := appendEvents(t, j, "s", 1, 2000)
			h := runHub(t, Config{Journal: From(j), WindowBytes: window})
			waitHead(t, h, last)
			for _, f := range []*deskbridgev1.EventFilter{nil, {SessionIds: []string{"s"}}} {
				checkItems(t, subscribe(t, h, f, Options{Target: last}))
			}
		})
	}
}

func checkItems(t *testing.T, s *Subscription) {
	t.Helper()
	for item := next(t, s); item.Kind == Events; item = next(t, s) {
		size := 0
		for _, e := range item.Events {
			size += len(e.Wire)
		}
		if len(item.Events) > 1 && (size > maxItemBytes || len(item.Events) > maxItemEvents) {
			t.Errorf("an item of %d events and %d bytes", len(item.Events), size)
		}
	}
}

// quiet is a journal in which time can be virtual: nothing happens in it but what is fed.
type quiet struct{ fed chan []journal.Record }

func (q quiet) Bounds(context.Context) (journal.Bounds, error) {
	return journal.Bounds{Epoch: "e", Earliest: 1}, nil
}

func (q quiet) NewReader(uint64) Reader { return q }

func (q quiet) Next(ctx context.Context) ([]journal.Record, error) {
	select {
	case records := <-q.fed:
		return records, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (q quiet) Close() error { return nil }

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := quiet{make(chan []journal.Record)}
		h := runHub(t, Config{Journal: q})
		s := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"s"}}, Options{Heartbeat: 10 * time.Second})
		nextOf(t, s, CaughtUp)
		begin := time.Now()
		feed := func(position uint64, session string) {
			q.fed <- []journal.Record{{Position: position, Data: entry(t, event(session, 1)).Data}}
		}
		check := func(kind Kind, position uint64, after time.Duration) {
			t.Helper()
			item := nextOf(t, s, kind)
			if item.Position != position || item.Head != position || time.Since(begin) != after {
				t.Errorf("%v at %d, head %d, after %v; want at %d after %v",
					kind, item.Position, item.Head, time.Since(begin), position, after)
			}
		}
		check(Heartbeat, 0, 10*time.Second)
		time.AfterFunc(4*time.Second, func() { feed(3, "other") })
		check(Heartbeat, 3, 20*time.Second)
		time.AfterFunc(6*time.Second, func() { feed(4, "s") })
		check(Events, 4, 26*time.Second)
		check(Heartbeat, 4, 36*time.Second)
		time.Sleep(25 * time.Second) // The reader is busy elsewhere.
		check(Heartbeat, 4, 61*time.Second)
		check(Heartbeat, 4, 71*time.Second)
	})
}

// TestClosedSubscriptionsAreForgotten publishes an event that many want before one that nobody does.
func TestClosedSubscriptionsAreForgotten(t *testing.T) {
	t.Parallel()
	h := New(Config{Journal: quiet{}})
	defer h.stop()
	h.restart(0)
	publishing := &tail{hub: h}
	var closed []weak.Pointer[Subscription]
	func() {
		open := make([]*Subscription, 100)
		for i := range open {
			var err error
			open[i], err = h.Subscribe(Options{Filter: compile(t, &deskbridgev1.EventFilter{SessionIds: []string{"s"}})})
			if err != nil {
				t.Fatal(err)
			}
		}
		publishing.take([]journal.Record{
			{Position: 1, Data: entry(t, event("s", 1)).Data}, {Position: 2, Data: entry(t, event("other", 1)).Data},
		})
		for _, s := range open {
			s.Close()
			closed = append(closed, weak.Make(s))
		}
	}()
	publishing.take([]journal.Record{{Position: 3, Data: entry(t, event("other", 1)).Data}})
	runtime.GC()
	for i, s := range closed {
		if s.Value() != nil {
			t.Fatalf("closed subscription %d is still in reach", i)
		}
	}
	runtime.KeepAlive(h)
}

func TestCancelledNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := runHub(t, Config{Journal: quiet{make(chan []journal.Record)}})
		s := subscribe(t, h, nil, Options{Heartbeat: time.Hour})
		nextOf(t, s, CaughtUp)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next: %v, want the context's error", err)
		}
		s.Close()
		if _, err := s.Next(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("Next after Close: %v, want ErrStopped", err)
		}
	})
}
