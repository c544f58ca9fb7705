package main_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// history is what a run has left: what was acknowledged, and what a last reader found.
type history struct {
	acknowledged []acknowledgement
	stored       []event
	quarantined  []string // bodies that were acknowledged
	inQuarantine []string
	repeats      int
}

// faults collects what is wrong, the first of each kind.
type faults struct {
	counts map[string]int
	texts  []string
}

func (f *faults) add(kind, format string, args ...any) {
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	if f.counts[kind]++; f.counts[kind] <= 3 {
		f.texts = append(f.texts, kind+": "+fmt.Sprintf(format, args...))
	}
}

func (f *faults) err() error {
	if len(f.texts) == 0 {
		return nil
	}
	return fmt.Errorf("%v\n%s", f.counts, strings.Join(f.texts, "\n"))
}

const (
	lost      = "acknowledged and lost"
	repeated  = "stored twice"
	unordered = "out of order"
	altered   = "altered"
	missing   = "not delivered"
)

// check holds the journal to what was acknowledged.
func (h *history) check() error {
	var f faults
	h.checkPositions(&f)
	h.checkAcknowledged(&f)
	h.checkSessions(&f)
	kept := map[string]bool{}
	for _, body := range h.inQuarantine {
		kept[body] = true
	}
	for _, body := range h.quarantined {
		if !kept[body] {
			f.add(lost, "callback in quarantine %s", body)
		}
	}
	return f.err()
}

func (h *history) checkPositions(f *faults) {
	ids := map[string]uint64{}
	var last uint64
	for _, e := range h.stored {
		if e.Position <= last {
			f.add(unordered, "position %d behind %d", e.Position, last)
		}
		last = e.Position
		if first, ok := ids[e.ID]; ok {
			f.add(repeated, "%s at %d and %d", e.ID, first, e.Position)
		}
		ids[e.ID] = e.Position
	}
}

func (h *history) checkAcknowledged(f *faults) {
	stored := map[string]event{}
	for _, e := range h.stored {
		stored[e.RequestID] = e
	}
	for _, a := range h.acknowledged {
		e, ok := stored[a.ID]
		switch {
		case !ok:
			f.add(lost, "%+v", a)
		case e.Session != a.Session || e.Type != a.Event:
			f.add(altered, "%+v became %+v", a, e)
		}
	}
}

// checkSessions wants the callbacks of a session stored as they were posted: 1, 2, 3 and so on. Of each session the last
// one may be there without an acknowledgement, when the load was stopped in between.
func (h *history) checkSessions(f *faults) {
	sequences := map[string]int{}
	for _, a := range h.acknowledged {
		sequences[a.ID] = a.Sequence
	}
	next, unacknowledged := map[string]int{}, map[string]string{}
	for _, e := range h.stored {
		if first, ok := unacknowledged[e.Session]; ok {
			f.add(unordered, "session %s has %s behind %s, which was not acknowledged", e.Session, e.RequestID, first)
		}
		next[e.Session]++
		sequence, ok := sequences[e.RequestID]
		if !ok {
			unacknowledged[e.Session] = e.RequestID
		} else if sequence != next[e.Session] {
			f.add(unordered, "session %s has its callback %d at place %d, position %d",
				e.Session, sequence, next[e.Session], e.Position)
		}
	}
}

// losses is how many acknowledged callbacks are not there.
func (h *history) losses() int {
	var f faults
	h.checkAcknowledged(&f)
	return f.counts[lost]
}

// check wants each matching event once, in order, of one epoch.
func (s *subscriber) check(stored []event) error {
	var f faults
	want := s.wanted(stored)
	for i := 0; i < max(len(want), len(s.seen)); i++ {
		switch {
		case i >= len(s.seen):
			f.add(missing, "%+v", want[i])
		case i >= len(want):
			f.add(repeated, "%+v, delivered beyond what there is", s.seen[i])
		case s.seen[i] != want[i]:
			f.add(missing, "%+v came where %+v belongs", s.seen[i], want[i])
		}
	}
	if len(s.epochs) > 1 {
		f.add(altered, "epochs %v", slices.Collect(maps.Keys(s.epochs)))
	}
	if err := f.err(); err != nil {
		return fmt.Errorf("subscriber %s: %w", s.name, err)
	}
	return nil
}

