package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// readerHeartbeat is what the readers ask for, and readerPatience how long one waits for anything: it is the interval
// and what a machine that does all this at once may take.
const (
	readerHeartbeat = time.Second
	readerPatience  = 5 * time.Second
)

// TestHistoriesAreOrderedCompleteAndUnique lets 200 readers with drawn filters, masks and starts join, stall, be cut,
// leave and resume while callbacks arrive, and holds what each of them got against the callbacks acknowledged.
func TestHistoriesAreOrderedCompleteAndUnique(t *testing.T) {
	const readers, writers, perWriter = 200, 8, 100
	seed := drawnSeed(t)
	config := testConfig(t)
	config.WindowBytes = 32 << 10 // who resumes has to begin with the journal
	b := startBridge(t, config)
	b.mustPost(documentQuery, sessionBody("before", 0))
	before := measure()

	ctx, cancel := context.WithTimeout(t.Context(), 6*testDeadline)
	defer cancel()
	var head atomic.Uint64 // set when all callbacks are acknowledged
	all := make([]*reader, readers)
	reading, ctx := errgroup.WithContext(ctx)
	for i := range all {
		all[i] = newReader(t, b, seed, uint64(i), &head)
		reading.Go(func() error { return all[i].live(ctx) })
	}
	acknowledged := make([][]string, writers)
	writing, writeCtx := errgroup.WithContext(ctx)
	for w := range acknowledged {
		writing.Go(func() (err error) {
			acknowledged[w], err = b.sendCallbacks(writeCtx, seed^0xabcdef, uint64(w), perWriter, 10*time.Millisecond)
			return err
		})
	}
	if err := writing.Wait(); err != nil {
		t.Fatal(err)
	}
	events := b.allEvents(nil)
	head.Store(events[len(events)-1].GetPosition())
	if err := reading.Wait(); err != nil {
		t.Fatal(err)
	}
	checkJournal(t, events[1:], acknowledged)
	var resumes, heartbeats, deliveries int
	for _, r := range all {
		r.check(t, events)
		resumes, heartbeats, deliveries = resumes+r.resumes, heartbeats+r.heartbeats, deliveries+len(r.events)
		r.proxy.stop()
	}
	t.Logf("%d readers, %d callbacks, %d deliveries, %d resumes, %d heartbeats",
		readers, len(events)-1, deliveries, resumes, heartbeats)
	if resumes < readers || heartbeats < readers {
		t.Error("the test does not test what it says")
	}
	clear(all)
	b.mustReturnTo(before)
}

// checkJournal holds the journal against what was acknowledged: each callback once, and each writer's in its order.
func checkJournal(t *testing.T, events []*deskbridgev1.SessionEvent, acknowledged [][]string) {
	t.Helper()
	next := make([]int, len(acknowledged))
	for _, event := range events {
		writer, _, _ := strings.Cut(event.GetMessage().GetKey(), "-")
		w, err := strconv.Atoi(writer)
		if err != nil || next[w] == len(acknowledged[w]) || acknowledged[w][next[w]] != event.GetMessage().GetKey() {
			t.Fatalf("position %d has %q, which is not the next that was acknowledged", event.GetPosition(),
				event.GetMessage().GetKey())
		}
		next[w]++
	}
	for w := range acknowledged {
		if next[w] != len(acknowledged[w]) {
			t.Fatalf("writer %d: %d of %d acknowledged callbacks are in the journal", w, next[w], len(acknowledged[w]))
		}
	}
}

// reader is a chain of streams, each resumed where the one before it ended.
type reader struct {
	bridge *bridge
	name   string
	way    string
	rng    *rand.Rand
	filter drawnFilter
	paths  []string // of the read mask
	start  *deskbridgev1.SubscribeRequest
	proxy  *proxy
	head   *atomic.Uint64

	cursor     string
	startedAt  uint64
	events     []*deskbridgev1.SessionEvent
	claims     []claim
	resumes    int
	heartbeats int
	quiet      int // heartbeats since the head was reached
}

