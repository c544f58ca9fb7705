package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// eventSource reads a stream as a browser's EventSource does: it reconnects with the last id whenever the stream ends,
// and stops at a status other than 200.
type eventSource struct {
	t       *testing.T
	url     func() string
	lastID  string
	retry   time.Duration
	current *sseStream
	close   func()
}

func (b *bridge) eventSource(query string) *eventSource {
	b.t.Helper()
	s := &eventSource{t: b.t, retry: 3 * time.Second, close: func() {}}
	s.moveTo(b, query)
	b.t.Cleanup(func() { s.close() })
	return s
}

func (s *eventSource) moveTo(b *bridge, query string) {
	s.url = func() string { return b.url("/v1/events:subscribe?" + query) }
}

// connect returns the status of the answer; 0 when there is none.
func (s *eventSource) connect() int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), testDeadline)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if s.lastID != "" {
		request.Header.Set("Last-Event-ID", s.lastID)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request) //nolint:bodyclose // the stream that is returned closes it
	if err != nil {
		cancel()
		return 0
	}
	if cached := response.Header.Get("Cache-Control"); cached != "no-store" || response.Header.Get("X-Accel-Buffering") != "no" {
		s.t.Errorf("headers %v let proxies hold the stream back", response.Header)
	}
	s.close = func() { cancel(); _ = response.Body.Close() }
	s.current = &sseStream{lines: bufio.NewReader(response.Body), lastID: s.lastID}
	return response.StatusCode
}

// next returns the next message that a page would see, reconnecting as needed, or the status that ended it all.
func (s *eventSource) next() (sseMessage, int) {
	s.t.Helper()
	for deadline := time.Now().Add(testDeadline); time.Now().Before(deadline); {
		if s.current == nil {
			if code := s.connect(); code == 0 {
				time.Sleep(min(s.retry, 50*time.Millisecond)) // don't hold up the test
				continue
			} else if code != http.StatusOK {
				return sseMessage{}, code
			}
		}
		message, err := s.current.message()
		s.lastID = s.current.lastID
		if ms, parseErr := strconv.Atoi(s.current.retry); parseErr == nil {
			s.retry = time.Duration(ms) * time.Millisecond
		}
		switch {
		case err != nil:
			s.close()
			s.current = nil
		case message.data != "":
			return message, http.StatusOK
		}
	}
	s.t.Fatal("nothing comes")
	return sseMessage{}, 0
}

// beat reads heartbeats until one has moved the last id to a cursor: they are no messages.
func (s *eventSource) beat(cursor string) {
	s.t.Helper()
	for s.current.lastID != cursor {
		message, err := s.current.message()
		if err != nil || message.data != "" || message.comment != "heartbeat" {
			s.t.Fatalf("want a heartbeat, got %v, %v", message, err)
		}
	}
}

// until reads up to a message of the given name, and returns all their names; an event's is that of its session.
func (s *eventSource) until(name string) []string {
	s.t.Helper()
	var names []string
	for {
		message, code := s.next()
		if code != http.StatusOK {
			s.t.Fatalf("HTTP %d, want %q after %v", code, name, names)
		}
		if message.name == "" {
			_, session, _ := strings.Cut(message.data, `"sessionId":"`)
			message.name, _, _ = strings.Cut(session, `"`)
		}
		names = append(names, message.name)
		if message.name == name {
			return names
		}
	}
}

func TestEventSourceSurvivesARestart(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	b := startBridge(t, config)
	b.mustPost(documentQuery, sessionBody("before", 0))
	const query = "start_position=START_POSITION_EARLIEST&heartbeat_interval=1s&filter.session_ids=before" +
		"&filter.session_ids=after&filter.session_ids=last"
	source := b.eventSource(query)
	if diff := cmp.Diff([]string{"opened", "before", "caught_up"}, source.until("caught_up")); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	if source.retry < time.Second || source.retry > 3*time.Second {
		t.Errorf("told to retry after %v", source.retry)
	}
	b.mustPost(documentQuery, sessionBody("left out", 1))
	head := b.journalInfo().GetLatestCursor()
	source.beat(head)
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	if diff := cmp.Diff([]string{"draining", "error"}, source.until("error")); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	second := startBridge(t, config)
	source.moveTo(second, query)
	second.mustPost(documentQuery, sessionBody("after", 2))
	second.mustPost(documentQuery, sessionBody("last", 3))
	got := strings.Join(source.until("last"), " ")
	if got = strings.ReplaceAll(got, "caught_up ", ""); got != "opened after last" {
		t.Errorf("after the restart: %s", got)
	}
}

