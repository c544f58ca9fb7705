package server_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func afterCursor(cursor string) *deskbridgev1.SubscribeRequest_AfterCursor {
	return &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: cursor}
}

var allWays = []string{overGRPC, overLines, overSSE}

// addr is where a bridge serves streams in one of the ways.
func (b *bridge) addr(way string) string {
	if way == overGRPC {
		return b.GRPCAddr()
	}
	return b.HTTPAddr()
}

// readAll reads a stream that ends, and returns what it opened with, the positions that came, and the error it ended
// with; nil after a complete one.
func (b *bridge) readAll(
	way string, request *deskbridgev1.SubscribeRequest,
) (opened *deskbridgev1.SubscriptionOpened, positions []uint64, end error) {
	b.t.Helper()
	stream, closeStream, err := openStream(b.t.Context(), way, b.addr(way), request)
	if err != nil {
		return nil, nil, err
	}
	defer closeStream()
	for {
		response, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return opened, positions, nil
		case err != nil:
			return opened, positions, err
		}
		if response.GetOpened() != nil {
			opened = response.GetOpened()
		}
		for _, event := range response.GetEvents().GetEvents() {
			positions = append(positions, event.GetPosition())
		}
	}
}

// TestResumeFailsWithAReasonOrLeavesNoGap is the table of cursors that can't be resumed from, in every way to ask.
func TestResumeFailsWithAReasonOrLeavesNoGap(t *testing.T) {
	t.Parallel()
	b, other := startBridge(t, testConfig(t)), startBridge(t, testConfig(t))
	for n := range 3 {
		b.mustPost(documentQuery, sessionBody("a", n))
		other.mustPost(documentQuery, sessionBody("a", n))
	}
	epoch, foreign := b.journalInfo().GetEpoch(), other.journalInfo().GetLatestCursor()
	for _, tt := range []struct {
		name, cursor string
		code         codes.Code
		reason       deskbridgev1.ErrorReason
		positions    string
	}{
		{"from the beginning", epoch + ":0", codes.OK, 0, "[1 2 3]"},
		{"in between", epoch + ":2", codes.OK, 0, "[3]"},
		{"from the head", epoch + ":3", codes.OK, 0, "[]"},
		{"future", epoch + ":4", codes.OutOfRange, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_IN_FUTURE, "[]"},
		{"far future", epoch + ":18446744073709551615", codes.OutOfRange, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_IN_FUTURE, "[]"},
		{"foreign epoch", foreign, codes.FailedPrecondition, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_FOREIGN_EPOCH, "[]"},
		{"without epoch", "3", codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "[]"},
		{"without position", epoch + ":", codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "[]"},
		{"beyond numbers", epoch + ":18446744073709551616", codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "[]"},
		{"negative", epoch + ":-1", codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "[]"},
		{"an address", "https://example.com/", codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "[]"},
	} {
		for _, way := range allWays {
			t.Run(tt.name+" over "+way, func(t *testing.T) {
				_, positions, err := b.readAll(way, &deskbridgev1.SubscribeRequest{
					Start: afterCursor(tt.cursor), StopWhenCaughtUp: true,
				})
				if status.Code(err) != tt.code || fmt.Sprint(positions) != tt.positions {
					t.Fatalf("got %v and %v", positions, err)
				}
				if err != nil && detailOf(t, err).GetReason() != tt.reason {
					t.Errorf("the detail is %v", detailOf(t, err))
				}
			})
		}
	}
}

// longBody is a callback of about so many bytes.
func longBody(n, size int) string {
	return strings.Replace(sessionBody("a", n), `"Text":"`, `"Text":"`+strings.Repeat("x", size), 1)
}

func (b *bridge) journalInfo() *deskbridgev1.GetJournalInfoResponse {
	b.t.Helper()
	info, err := b.events.GetJournalInfo(b.t.Context(), &deskbridgev1.GetJournalInfoRequest{})
	if err != nil {
		b.t.Fatal(err)
	}
	return info
}