func (s *subscriber) wanted(stored []event) (want []event) {
	for _, e := range stored {
		if s.matches(e) {
			want = append(want, e)
		}
	}
	return want
}

// check also waits for the subscribers to get what is there, and stops them.
func (g *subscribers) check(ctx context.Context, stored []event) error {
	caughtUp := eventually(ctx, "the subscribers' catching up", func() bool {
		for _, s := range g.all {
			if s.failure() == nil && s.count() < len(s.wanted(stored)) {
				return false
			}
		}
		return true
	})
	g.stop()
	errs := []error{caughtUp}
	for _, s := range g.all {
		errs = append(errs, s.failure(), s.check(stored))
	}
	return errors.Join(errs...)
}

// readAll is what a reader finds that starts at the beginning and ends at the head.
func readAll(ctx context.Context, address string) (stored []event, err error) {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return nil, err
	}
	defer bridge.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request := &deskbridgev1.SubscribeRequest{Start: fromEarliest(), StopWhenCaughtUp: true}
	for e, err := range bridge.Subscribe(ctx, request) {
		if err != nil {
			return nil, fmt.Errorf("the last reader: %w", err)
		}
		stored = append(stored, eventOf(e))
	}
	return stored, nil
}

// checkSomeSessions compares the timelines of some sessions with the journal.
func checkSomeSessions(ctx context.Context, address string, stored []event) error {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return err
	}
	defer bridge.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bySession := map[string][]event{}
	for _, e := range stored {
		bySession[e.Session] = append(bySession[e.Session], e)
	}
	sessions := sortedKeys(bySession)
	for _, session := range sessions[:min(20, len(sessions))] {
		response, err := deskbridgev1.NewSessionEventServiceClient(bridge).ListSessionEvents(ctx,
			&deskbridgev1.ListSessionEventsRequest{SessionId: session, PageSize: 1000})
		if err != nil {
			return err
		}
		var got []event
		for _, e := range response.GetEvents() {
			got = append(got, eventOf(e))
		}
		if !slices.Equal(got, bySession[session]) {
			return fmt.Errorf("session %s: its timeline is %v, the journal has %v", session, got, bySession[session])
		}
	}
	return nil
}

func readQuarantine(ctx context.Context, address string) (bodies []string, err error) {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return nil, err
	}
	defer bridge.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	quarantine := deskbridgev1.NewQuarantineServiceClient(bridge)
	for page := ""; ; {
		list, err := quarantine.ListQuarantinedCallbacks(ctx,
			&deskbridgev1.ListQuarantinedCallbacksRequest{PageSize: 1000, PageToken: page})
		if err != nil {
			return nil, fmt.Errorf("the quarantine: %w", err)
		}
		for _, c := range list.GetCallbacks() {
			one, err := quarantine.GetQuarantinedCallback(ctx,
				&deskbridgev1.GetQuarantinedCallbackRequest{QuarantineId: c.GetQuarantineId()})
			if err != nil {
				return nil, fmt.Errorf("the quarantine: %w", err)
			}
			bodies = append(bodies, string(one.GetCallback().GetBody()))
		}
		if page = list.GetNextPageToken(); page == "" {
			return bodies, nil
		}
	}
}

// take reads everything there is to check, from a bridge that is ready and a load that has stopped.
func take(ctx context.Context, d *daemon, l *load) (*history, error) {
	acknowledged, err := l.acknowledged()
	if err != nil {
		return nil, err
	}
	stored, err := readAll(ctx, d.grpcAddr)
	if err != nil {
		return nil, err
	}
	inQuarantine, err := readQuarantine(ctx, d.grpcAddr)
	return &history{
		acknowledged: acknowledged, stored: stored, quarantined: l.keptBodies(), inQuarantine: inQuarantine,
		repeats: l.repeats(),
	}, err
}

func (h *history) summary(what string, count int, seed uint64, d *daemon) string {
	return fmt.Sprintf("%d %s, %d acknowledged, %d stored, %d duplicates suppressed, %d quarantined, "+
		"slowest recovery %v, seed %d", count, what, len(h.acknowledged), len(h.stored), h.repeats, len(h.quarantined),
		d.slowest.Round(time.Millisecond), seed)
}