// TestEventSourceStopsWhereATryIsInVain answers 204, or an error's status, after what will not get better.
func TestEventSourceStopsWhereATryIsInVain(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.mustPost(documentQuery, sessionBody("a", 0))

	batch := b.eventSource("start_position=START_POSITION_EARLIEST&stop_when_caught_up=true")
	batch.until("caught_up")
	if _, code := batch.next(); code != http.StatusNoContent {
		t.Errorf("after a complete stream: HTTP %d", code)
	}
	invalid := b.eventSource("filter.expression=event.nonsense")
	if _, code := invalid.next(); code != http.StatusBadRequest {
		t.Errorf("an invalid filter: HTTP %d", code)
	}
	// The expression can't be evaluated on the event: the stream ends there, whenever it is tried.
	failing := b.eventSource("start_position=START_POSITION_EARLIEST&filter.expression=1/event.satisfaction_rating%3D%3D1")
	names := failing.until("error")
	if _, code := failing.next(); code != http.StatusNoContent {
		t.Errorf("after %v: HTTP %d", names, code)
	}
}

// TestEventSourceKeepsTryingWhereItHelps never gets a status that would stop it.
func TestEventSourceKeepsTryingWhereItHelps(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.MaxStreams = 1
	b := startBridge(t, config)
	taken := b.subscribe(&deskbridgev1.SubscribeRequest{})
	taken.next()
	source := b.eventSource("")
	message, code := source.next()
	if code != http.StatusOK || message.name != "error" || !strings.Contains(message.data, "LIMIT_EXCEEDED") {
		t.Fatalf("HTTP %d, %v", code, message)
	}
	taken.cancel()
	source.until("caught_up")
}

// TestHTTPErrorsBeforeTheStream have a status and a body with details, and leave nothing behind.
func TestHTTPErrorsBeforeTheStream(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	for query, want := range map[string]struct {
		code  codes.Code
		field string
	}{
		"filter.type_name=x":                  {codes.InvalidArgument, ""}, // no such field
		"after_cursor=x":                      {codes.InvalidArgument, "after_cursor"},
		"start_position=x":                    {codes.InvalidArgument, ""},
		"read_mask=id,nonsense":               {codes.InvalidArgument, "read_mask.paths[1]"},
		"read_mask=message.elements.text":     {codes.InvalidArgument, "read_mask.paths[0]"},
		"heartbeat_interval=61s":              {codes.InvalidArgument, "heartbeat_interval"},
		"filter.expression=1":                 {codes.InvalidArgument, "filter.expression"},
		"filter.type_names=Human.UserSendMgs": {codes.InvalidArgument, "filter.type_names[0]"},
		"%zz":                                 {codes.InvalidArgument, ""},
		"filter.session_ids=%ff":              {codes.InvalidArgument, ""}, // not UTF-8
	} {
		for _, accept := range []string{"application/json", "text/event-stream", "text/html, text/event-stream;q=0.9"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url("/v1/events:subscribe?"+query), nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept", accept)
			response, err := b.http.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			err = errorOfBody(response)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusBadRequest || status.Code(err) != want.code ||
				response.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s: HTTP %d %s %v", query, response.StatusCode, response.Header.Get("Content-Type"), err)
			}
			if detail := detailOf(t, err); detail.GetField() != want.field {
				t.Errorf("%s: the detail is %v", query, detail)
			}
		}
	}
	if streams := b.FanoutStats().Subscriptions; streams != 0 {
		t.Errorf("%d streams are left", streams)
	}
}

// TestCutStreamLacksItsEnd tells a cut from an end: only the bridge's own words say that a stream is complete.
func TestCutStreamLacksItsEnd(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	for _, way := range []string{overLines, overSSE} {
		p := startProxy(t, b.HTTPAddr(), 0)
		stream, closeStream, err := openStream(t.Context(), way, p.addr(), &deskbridgev1.SubscribeRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			var response *deskbridgev1.SubscribeResponse
			if response, err = stream.Recv(); response.GetCaughtUp() != nil {
				p.cut()
			}
		}
		closeStream()
		if errors.Is(err, errNoContent) || fmt.Sprint(err) != "unexpected EOF" {
			t.Errorf("over %s: %v", way, err)
		}
	}
}