// TestExpiredCursorFailsUnlessAskedOtherwise trims the journal below a cursor that was handed out.
func TestExpiredCursorFailsUnlessAskedOtherwise(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.Retention = 8 * time.Second // what is read below must outlive the test
	b := startBridge(t, config)
	for n := range 2 {
		b.mustPost(documentQuery, sessionBody("a", n))
	}
	expired := b.journalInfo().GetEpoch() + ":1"
	b.eventually("the journal is trimmed", func() bool { return b.journalInfo().GetEventCount() == 0 })
	for n := range 3 {
		b.mustPost(documentQuery, sessionBody("a", n+2))
	}
	info := b.journalInfo()
	earliest, latest := info.GetEarliest().GetPosition(), info.GetLatest().GetPosition()
	for _, way := range allWays {
		request := &deskbridgev1.SubscribeRequest{Start: afterCursor(expired), StopWhenCaughtUp: true}
		_, _, err := b.readAll(way, request)
		detail := detailOf(t, err)
		if status.Code(err) != codes.OutOfRange || detail.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED ||
			detail.GetEarliestCursor() != info.GetEarliestCursor() || detail.GetLatestCursor() != info.GetLatestCursor() {
			t.Errorf("over %s: %v, %v", way, err, detail)
		}
		request.OnExpired = deskbridgev1.OnExpired_ON_EXPIRED_EARLIEST
		opened, positions, err := b.readAll(way, request)
		if err != nil || !opened.GetExpired() || uint64(len(positions)) != latest-earliest+1 || positions[0] != earliest {
			t.Errorf("over %s, on_expired earliest: %v, %v, %v", way, opened, positions, err)
		}
		request.OnExpired = deskbridgev1.OnExpired_ON_EXPIRED_LATEST
		opened, positions, err = b.readAll(way, request)
		if err != nil || !opened.GetExpired() || opened.GetStartPosition() != latest || len(positions) > 0 {
			t.Errorf("over %s, on_expired latest: %v, %v, %v", way, opened, positions, err)
		}
		request.Start = afterCursor(info.GetEarliestCursor())
		opened, positions, err = b.readAll(way, request)
		if err != nil || opened.GetExpired() || uint64(len(positions)) != latest-earliest+1 {
			t.Errorf("over %s, from the detail's earliest cursor: %v, %v, %v", way, opened, positions, err)
		}
	}
}

// TestHeartbeatCursorSurvivesARestart resumes a filtered stream behind events that it never saw.
func TestHeartbeatCursorSurvivesARestart(t *testing.T) {
	t.Parallel()
	for _, way := range allWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			config := testConfig(t)
			b := startBridge(t, config)
			request := &deskbridgev1.SubscribeRequest{
				Filter:            &deskbridgev1.EventFilter{SessionIds: []string{"wanted"}},
				HeartbeatInterval: durationpb.New(time.Second),
			}
			stream, closeStream, err := openStream(t.Context(), way, b.addr(way), request)
			if err != nil {
				t.Fatal(err)
			}
			defer closeStream()
			for n := range 5 {
				b.mustPost(documentQuery, sessionBody("other", n))
			}
			cursor := ""
			for head := b.journalInfo().GetLatestCursor(); cursor != head; {
				response, err := stream.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if response.GetHeartbeat() != nil {
					cursor = response.GetCursor()
				}
			}
			b.mustPost(documentQuery, sessionBody("wanted", 6))
			if err := b.stop(); err != nil {
				t.Fatal(err)
			}
			b = startBridge(t, config)
			b.mustPost(documentQuery, sessionBody("wanted", 7))
			request.Start, request.StopWhenCaughtUp = afterCursor(cursor), true
			if _, positions, err := b.readAll(way, request); err != nil || fmt.Sprint(positions) != "[6 7]" {
				t.Errorf("resumed behind %s: %v, %v", cursor, positions, err)
			}
		})
	}
}

// TestStreamEndsAtItsGreatestAge resumes from the cursor that the end gives.
func TestStreamEndsAtItsGreatestAge(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.MaxStreamAge = 200 * time.Millisecond
	b := startBridge(t, config)
	b.mustPost(documentQuery, sessionBody("a", 0))
	for _, way := range allWays {
		opened := time.Now()
		_, positions, err := b.readAll(way, &deskbridgev1.SubscribeRequest{Start: fromEarliest()})
		if status.Code(err) != codes.Unavailable || fmt.Sprint(positions) != "[1]" {
			t.Fatalf("over %s: %v, %v", way, positions, err)
		}
		detail := detailOf(t, err)
		if detail.GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_DRAINING ||
			detail.GetResumeCursor() != b.journalInfo().GetLatestCursor() {
			t.Errorf("over %s: %v", way, detail)
		}
		if age := time.Since(opened); age < config.MaxStreamAge*9/10 {
			t.Errorf("over %s: ended after %v", way, age)
		}
	}
}

// TestStreamsAreLimited counts streams of all kinds together.
func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.MaxStreams = len(allWays)
	b := startBridge(t, config)
	var closeStreams []func()
	for _, way := range allWays {
		stream, closeStream, err := openStream(t.Context(), way, b.addr(way), &deskbridgev1.SubscribeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		defer closeStream()
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		closeStreams = append(closeStreams, closeStream)
	}
	for i, way := range allWays {
		_, _, err := b.readAll(way, &deskbridgev1.SubscribeRequest{})
		if status.Code(err) != codes.ResourceExhausted ||
			detailOf(t, err).GetReason() != deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED {
			t.Errorf("one more over %s: %v", way, err)
		}
		b.journalInfo() // other calls are not concerned
		closeStreams[i]()
		b.eventually("there is room again", func() bool {
			_, _, err := b.readAll(way, &deskbridgev1.SubscribeRequest{StopWhenCaughtUp: true})
			return err == nil
		})
		stream, closeStream, err := openStream(t.Context(), way, b.addr(way), &deskbridgev1.SubscribeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		defer closeStream()
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
}
