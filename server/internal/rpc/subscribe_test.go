package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// TestStalledReaderLearnsOfTheDrain has a reader that takes nothing while its stream is told to end, and goes on later.
func TestStalledReaderLearnsOfTheDrain(t *testing.T) {
	t.Parallel()
	const events = 1000
	for name, tt := range map[string]struct {
		age time.Duration
		end func(*SessionEvents) error
	}{
		"shutdown": {end: func(s *SessionEvents) error {
			ctx, cancel := context.WithTimeout(t.Context(), testDeadline)
			defer cancel()
			return s.Drain(ctx)
		}},
		"age": {age: time.Second, end: func(*SessionEvents) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := startService(t, journal.Config{Sync: journal.SyncInterval}, fanout.Config{}, SessionEventsConfig{
				SendTimeout: time.Hour, PartTimeout: 100 * time.Millisecond, MaxStreamAge: tt.age,
			})
			store(t, service, 0, events, func(n int) journal.Entry { return makeEntry("s", n, strings.Repeat("x", 1000)) })
			stream := subscribe(t, connect(t, serve(t, service), smallWindow()), &deskbridgev1.SubscribeRequest{Start: earliest()})
			eventually(t, "a Send is stuck", func() bool { return isStuck(service) })
			if err := tt.end(service); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the stream has ended", func() bool { return len(service.readers.list(0)) == 0 })
			last, err := readAll(stream)
			detail := detailOf(err)
			if detail.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_DRAINING {
				t.Fatalf("the stream ended with %v", err)
			}
			cursor, err := journal.ParseCursor(detail.GetResumeCursor())
			if err != nil || cursor.Position > last || last == events {
				t.Errorf("had events up to %d, and is to resume behind %q", last, detail.GetResumeCursor())
			}
		})
	}
}

// TestSlowReaderIsNotCut has a reader that goes on all the time. It makes room for 16 KiB, which is a quarter of its
// window and the least that the bridge hears of, within a second, and needs longer than SendTimeout for three times that.
func TestSlowReaderIsNotCut(t *testing.T) {
	t.Parallel()
	const events, size, sendTimeout, perEvent = 220, 1000, 3500 * time.Millisecond, 75 * time.Millisecond
	service := startService(t, journal.Config{Sync: journal.SyncInterval}, fanout.Config{},
		SessionEventsConfig{SendTimeout: sendTimeout})
	store(t, service, 0, events, func(n int) journal.Entry { return makeEntry("s", n, strings.Repeat("x", size)) })
	stream := subscribe(t, connect(t, serve(t, service), smallWindow()), &deskbridgev1.SubscribeRequest{Start: earliest()})
	for last := uint64(0); last < events; {
		response, err := stream.Recv()
		if err != nil {
			t.Fatalf("behind %d: %v", last, err)
		}
		for _, event := range response.GetEvents().GetEvents() {
			if last++; event.GetPosition() != last {
				t.Fatalf("position %d, want %d", event.GetPosition(), last)
			}
			time.Sleep(perEvent) // it is a slow reader
		}
	}
}