// claim is what a response says: everything up to position is among the first count events.
type claim struct {
	position uint64
	count    int
}

func newReader(t *testing.T, b *bridge, seed, n uint64, head *atomic.Uint64) *reader {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, n))
	r := &reader{
		bridge: b, name: fmt.Sprintf("reader-%d", n), rng: rng, head: head, filter: drawFilter(rng),
		way:   pick(rng, []string{overGRPC, overGRPC, overGRPC, overLines, overSSE}),
		start: drawStart(rng),
		paths: pick(rng, [][]string{
			nil, nil,
			{"session_id"},
			{"message.key", "type_name"},
			{"message.elements", "event_time.seconds", "message"},
			{"callback.client_ip", "satisfaction_rating", "position"},
		}),
	}
	target := b.GRPCAddr()
	if r.way != overGRPC {
		target = b.HTTPAddr()
	}
	r.proxy = startProxy(t, target, 0)
	return r
}

func drawStart(rng *rand.Rand) *deskbridgev1.SubscribeRequest {
	switch rng.IntN(4) {
	case 0:
		return &deskbridgev1.SubscribeRequest{Start: fromEarliest()}
	case 1:
		at := time.Now().Add(time.Duration(rng.IntN(2000)-1000) * time.Millisecond)
		return &deskbridgev1.SubscribeRequest{Start: &deskbridgev1.SubscribeRequest_AtTime{AtTime: timestamppb.New(at)}}
	default:
		return &deskbridgev1.SubscribeRequest{}
	}
}

func (r *reader) request() *deskbridgev1.SubscribeRequest {
	request := proto.CloneOf(r.start)
	request.Name, request.Filter = r.name, r.filter.EventFilter
	request.HeartbeatInterval = durationpb.New(readerHeartbeat)
	if r.paths != nil {
		request.ReadMask = &fieldmaskpb.FieldMask{Paths: r.paths}
	}
	if r.cursor != "" {
		request.Start = &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: r.cursor}
	}
	return request
}

// live reads one stream after the other until everything has come. The first one is opened some time after the start.
func (r *reader) live(ctx context.Context) error {
	r.pause(2000)
	for {
		err := r.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%s, %s, at %q: %w", r.name, r.way, r.cursor, ctx.Err())
		case errors.Is(err, errDone):
			return nil
		case errors.Is(err, errWrong), isTerminal(err):
			return fmt.Errorf("%s, %s, at %q: %w", r.name, r.way, r.cursor, err)
		}
		r.resumes++
		r.pause(100)
	}
}

var (
	errDone  = errors.New("everything has come")
	errLeft  = errors.New("the reader has left")
	errWrong = errors.New("wrong")
)

// isTerminal tells the bridge's own complaints from a cut connection.
func isTerminal(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.Unimplemented, codes.DataLoss,
		codes.ResourceExhausted:
		return true
	default:
		return false
	}
}

func (r *reader) pause(most int) { time.Sleep(time.Duration(r.rng.IntN(most)) * time.Millisecond) }

func (r *reader) follow(ctx context.Context) error {
	var stream responses
	var closeStream func()
	var err error
	if r.way == overSSE && r.cursor != "" {
		stream, closeStream, err = openHTTP(ctx, r.way, r.proxy.addr(), r.request(), r.cursor)
	} else {
		stream, closeStream, err = openStream(ctx, r.way, r.proxy.addr(), r.request())
	}
	if err != nil {
		return err
	}
	defer closeStream()
	for {
		waiting := time.Now()
		response, err := stream.Recv()
		if waited := time.Since(waiting); waited > readerPatience {
			return fmt.Errorf("%w: no response for %v, then %v (%w)", errWrong, waited, response, err)
		}
		if err != nil {
			return err
		}
		if err := r.take(response); err != nil {
			return err
		}
		if err := r.misbehave(); err != nil {
			return err
		}
	}
}

