package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func documentedBody(t *testing.T) string {
	t.Helper()
	body, err := os.ReadFile("internal/callback/testdata/documented.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestDocumentedCallbackArrivesTyped(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.mustPost(documentQuery, documentedBody(t))

	events := b.allEvents(nil)
	if len(events) != 1 {
		t.Fatalf("got %d events, want 1", len(events))
	}
	got := events[0]
	if got.GetId() == "" || got.GetPosition() != 1 || got.GetReceiveTime() == nil {
		t.Errorf("incomplete: id %q, position %d, receive time %v", got.GetId(), got.GetPosition(), got.GetReceiveTime())
	}
	got.Id, got.ReceiveTime = "", nil
	want := &deskbridgev1.SessionEvent{
		Position:          1,
		Type:              deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_CHAT_BOT_USER_SEND_MSG,
		TypeName:          proto.String("ChatBot.UserSendMsg"),
		SessionId:         proto.String("2baf4d84-beb4-4607-a1ea-6ebcaef3e0e6"),
		EventTime:         timestamppb.New(time.UnixMilli(1725540020017)),
		SdkAppId:          testApp,
		Channel:           deskbridgev1.Channel_CHANNEL_SDK,
		ChannelName:       proto.String("SDK"),
		ClientUserId:      proto.String("your_user_id"),
		CustomerServiceId: proto.String("@customer_service_account"),
		AgentId:           proto.String("test@qq.com"),
		Message: &deskbridgev1.Message{
			Key: proto.String("152_1600012345_abcdefg"),
			Elements: []*deskbridgev1.MessageElement{{
				TypeName: proto.String("TIMTextElem"),
				Content: &deskbridgev1.MessageElement_Text{
					Text: &deskbridgev1.TextElement{Text: proto.String("How to request a refund?")},
				},
			}},
		},
		CallbackCommand:    proto.String("Desk.SessionEventNotify"),
		CloudCustomData:    proto.String("your cloud custom data"),
		IsContactUser:      proto.Bool(false),
		SatisfactionRating: proto.Int32(5),
		Callback:           &deskbridgev1.CallbackMetadata{ClientIp: "127.0.0.1", Platform: "Web"},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestRestartKeepsPositionsAndCursors(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	first := startBridge(t, config)
	for i := range 5 {
		first.mustPost(documentQuery, sessionBody("s", i))
	}
	before := first.allEvents(nil)
	info, err := first.events.GetJournalInfo(t.Context(), &deskbridgev1.GetJournalInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}

	second := startBridge(t, config)
	if diff := cmp.Diff(before, second.allEvents(nil), protocmp.Transform()); diff != "" {
		t.Errorf("events after the restart (-before +after):\n%s", diff)
	}
	second.mustPost(documentQuery, sessionBody("s", 5))
	events := second.subscribe(&deskbridgev1.SubscribeRequest{
		Start:            &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: info.GetLatestCursor()},
		StopWhenCaughtUp: true,
	}).collect()
	if len(events) != 1 || events[0].GetPosition() <= before[4].GetPosition() {
		t.Errorf("after the cursor of before the restart: %v", events)
	}
}

// sessionBody is a message of a session; n makes it distinct.
func sessionBody(session string, n int) string {
	return fmt.Sprintf(`{"CallbackCommand":"Desk.SessionEventNotify","SessionId":%q,"Event":"Human.UserSendMsg",`+
		`"EventTime":%d,"ClientUserId":"u","MsgKey":"%d_1_2","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"%d"}}]}`,
		session, 1735689600000+n, n, n)
}

func TestSubscribeTellsWhereItStands(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.mustPost(documentQuery, sessionBody("a", 0))

	s := b.subscribe(&deskbridgev1.SubscribeRequest{
		Filter:            &deskbridgev1.EventFilter{SessionIds: []string{"b"}},
		Start:             fromEarliest(),
		HeartbeatInterval: durationpb.New(time.Second),
	})
	opened := s.next().GetOpened()
	if opened.GetEpoch() == "" || opened.GetStartPosition() != 0 || opened.GetHeadPosition() != 1 {
		t.Errorf("opened: %v", opened)
	}
	caughtUp := s.next()
	if caughtUp.GetCaughtUp().GetHeadPosition() != 1 || caughtUp.GetCursor() != opened.GetEpoch()+":1" {
		t.Errorf("want caught_up at 1, got %v", caughtUp)
	}
	b.mustPost(documentQuery, sessionBody("a", 1))
	heartbeat := s.next()
	for heartbeat.GetCursor() != opened.GetEpoch()+":2" {
		if heartbeat.GetHeartbeat() == nil {
			t.Fatalf("want a heartbeat, got %v", heartbeat)
		}
		heartbeat = s.next()
	}
	b.mustPost(documentQuery, sessionBody("b", 2))
	events := s.next()
	for events.GetHeartbeat() != nil {
		events = s.next()
	}
	if got := events.GetEvents().GetEvents(); len(got) != 1 || got[0].GetSessionId() != "b" {
		t.Errorf("want the event of session b, got %v", events)
	}
}

func TestSubscribeRefusesBadRequests(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.mustPost(documentQuery, sessionBody("a", 0))
	info, err := b.events.GetJournalInfo(t.Context(), &deskbridgev1.GetJournalInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	after := func(cursor string) *deskbridgev1.SubscribeRequest {
		return &deskbridgev1.SubscribeRequest{Start: &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: cursor}}
	}
	filtered := func(filter *deskbridgev1.EventFilter) *deskbridgev1.SubscribeRequest {
		return &deskbridgev1.SubscribeRequest{Filter: filter}
	}
	for name, tt := range map[string]struct {
		request *deskbridgev1.SubscribeRequest
		code    codes.Code
		reason  deskbridgev1.ErrorReason
		field   string
	}{
		"malformed cursor": {
			after("nonsense"), codes.InvalidArgument,
			deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "after_cursor",
		},
		"foreign epoch": {
			after("elsewhere:1"), codes.FailedPrecondition,
			deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_FOREIGN_EPOCH, "",
		},
		"cursor in the future": {
			after(info.GetEpoch() + ":99"), codes.OutOfRange,
			deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_IN_FUTURE, "",
		},
		"misspelt type": {
			filtered(&deskbridgev1.EventFilter{TypeNames: []string{"SessionEnd", "Human.UserSendMesg"}}),
			codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_FILTER_INVALID, "filter.type_names[1]",
		},
		"heartbeat too short": {
			&deskbridgev1.SubscribeRequest{HeartbeatInterval: durationpb.New(time.Millisecond)},
			codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "heartbeat_interval",
		},
		"unknown start": {
			&deskbridgev1.SubscribeRequest{Start: &deskbridgev1.SubscribeRequest_StartPosition{StartPosition: 9}},
			codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "start_position",
		},
		"unknown on_expired": {
			&deskbridgev1.SubscribeRequest{OnExpired: 9},
			codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "on_expired",
		},
		"name": {
			&deskbridgev1.SubscribeRequest{Name: "no spaces"},
			codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "name",
		},
		"read mask": {
			&deskbridgev1.SubscribeRequest{ReadMask: &fieldmaskpb.FieldMask{Paths: []string{"session_id", "message.elements.text"}}},
			codes.InvalidArgument, deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID, "read_mask.paths[1]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.subscribe(tt.request).Recv()
			detail := detailOf(t, err)
			if status.Code(err) != tt.code || detail.GetReason() != tt.reason || detail.GetField() != tt.field {
				t.Errorf("got %v, detail %v", err, detail)
			}
			if strings.HasPrefix(tt.reason.String(), "ERROR_REASON_CURSOR") && tt.field == "" &&
				(detail.GetEarliestCursor() != info.GetEarliestCursor() || detail.GetLatestCursor() != info.GetLatestCursor()) {
				t.Errorf("the detail lacks the cursors: %v", detail)
			}
		})
	}
}

func detailOf(t *testing.T, err error) *deskbridgev1.ErrorDetail {
	t.Helper()
	for _, detail := range status.Convert(err).Details() {
		if detail, ok := detail.(*deskbridgev1.ErrorDetail); ok {
			return detail
		}
	}
	t.Fatalf("%v carries no ErrorDetail", err)
	return nil
}

func TestListSessionEventsPages(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	const session = "a b/c.*>%"
	for i := range 7 {
		b.mustPost(documentQuery, sessionBody(session, i))
		b.mustPost(documentQuery, sessionBody("other", 100+i))
	}
	var keys []string
	request := &deskbridgev1.ListSessionEventsRequest{SessionId: session, PageSize: 3}
	pages := 0
	for {
		page, err := b.events.ListSessionEvents(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, event := range page.GetEvents() {
			keys = append(keys, event.GetMessage().GetKey())
		}
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			break
		}
	}
	want := []string{"0_1_2", "1_1_2", "2_1_2", "3_1_2", "4_1_2", "5_1_2", "6_1_2"}
	if diff := cmp.Diff(want, keys); diff != "" || pages != 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
}

func TestHTTPServesTheSameEvents(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.mustPost(documentQuery, sessionBody("a/b", 1))
	b.mustPost(documentQuery, sessionBody("c", 2))

	lines := b.getLines("/v1/events:subscribe?start_position=START_POSITION_EARLIEST&stop_when_caught_up=true" +
		"&filter.session_ids=a%2Fb&filter.type_names=Human.*")
	var kinds []string
	for _, line := range lines {
		result, ok := line["result"].(map[string]any)
		if !ok {
			t.Fatalf("the stream ended with %v", line)
		}
		for kind := range result {
			if kind != "cursor" {
				kinds = append(kinds, kind)
			}
		}
	}
	if diff := cmp.Diff([]string{"opened", "events", "caughtUp"}, kinds); diff != "" {
		t.Errorf("the stream's lines (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{
		"/v1/sessions/a%2Fb/events":                     `"sessionId":"a/b"`,
		"/v1/journal":                                   `"eventCount":"2"`,
		"/v1/events:subscribe?after_cursor=nonsense":    `"ERROR_REASON_CURSOR_MALFORMED"`,
		"/v1/events:subscribe?filter.type_name=Human.*": `"code":3`,
	} {
		response, err := b.http.Get(b.url(path))
		if err != nil {
			t.Fatal(err)
		}
		if _, text := readAnswer(t, response); !strings.Contains(strings.ReplaceAll(text, `": `, `":`), want) {
			t.Errorf("GET %s: %s, want %s in it", path, text, want)
		}
	}
}

func (b *bridge) getLines(path string) []map[string]any {
	b.t.Helper()
	response, err := b.http.Get(b.url(path))
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	var lines []map[string]any
	for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			b.t.Fatalf("%s: %v", scanner.Text(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestShutdownDrainsStreams(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.mustPost(documentQuery, sessionBody("a", 0))
	s := b.subscribe(&deskbridgev1.SubscribeRequest{Start: fromEarliest()})
	var cursor string
	for {
		response := s.next()
		cursor = response.GetCursor()
		if response.GetCaughtUp() != nil {
			break
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	if draining := s.next(); draining.GetDraining() == nil || draining.GetCursor() != cursor {
		t.Errorf("want draining at %s, got %v", cursor, draining)
	}
	_, err := s.Recv()
	if status.Code(err) != codes.Unavailable || detailOf(t, err).GetResumeCursor() != cursor {
		t.Errorf("the stream ended with %v, want UNAVAILABLE and %s to resume from", err, cursor)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestStalledReadersDontFailTheShutdown has readers that take nothing, and never will.
func TestStalledReadersDontFailTheShutdown(t *testing.T) {
	t.Parallel()
	for _, way := range allWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			config := testConfig(t)
			config.DrainTimeout = 2 * time.Second
			b := startBridge(t, config)
			for n := range 100 {
				b.mustPost(documentQuery, longBody(n, 200_000))
			}
			_, closeStream, err := openStream(t.Context(), way, b.addr(way), &deskbridgev1.SubscribeRequest{Start: fromEarliest()})
			if err != nil {
				t.Fatal(err)
			}
			defer closeStream()
			b.eventually("the stream is stuck", b.isStuck)
			if err := b.stop(); err != nil {
				t.Errorf("the bridge ended with %v", err)
			}
		})
	}
}

func TestHealthAndReflection(t *testing.T) {
	t.Parallel()
	b := startBridge(t, testConfig(t))
	b.awaitHealth("deskbridge.v1.SessionEventService", healthv1.HealthCheckResponse_SERVING)
	reflected, err := reflectionv1.NewServerReflectionClient(b.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := reflected.Send(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	answer, err := reflected.Recv()
	if err != nil {
		t.Fatal(err)
	}
	services := answer.String()
	if !strings.Contains(services, "deskbridge.v1.SessionEventService") {
		t.Errorf("reflection lists %s", services)
	}
	if strings.Contains(services, "CallbackService") {
		t.Error("the webhook is on the gRPC port")
	}
	_, err = deskbridgev1.NewCallbackServiceClient(b.conn).NotifySessionEvent(t.Context(),
		&deskbridgev1.NotifySessionEventRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a callback over gRPC: %v, want UNIMPLEMENTED", err)
	}
}

func TestCallbackAnswers(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.SDKAppIDs = []string{testApp}
	config.CallbackBody = 4096
	b := startBridge(t, config)
	for name, tt := range map[string]struct {
		method, query, body string
		header              http.Header
		status, code        int
	}{
		"taken":             {"POST", documentQuery, sessionBody("a", 1), nil, 200, 0},
		"names in any case": {"POST", "sdkappid=" + testApp + "&callbackcommand=Desk.SessionEventNotify&OPTPLATFORM", sessionBody("a", 2), nil, 200, 0},
		"form content type": {"POST", documentQuery, sessionBody("a", 3), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 200, 0},
		"no content type":   {"POST", documentQuery, sessionBody("a", 4), http.Header{"Content-Type": nil}, 200, 0},
		"other app":         {"POST", "SdkAppid=1400000001", sessionBody("a", 5), nil, 403, 40301},
		"no app":            {"POST", "", sessionBody("a", 6), nil, 403, 40301},
		"not JSON":          {"POST", documentQuery, "hello", nil, 400, 40001},
		"empty":             {"POST", documentQuery, "", nil, 400, 40001},
		"method":            {"GET", documentQuery, "", nil, 405, 40501},
		"too large":         {"POST", documentQuery, strings.Repeat(" ", 5000), nil, 413, 41301},
		"gzip":              {"POST", documentQuery, "x", http.Header{"Content-Encoding": {"gzip"}}, 415, 41501},
		"stray percent":     {"POST", documentQuery + "&Nick=100%&ClientIP=%zz", sessionBody("a", 7), nil, 200, 0},
		"coding of none":    {"POST", documentQuery, sessionBody("a", 8), http.Header{"Content-Encoding": {"Identity"}}, 200, 0},
		"gateway's headers": {"POST", documentQuery, sessionBody("a", 9), http.Header{"Grpc-Timeout": {"xyz"}, "X-Http-Method-Override": {"GET"}, "Content-Type": {"application/x-www-form-urlencoded"}}, 200, 0},
		"check of the URL":  {"POST", "", "", nil, 200, 0},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), tt.method,
				b.url("/v1/callbacks/desk?"+tt.query), strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			for key, values := range tt.header {
				request.Header[key] = values
			}
			response, err := b.http.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			code, text := readAnswer(t, response)
			var answer struct {
				ActionStatus, ErrorInfo string
				ErrorCode               int
			}
			if err := json.Unmarshal([]byte(text), &answer); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if code != tt.status || answer.ErrorCode != tt.code || (answer.ActionStatus == "OK") != (tt.code == 0) {
				t.Errorf("got %d %s", code, text)
			}
		})
	}
}

func TestSlowBodyIsCut(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.CallbackTimeout = 100 * time.Millisecond
	b := startBridge(t, config)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testDeadline))
	fmt.Fprintf(conn, "POST /v1/callbacks/desk?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", documentQuery)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := readAnswer(t, response); code != http.StatusRequestTimeout || !strings.Contains(text, "40801") {
		t.Errorf("got %d %s", code, text)
	}
}
