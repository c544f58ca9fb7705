package fanout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// A history test lets many readers with different filters come, stall, lose their connection and resume while events
// arrive and the journal fails now and then. Each reader writes down what it got; in the end that must be exactly what
// the journal holds behind its start and its filter selects.

const (
	historyReaders = 200
	historyWriters = 8
	historyEvents  = 3000
)

// selection is a filter, and the same thing said once more in the plainest way.
type selection struct {
	filter *deskbridgev1.EventFilter
	wants  func(*deskbridgev1.SessionEvent) bool
}

func randomSelection(r *rand.Rand) selection {
	session := fmt.Sprintf("session-%d", r.IntN(historyWriters))
	agent := fmt.Sprintf("agent-%d", r.IntN(7))
	hasSession := func(e *deskbridgev1.SessionEvent) bool { return e.GetSessionId() == session }
	hasAgent := func(e *deskbridgev1.SessionEvent) bool { return e.GetAgentId() == agent }
	type f = deskbridgev1.EventFilter
	selections := []selection{
		{nil, func(*deskbridgev1.SessionEvent) bool { return true }},
		{&f{SessionIds: []string{session}}, hasSession},
		{&f{SessionIds: []string{"nobody"}}, func(*deskbridgev1.SessionEvent) bool { return false }},
		{&f{AgentIds: []string{agent, "agent-0"}}, func(e *deskbridgev1.SessionEvent) bool {
			return hasAgent(e) || e.GetAgentId() == "agent-0"
		}},
		{&f{TypeNames: []string{"ChatBot.*"}}, func(e *deskbridgev1.SessionEvent) bool {
			return strings.HasPrefix(e.GetTypeName(), "ChatBot.")
		}},
		{&f{SessionIds: []string{session}, AgentIds: []string{agent}}, func(e *deskbridgev1.SessionEvent) bool {
			return hasSession(e) && hasAgent(e)
		}},
		{&f{SdkAppIds: []string{"1400000001"}, TypeNames: []string{"SessionEnd"}}, func(e *deskbridgev1.SessionEvent) bool {
			return e.GetTypeName() == "SessionEnd"
		}},
		{&f{Expression: fmt.Sprintf("event.agent_id == %q", agent)}, hasAgent},
		{
			&f{SessionIds: []string{session}, Expression: fmt.Sprintf("event.agent_id == %q", agent)},
			func(e *deskbridgev1.SessionEvent) bool { return hasSession(e) && hasAgent(e) },
		},
	}
	return selections[r.IntN(len(selections))]
}

// reader is one reader's history.
type reader struct {
	t         *testing.T
	hub       *Hub
	random    *rand.Rand
	selection selection
	start     uint64
	cursor    uint64
	got       []uint64
	caughtUp  bool
}

// run reads up to a position that is known when ended is closed.
func (r *reader) run(ctx context.Context, ended <-chan struct{}, last *uint64) {
	for ctx.Err() == nil {
		if r.connect(ctx, ended, last) {
			return
		}
	}
	r.t.Errorf("reader with %v stopped at %d: %v", r.selection.filter, r.cursor, ctx.Err())
}