// take records a response. A reader that has everything stays for two more heartbeats.
func (r *reader) take(response *deskbridgev1.SubscribeResponse) error {
	_, digits, _ := strings.Cut(response.GetCursor(), ":")
	position, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: cursor %q", errWrong, response.GetCursor())
	}
	if opened := response.GetOpened(); opened != nil && r.cursor == "" {
		r.startedAt = opened.GetStartPosition()
	}
	r.cursor = response.GetCursor()
	r.events = append(r.events, response.GetEvents().GetEvents()...)
	r.claims = append(r.claims, claim{position, len(r.events)})
	if response.GetHeartbeat() == nil {
		return nil
	}
	r.heartbeats++
	if head := r.head.Load(); head > 0 && position >= head {
		r.quiet++
	}
	if r.quiet > 2 {
		return errDone
	}
	return nil
}

func (r *reader) misbehave() error {
	switch dice := r.rng.IntN(200); {
	case dice < 4:
		r.pause(400)
	case dice < 6:
		r.proxy.cut()
	case dice < 8:
		return errLeft
	}
	return nil
}

// check holds a reader's history against all events.
func (r *reader) check(t *testing.T, all []*deskbridgev1.SessionEvent) {
	t.Helper()
	var want []*deskbridgev1.SessionEvent
	for _, event := range all {
		if event.GetPosition() > r.startedAt && r.filter.selects(event) {
			want = append(want, event)
		}
	}
	if err := r.compare(want); err != nil {
		t.Errorf("%s, %s, filter {%v}, mask %v, start {%v} at %d, %d resumes: %v",
			r.name, r.way, r.filter, r.paths, r.start, r.startedAt, r.resumes, err)
	}
	if at := r.start.GetAtTime(); at != nil && r.startedAt > 0 {
		if first := all[r.startedAt-1]; first.GetReceiveTime().AsTime().After(at.AsTime()) && r.startedAt < all[len(all)-1].GetPosition() {
			t.Errorf("%s started at %d, which came at %v, after %v", r.name, r.startedAt,
				first.GetReceiveTime().AsTime(), at.AsTime())
		}
	}
}

func (r *reader) compare(want []*deskbridgev1.SessionEvent) error {
	for i, event := range r.events {
		if i >= len(want) || event.GetPosition() != want[i].GetPosition() {
			return fmt.Errorf("delivery %d of %d is position %d, of %d wanted", i, len(r.events), event.GetPosition(), len(want))
		}
		expected := masked(want[i], r.paths)
		if !proto.Equal(expected, event) {
			return fmt.Errorf("position %d (-want +got):\n%s", event.GetPosition(), cmp.Diff(expected, event, protocmp.Transform()))
		}
	}
	if len(r.events) != len(want) {
		return fmt.Errorf("%d deliveries, want %d", len(r.events), len(want))
	}
	return r.compareClaims(want)
}

// compareClaims holds the cursors: each may lie only where all that matches before it has been delivered.
func (r *reader) compareClaims(want []*deskbridgev1.SessionEvent) error {
	last := uint64(0)
	for _, claim := range r.claims {
		if claim.position < last {
			return fmt.Errorf("the cursor went back from %d to %d", last, claim.position)
		}
		last = claim.position
		if claim.count < len(want) && want[claim.count].GetPosition() <= claim.position {
			return fmt.Errorf("the cursor was at %d when position %d had not been delivered", claim.position,
				want[claim.count].GetPosition())
		}
	}
	return nil
}

// masked is an event as a read mask shows it, by way of reflection.
func masked(event *deskbridgev1.SessionEvent, paths []string) *deskbridgev1.SessionEvent {
	if paths == nil {
		return event
	}
	event = proto.CloneOf(event)
	prune(event.ProtoReflect(), append([]string{"id", "position"}, paths...))
	return event
}

func prune(m protoreflect.Message, paths []string) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		var below []string
		for _, path := range paths {
			if path == string(field.Name()) {
				return true
			}
			if rest, ok := strings.CutPrefix(path, string(field.Name())+"."); ok {
				below = append(below, rest)
			}
		}
		if below == nil {
			m.Clear(field)
		} else {
			prune(value.Message(), below)
		}
		return true
	})
}