// TestDamageIsNamed has an event in the journal that nobody can read.
func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	const broken, last = 3, 5
	var log bytes.Buffer
	service := startService(t, journal.Config{Sync: journal.SyncInterval}, fanout.Config{},
		SessionEventsConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for n := range last {
		store(t, service, n, 1, func(n int) journal.Entry {
			entry := makeEntry("s", n, "")
			if n == broken-1 {
				entry.Data = []byte{0xff}
			}
			return entry
		})
	}
	conn := connect(t, serve(t, service))
	filter := &deskbridgev1.EventFilter{SessionIds: []string{"s"}}
	stream := subscribe(t, conn, &deskbridgev1.SubscribeRequest{Filter: filter, Start: earliest()})
	read, err := readAll(stream)
	epoch := bounds(t, service).Epoch
	behind := journal.Cursor{Epoch: epoch, Position: broken}.String()
	if read != broken-1 || status.Code(err) != codes.DataLoss ||
		!strings.Contains(err.Error(), fmt.Sprintf("positions %d to %d can't be read", broken, broken)) ||
		!strings.Contains(err.Error(), behind) {
		t.Errorf("the stream ended behind %d with %v", read, err)
	}
	if got, want := detailOf(err).GetResumeCursor(), (journal.Cursor{Epoch: epoch, Position: broken - 1}).String(); got != want {
		t.Errorf("to resume behind %s, want %s", got, want)
	}
	if lines := strings.Count(log.String(), "first=3 last=3"); lines != 1 {
		t.Errorf("the log names the positions %d times:\n%s", lines, &log)
	}
	on := subscribe(t, conn, &deskbridgev1.SubscribeRequest{
		Filter: filter, Start: &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: behind}, StopWhenCaughtUp: true,
	})
	if read, err := readFrom(on, broken); read != last || !errors.Is(err, io.EOF) {
		t.Errorf("behind the damage: up to %d, then %v", read, err)
	}
}

// TestTrimmedReaderCanGoOn has a reader whose events are trimmed, with a journal that says where it begins and without.
func TestTrimmedReaderCanGoOn(t *testing.T) {
	t.Parallel()
	service := startService(t, journal.Config{Sync: journal.SyncInterval}, fanout.Config{}, SessionEventsConfig{})
	store(t, service, 0, 3, func(n int) journal.Entry { return makeEntry("s", n, "") })
	epoch := bounds(t, service).Epoch
	p := &pump{service: service, epoch: epoch, position: 2}
	known := detailOf(p.trimmed(t.Context()))
	if known.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED ||
		known.GetEarliestCursor() != epoch+":0" || known.GetLatestCursor() != epoch+":3" {
		t.Errorf("with the journal: %v", known)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unknown := detailOf(p.trimmed(ctx))
	if unknown.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE ||
		unknown.GetResumeCursor() != epoch+":2" {
		t.Errorf("without: %v", unknown)
	}
}

func bounds(t *testing.T, service *SessionEvents) journal.Bounds {
	t.Helper()
	bounds, err := service.config.Journal.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return bounds
}

// isStuck: the only stream's response under way has been so for a while.
func isStuck(service *SessionEvents) bool {
	open := service.readers.list(0)
	if len(open) != 1 || !open[0].sending.Load() {
		return false
	}
	sent := open[0].sent.Load()
	time.Sleep(50 * time.Millisecond)
	return open[0].sending.Load() && open[0].sent.Load() == sent
}

func earliest() *deskbridgev1.SubscribeRequest_StartPosition {
	return &deskbridgev1.SubscribeRequest_StartPosition{StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST}
}

func subscribe(
	t *testing.T, conn *grpc.ClientConn, request *deskbridgev1.SubscribeRequest,
) deskbridgev1.SessionEventService_SubscribeClient {
	t.Helper()
	stream, err := deskbridgev1.NewSessionEventServiceClient(conn).Subscribe(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// readAll reads to the end, and returns the position of the last event. The events must come one by one.
func readAll(stream deskbridgev1.SessionEventService_SubscribeClient) (last uint64, err error) {
	return readFrom(stream, 0)
}

func readFrom(stream deskbridgev1.SessionEventService_SubscribeClient, after uint64) (last uint64, err error) {
	for last = after; ; {
		response, err := stream.Recv()
		if err != nil {
			return last, err
		}
		for _, event := range response.GetEvents().GetEvents() {
			if event.GetPosition() != last+1 {
				return last, fmt.Errorf("position %d behind %d", event.GetPosition(), last)
			}
			last++
		}
	}
}

func detailOf(err error) *deskbridgev1.ErrorDetail {
	for _, detail := range status.Convert(err).Details() {
		if d, ok := detail.(*deskbridgev1.ErrorDetail); ok {
			return d
		}
	}
	return nil
}