// connect subscribes behind the cursor and reads until the connection is lost, or to the end, which it reports.
func (r *reader) connect(ctx context.Context, ended <-chan struct{}, last *uint64) bool {
	s, err := r.hub.Subscribe(Options{
		Filter: compile(r.t, r.selection.filter), After: r.cursor, Heartbeat: time.Duration(1+r.random.IntN(20)) * time.Millisecond,
	})
	if err != nil {
		r.t.Error(err)
		return true
	}
	defer s.Close()
	r.caughtUp = false
	for {
		item, err := s.Next(ctx)
		if err != nil {
			r.t.Errorf("reader with %v: %v", r.selection.filter, err)
			return true
		}
		if r.random.IntN(150) == 0 {
			return false // The item is lost on the way.
		}
		r.record(item)
		if r.random.IntN(50) == 0 {
			r.stall(ctx)
		}
		if isClosed(ended) && r.cursor >= *last {
			return true
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// record checks an item and writes it down.
func (r *reader) record(item Item) {
	previous := r.cursor
	for _, e := range item.Events {
		if e.Position <= previous || e.Position > item.Position {
			r.t.Errorf("event at %d behind %d in an item up to %d", e.Position, previous, item.Position)
		}
		previous = e.Position
		r.got = append(r.got, e.Position)
	}
	if item.Position < r.cursor || item.Head < item.Position {
		r.t.Errorf("%v at %d with head %d, behind %d", item.Kind, item.Position, item.Head, r.cursor)
	}
	if item.Kind == CaughtUp && r.caughtUp || item.Kind == FellBehind && !r.caughtUp {
		r.t.Errorf("%v, but caught up before: %v", item.Kind, r.caughtUp)
	}
	if (item.Kind == Events) != (len(item.Events) > 0) {
		r.t.Errorf("%v with %d events", item.Kind, len(item.Events))
	}
	r.caughtUp = item.Kind == CaughtUp || r.caughtUp && item.Kind != FellBehind
	r.cursor = item.Position
}

// stall takes nothing until the tail is some way ahead, or for a while.
func (r *reader) stall(ctx context.Context) {
	until := r.hub.Head() + uint64(r.random.IntN(300))
	for range 100 {
		if r.hub.Head() >= until || !sleep(ctx, time.Millisecond) {
			return
		}
	}
}

// check compares the history with the journal.
func (r *reader) check(records []journal.Record) {
	var want []uint64
	for _, record := range records {
		m := new(deskbridgev1.SessionEvent)
		if err := proto.Unmarshal(record.Data, m); err != nil {
			r.t.Fatal(err)
		}
		if record.Position > r.start && r.selection.wants(m) {
			want = append(want, record.Position)
		}
	}
	if !slices.Equal(r.got, want) {
		r.t.Errorf("reader with %v behind %d got %d events, want %d", r.selection.filter, r.start, len(r.got), len(want))
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { testHistory(t, seed) })
	}
}

func testHistory(t *testing.T, seed uint64) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	j := openJournal(t)
	source := newFaulty(From(j))
	h := runHub(t, Config{Journal: source, WindowBytes: 250 << 10, MaxCatchUps: 8})
	var last uint64
	ended := make(chan struct{})
	readers := make([]*reader, historyReaders)
	var reading sync.WaitGroup
	for i := range readers {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		start := uint64(random.IntN(historyEvents / 2))
		readers[i] = &reader{t: t, hub: h, random: random, selection: randomSelection(random), start: start, cursor: start}
		reading.Go(func() { readers[i].run(ctx, ended, &last) })
	}
	writeHistory(t, j, source)
	bounds, err := j.Bounds(ctx)
	if err != nil {
		t.Fatal(err)
	}
	last = bounds.Latest
	close(ended)
	reading.Wait()
	if h.Stats().FallBehinds == 0 {
		t.Error("nobody fell behind: the test does not test what it says")
	}
	checkHistories(t, j, readers, last)
	checkEmpty(t, h)
}

// writeHistory appends the events, and lets the journal fail at times.
func writeHistory(t *testing.T, j *journal.Journal, source *faulty) {
	var writing sync.WaitGroup
	for w := range historyWriters {
		writing.Go(func() {
			session := fmt.Sprintf("session-%d", w)
			for n := range historyEvents / historyWriters {
				if _, err := j.Append(t.Context(), entry(t, event(session, n))); err != nil {
					t.Error(err)
				}
				if w == 0 && n%60 == 30 {
					source.fail(fmt.Errorf("%w: on purpose", journal.ErrUnavailable))
				}
				if w == 0 && n%60 == 40 {
					source.fail(nil)
				}
			}
		})
	}
	writing.Wait()
	source.fail(nil)
}

func checkHistories(t *testing.T, j *journal.Journal, readers []*reader, last uint64) {
	records := readJournal(t, j, last)
	for _, r := range readers {
		r.check(records)
	}
}

func readJournal(t *testing.T, j *journal.Journal, last uint64) (records []journal.Record) {
	r := j.NewReader(0)
	defer r.Close()
	for len(records) == 0 || records[len(records)-1].Position < last {
		batch, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, batch...)
	}
	return records
}

// checkEmpty checks that closed subscriptions have left nothing behind.
func checkEmpty(t *testing.T, h *Hub) {
	t.Helper()
	stats := h.Stats()
	h.mu.RLock()
	defer h.mu.RUnlock()
	left := stats.Subscriptions + stats.Replaying + stats.Waiting + h.index.Len() + len(h.watchers)
	if left != 0 {
		t.Errorf("left behind: %+v, %d indexed, %d watchers", stats, h.index.Len(), len(h.watchers))
	}
}
