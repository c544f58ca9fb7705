package fanout

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// openJournal opens a journal that ends with the test. Acknowledged records need not survive a power cut here.
func openJournal(t testing.TB) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{Dir: t.TempDir(), Sync: journal.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// runHub runs a hub that ends with the test, before what the test opened earlier.
func runHub(t testing.TB, config Config) *Hub {
	t.Helper()
	h := New(config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return h
}

// event is an event of a session, with the type and agent that its number gives it.
func event(session string, n int) *deskbridgev1.SessionEvent {
	kinds := []string{"SessionBegin", "ChatBot.UserSendMsg", "ChatBot.RobotSendMsg", "Human.UserSendMsg", "SessionEnd"}
	return &deskbridgev1.SessionEvent{
		Id:        fmt.Sprintf("%s-%d", session, n),
		SessionId: proto.String(session),
		TypeName:  proto.String(kinds[n%len(kinds)]),
		AgentId:   proto.String(fmt.Sprintf("agent-%d", n%7)),
		SdkAppId:  "1400000001",
	}
}

func entry(t testing.TB, m *deskbridgev1.SessionEvent) journal.Entry {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return journal.Entry{AppID: m.GetSdkAppId(), SessionID: m.GetSessionId(), DedupeKey: m.GetId(), Data: data}
}

// appendEvents appends n events of a session, numbered from first on, and returns the last position.
func appendEvents(t testing.TB, j *journal.Journal, session string, first, n int) (position uint64) {
	t.Helper()
	for i := first; i < first+n; i++ {
		receipt, err := j.Append(t.Context(), entry(t, event(session, i)))
		if err != nil {
			t.Fatal(err)
		}
		position = receipt.Position
	}
	return position
}

func compile(t testing.TB, f *deskbridgev1.EventFilter) *filter.Filter {
	t.Helper()
	c, err := filter.Compile(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func subscribe(t testing.TB, h *Hub, f *deskbridgev1.EventFilter, o Options) *Subscription {
	t.Helper()
	o.Filter = compile(t, f)
	s, err := h.Subscribe(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func next(t testing.TB, s *Subscription) Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	item, err := s.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return item
}

// nextOf returns the next item, which must be of this kind.
func nextOf(t testing.TB, s *Subscription, kind Kind) Item {
	t.Helper()
	item := next(t, s)
	if item.Kind != kind {
		t.Fatalf("got %v at %d (head %d), want %v", item.Kind, item.Position, item.Head, kind)
	}
	return item
}

// take reads up to a cursor and returns the events.
func take(t testing.TB, s *Subscription, through uint64) (events []*Event) {
	t.Helper()
	for {
		item := next(t, s)
		events = append(events, item.Events...)
		if item.Position >= through {
			return events
		}
	}
}

func positions(events []*Event) (positions []uint64) {
	for _, e := range events {
		positions = append(positions, e.Position)
	}
	return positions
}

func TestLive(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	head := appendEvents(t, j, "s", 0, 3)
	h := runHub(t, Config{Journal: From(j)})
	s := subscribe(t, h, nil, Options{After: head, Target: head})
	if item := nextOf(t, s, CaughtUp); item.Position != head || item.Lag() != 0 {
		t.Errorf("caught up at %d, lag %d; want %d, 0", item.Position, item.Lag(), head)
	}
	last := appendEvents(t, j, "s", 3, 1)
	item := nextOf(t, s, Events)
	if len(item.Events) != 1 || item.Position != last || item.Events[0].Position != last {
		t.Errorf("got %d events up to %d, want the one at %d", len(item.Events), item.Position, last)
	}
}

func TestHistoryThenLive(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	head := appendEvents(t, j, "s", 0, 40)
	h := runHub(t, Config{Journal: From(j)})
	s := subscribe(t, h, &deskbridgev1.EventFilter{SessionIds: []string{"s"}}, Options{After: 10, Target: head})
	if got := positions(take(t, s, head)); len(got) != 30 || got[0] != 11 || got[29] != 40 {
		t.Errorf("got positions %v, want 11 to 40", got)
	}
	nextOf(t, s, CaughtUp)
	appendEvents(t, j, "other", 0, 5)
	last := appendEvents(t, j, "s", 40, 1)
	if item := nextOf(t, s, Events); len(item.Events) != 1 || item.Position != last {
		t.Errorf("got %d events up to %d, want one at %d", len(item.Events), item.Position, last)
	}
}

func TestWireIsTheEventWithItsPosition(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	head := appendEvents(t, j, "s", 0, 5)
	h := runHub(t, Config{Journal: From(j)})
	s := subscribe(t, h, nil, Options{Target: head})
	var wire []byte
	for _, e := range take(t, s, head) {
		wire = append(wire, e.Wire...)
	}
	batch := new(deskbridgev1.EventBatch)
	if err := proto.Unmarshal(wire, batch); err != nil {
		t.Fatal(err)
	}
	for i, got := range batch.GetEvents() {
		want := event("s", i)
		want.Position = uint64(i + 1)
		if !proto.Equal(got, want) {
			t.Errorf("event %d is %v, want %v", i, got, want)
		}
	}
	if len(batch.GetEvents()) != 5 {
		t.Errorf("got %d events, want 5", len(batch.GetEvents()))
	}
}

func TestStoppedHub(t *testing.T) {
	t.Parallel()
	h := New(Config{Journal: From(openJournal(t))})
	s := subscribe(t, h, nil, Options{})
	ended := make(chan error, 1)
	go func() {
		_, err := s.Next(context.Background())
		ended <- err
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrStopped) {
		t.Errorf("Next: %v, want ErrStopped", err)
	}
	if _, err := h.Subscribe(Options{}); !errors.Is(err, ErrStopped) {
		t.Errorf("Subscribe: %v, want ErrStopped", err)
	}
}
