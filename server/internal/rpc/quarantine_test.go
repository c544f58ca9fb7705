package rpc

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/callback"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func openJournal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{Dir: t.TempDir()})
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

// newCallbacks is the service with a decoder of its own, as a release before or after a fix has.
func newCallbacks(j *journal.Journal, decode func([]byte) (*deskbridgev1.SessionEvent, error)) *Callbacks {
	return NewCallbacks(CallbacksConfig{
		Journal: j, Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Signed: true, Decode: decode,
	})
}

// asAdministrator is the context of a call by one who may do everything.
func asAdministrator(t *testing.T) context.Context {
	t.Helper()
	ctx, err := access.NewControl(access.Open(), 1).Admit(t.Context(), "", access.Caller{Local: true})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func TestRedriveAfterTheDecoderWasMended(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	broken := newCallbacks(j, func([]byte) (*deskbridgev1.SessionEvent, error) {
		return nil, errors.New("a form of callback that this release does not know")
	})
	ctx := callback.WithOrigin(asAdministrator(t), callback.Origin{
		Query: "SdkAppid=7&RequestID=r-1&ClientIP=192.0.2.1&new=1&Sign=s", UserAgent: "vendor",
	})
	request := &deskbridgev1.NotifySessionEventRequest{
		SdkAppId: "7", RequestId: "r-1", ClientIp: "192.0.2.1",
		Body: []byte(`{"CallbackCommand":"Desk.SessionEventNotify","SessionId":"s","Event":"SessionBegin"}`),
	}
	if answer, err := broken.NotifySessionEvent(ctx, request); err != nil || answer.GetActionStatus() != "OK" {
		t.Fatalf("an authentic callback that can't be decoded: %v, %v", answer, err)
	}

	list, err := broken.ListQuarantinedCallbacks(ctx, &deskbridgev1.ListQuarantinedCallbacksRequest{})
	if err != nil || len(list.GetCallbacks()) != 1 {
		t.Fatalf("the quarantine has %v, %v", list, err)
	}
	kept := list.GetCallbacks()[0]
	if kept.GetReason() != deskbridgev1.QuarantineReason_QUARANTINE_REASON_UNDECODABLE || kept.GetBody() != nil ||
		kept.GetBodySize() != int64(len(request.GetBody())) || kept.GetHeaders()["User-Agent"] != "vendor" {
		t.Errorf("in the quarantine: %v", kept)
	}
	if query := kept.GetQuery(); query != "SdkAppid=7&RequestID=r-1&ClientIP=192.0.2.1&new=1" {
		t.Errorf("the quarantine has the query %q", query)
	}
	redrive := &deskbridgev1.RedriveQuarantinedCallbackRequest{QuarantineId: kept.GetQuarantineId()}
	if result, err := broken.RedriveQuarantinedCallback(ctx, redrive); err != nil || result.GetStored() ||
		result.GetExplanation() == "" {
		t.Errorf("redriven before the fix: %v, %v", result, err)
	}

	mended := newCallbacks(j, callback.Decode)
	result, err := mended.RedriveQuarantinedCallback(ctx, redrive)
	if err != nil || !result.GetStored() || result.GetPosition() != 1 {
		t.Fatalf("redriven after the fix: %v, %v", result, err)
	}
	event := nextEvent(t, j)
	if event.GetId() == "" || event.GetCallback().GetRequestId() != "r-1" || event.GetSessionId() != "s" || event.GetSdkAppId() != "7" ||
		!event.GetReceiveTime().AsTime().Equal(kept.GetReceiveTime().AsTime()) ||
		event.GetCallback().GetClientIp() != "192.0.2.1" {
		t.Errorf("the event is %v; it was received at %v", event, kept.GetReceiveTime().AsTime())
	}

	// A second redrive, and the vendor's late repeat, change nothing.
	if _, err := mended.RedriveQuarantinedCallback(ctx, redrive); status.Code(err) != codes.NotFound {
		t.Errorf("redriven again: %v, want NOT_FOUND", err)
	}
	if _, err := mended.NotifySessionEvent(ctx, request); err != nil {
		t.Error(err)
	}
	if n := testutil.ToFloat64(mended.kept.WithLabelValues("duplicate", "SessionBegin")); n != 1 {
		t.Errorf("%v duplicates counted, want 1", n)
	}
}

// nextEvent is what a subscriber from the beginning receives first.
func nextEvent(t *testing.T, j *journal.Journal) *deskbridgev1.SessionEvent {
	t.Helper()
	hub := fanout.New(fanout.Config{Journal: fanout.From(j)})
	running, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- hub.Run(running) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	everything, err := filter.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	subscription, err := hub.Subscribe(fanout.Options{Filter: everything, Target: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer subscription.Close()
	item, err := subscription.Next(t.Context())
	if err != nil || item.Kind != fanout.Events {
		t.Fatalf("the subscriber gets %v, %v", item, err)
	}
	batch := &deskbridgev1.EventBatch{}
	if err := proto.Unmarshal(item.Events[0].Wire, batch); err != nil || len(batch.GetEvents()) != 1 {
		t.Fatalf("the subscriber gets %v, %v", batch, err)
	}
	return batch.GetEvents()[0]
}

func TestDropAndGetQuarantined(t *testing.T) {
	t.Parallel()
	c := newCallbacks(openJournal(t), callback.Decode)
	request := &deskbridgev1.NotifySessionEventRequest{
		CallbackCommand: "Member.EventNotify", Body: []byte(`{"MemberId":"amy@example.com"}`),
	}
	if _, err := c.NotifySessionEvent(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetQuarantinedCallback(asAdministrator(t), &deskbridgev1.GetQuarantinedCallbackRequest{QuarantineId: 1})
	if err != nil || string(got.GetCallback().GetBody()) != string(request.GetBody()) ||
		time.Since(got.GetCallback().GetReceiveTime().AsTime()) > time.Minute {
		t.Errorf("got %v, %v", got, err)
	}
	drop := &deskbridgev1.DropQuarantinedCallbackRequest{QuarantineId: 1}
	if _, err := c.DropQuarantinedCallback(t.Context(), drop); err != nil {
		t.Error(err)
	}
	if _, err := c.DropQuarantinedCallback(t.Context(), drop); status.Code(err) != codes.NotFound {
		t.Errorf("dropped again: %v, want NOT_FOUND", err)
	}
}

// A page must fit what gRPC clients take by default, whatever the callbacks claim to be.
func TestListOfLargeCallbacks(t *testing.T) {
	t.Parallel()
	c := newCallbacks(openJournal(t), callback.Decode)
	ctx := callback.WithOrigin(t.Context(), callback.Origin{Query: strings.Repeat("x", 30<<10)})
	const count = 150
	for i := range count {
		request := &deskbridgev1.NotifySessionEventRequest{Body: []byte(`{"CallbackCommand":"` +
			strings.Repeat("\x7f", 9<<10) + `","N":` + strconv.Itoa(i) + `}`)}
		if answer, err := c.NotifySessionEvent(ctx, request); err != nil || answer.GetErrorCode() != 0 {
			t.Fatal(answer, err)
		}
	}
	seen := map[uint64]bool{}
	for request := (&deskbridgev1.ListQuarantinedCallbacksRequest{PageSize: maxPageSize}); ; {
		page, err := c.ListQuarantinedCallbacks(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if size := proto.Size(page); size > 2*maxPageBytes {
			t.Fatalf("a page of %d bytes", size)
		}
		for _, kept := range page.GetCallbacks() {
			seen[kept.GetQuarantineId()] = true
			if got := kept.GetCallbackCommand(); got != strings.Repeat("\x7f", maxCommand) || len(kept.GetExplanation()) > 1024 {
				t.Fatalf("a command of %d bytes, an explanation of %d", len(got), len(kept.GetExplanation()))
			}
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	if len(seen) != count {
		t.Errorf("listed %d of %d", len(seen), count)
	}
}

// Other callbacks of the vendor's can come to the same URL, some of them without a command.
func TestWhatLooksLikeASessionEvent(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		url, body string
		want      bool
	}{
		{"", `{}`, false},
		{"", `{"cdr":{"callId":"1"}}`, false},
		{"", `{"Event":"Member.StatusChange","MemberId":"a"}`, false},
		{"", `{"Event":"SessionBegin"}`, true},
		{"", `{"SessionId":"s","Event":"Newer"}`, true},
		{"", `{"CallbackCommand":"Desk.SessionEventNotify"}`, true},
		{"Desk.SessionEventNotify", `{}`, true},
		{"Desk.SessionEventNotify", `{"CallbackCommand":"Member.EventNotify","SessionId":"s"}`, false},
	} {
		c := newCallbacks(openJournal(t), callback.Decode)
		_, err := c.ingest(t.Context(), &deskbridgev1.NotifySessionEventRequest{
			CallbackCommand: row.url, Body: []byte(row.body),
		}, time.Now())
		var unfit *unfitError
		if is := err == nil; is != row.want || !is && !errors.As(err, &unfit) {
			t.Errorf("URL %q and body %s: %v", row.url, row.body, err)
		}
	}
}

// A RequestID is no reason to lose a callback: only the same content under it makes a repeat.
func TestReusedRequestIDLosesNothing(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	c := newCallbacks(j, callback.Decode)
	for _, body := range []string{
		`{"SessionId":"s","Event":"SessionBegin","EventTime":1}`,
		`{"SessionId":"s","Event":"SessionEnd","EventTime":2}`,
		`{ "EventTime": 1, "Event": "SessionBegin", "SessionId": "s" }`, // the first one again, written otherwise
		`{"SessionId":"s","Event":"SessionEnd","EventTime":2}`,
	} {
		request := &deskbridgev1.NotifySessionEventRequest{SdkAppId: "7", RequestId: "r-1", Body: []byte(body)}
		if _, err := c.NotifySessionEvent(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	bounds, err := j.Bounds(t.Context())
	if err != nil || bounds.Count != 2 {
		t.Fatalf("the journal has %+v, %v; want 2 events", bounds, err)
	}
	ids := map[string]bool{}
	for position := range uint64(2) {
		record, err := j.Record(t.Context(), position+1)
		if err != nil {
			t.Fatal(err)
		}
		event, err := decodeRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		ids[event.GetId()] = true
	}
	if len(ids) != 2 {
		t.Errorf("ids %v", ids)
	}
}
