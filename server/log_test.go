package server_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
)

// logBuffer keeps what is logged. All methods may be called concurrently.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startTalkative is a bridge that logs all it can.
func startTalkative(t *testing.T, config server.Config) (*bridge, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	return startLogged(t, config, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))), log
}

// personal is in every text of these callbacks and requests that a person could have written or is known by.
const personal = "PERSONAL"

const (
	personalBody = `{"CallbackCommand":"Desk.SessionEventNotify","SessionId":"s-PERSONAL","Event":"Human.UserSendMsg",` +
		`"ClientUserId":"u-PERSONAL","AgentId":"a-PERSONAL@example.com","CustomerServiceId":"@c-PERSONAL",` +
		`"CloudCustomData":"d-PERSONAL","Unknown":"x-PERSONAL","EventTime":"t-PERSONAL",` +
		`"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"m-PERSONAL"}}]}`
	personalQuery = "SdkAppid=" + testApp + "&ClientIP=PERSONAL&OptPlatform=PERSONAL"
)

// slowBody never ends by itself.
type slowBody struct {
	io.Reader
	over <-chan struct{}
}

func (b slowBody) Read(p []byte) (int, error) {
	if n, err := b.Reader.Read(p); err == nil {
		return n, nil
	}
	<-b.over
	return 0, io.EOF
}

// mistreat sends personal texts down every path of a callback.
func (b *bridge) mistreat() {
	b.t.Helper()
	for i, body := range []string{
		personalBody, personalBody, // and its repeat
		`{"SessionId":"PERSONAL"`, `"PERSONAL"`, "PERSONAL", "{\"Event\":\"\xffPERSONAL\"}", `{"PERSONAL":1}`,
		`{"Event":"SessionBegin","SessionId":"` + strings.Repeat(personal, 125_000) + `"}`, // too large to be stored
		strings.Repeat(personal, 200_000),                                                  // too large to be read
		`{"CallbackCommand":"PERSONAL","Text":"PERSONAL"}`,
		`{"CallbackCommand":"ChatBot.OnAssignHuman","Text":"PERSONAL"}`,
	} {
		b.post(personalQuery+fmt.Sprintf("&RequestID=r-%d", i/2), body)
	}
	b.post(personalQuery+"&Unknown=%zzPERSONAL", personalBody)
	b.post(personalQuery+"&CallbackCommand=PERSONAL", personalBody)
	over := make(chan struct{})
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost,
		b.url("/v1/callbacks/desk?"+personalQuery), slowBody{strings.NewReader(personalBody), over})
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := b.http.Do(request)
	close(over)
	if err == nil {
		readAnswer(b.t, response)
	}
}

// inquire asks for personal texts in every way there is.
func (b *bridge) inquire() {
	b.t.Helper()
	for _, filter := range []*deskbridgev1.EventFilter{
		{SessionIds: []string{"s-PERSONAL"}, ClientUserIds: []string{"u-PERSONAL"}},
		{Expression: `event.client_user_id == "u-PERSONAL"`},
		{Expression: `event.PERSONAL == `},
	} {
		stream, err := b.events.Subscribe(b.t.Context(), &deskbridgev1.SubscribeRequest{
			Filter: filter, StopWhenCaughtUp: true, Start: &deskbridgev1.SubscribeRequest_StartPosition{
				StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
			},
		})
		for err == nil {
			_, err = stream.Recv()
		}
	}
	for _, path := range []string{
		"/v1/sessions/s-PERSONAL/events", "/v1/events:subscribe?filter.sessionIds=PERSONAL&after_cursor=PERSONAL",
		"/v1/events:subscribe?PERSONAL=1", "/v1/callbacks/PERSONAL", "/PERSONAL",
	} {
		b.get(b.HTTPAddr(), path)
	}
}

// TestLogHoldsNothingPersonal plays good, bad, quarantined, slow and failing callbacks at the debug level.
func TestLogHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	whole, spooling, full := testConfig(t), testConfig(t), testConfig(t)
	spooling.NATSURL, full.NATSURL = "nats://127.0.0.1:1", "nats://127.0.0.1:1"
	full.SpoolMaxBytes = 1
	for name, config := range map[string]server.Config{"whole": whole, "spooling": spooling, "full": full} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config.CallbackTimeout = 500 * time.Millisecond
			b, log := startTalkative(t, config)
			b.mistreat()
			if name == "whole" {
				b.inquire()
				if err := b.stop(); err != nil {
					t.Fatal(err)
				}
			}
			text := log.String()
			for _, want := range []string{"callback refused", "request_id=", "level=DEBUG"} {
				if !strings.Contains(text, want) {
					t.Errorf("the log lacks %q: nothing was tested\n%s", want, text)
				}
			}
			for line := range strings.Lines(text) {
				if strings.Contains(line, personal) {
					t.Errorf("the log says %s", line)
				}
			}
		})
	}
}

// TestRequestID: a usable one is kept, another one is replaced, and the log has it.
func TestRequestID(t *testing.T) {
	t.Parallel()
	b, log := startTalkative(t, testConfig(t))
	for given, kept := range map[string]bool{"trace-1.a_B": true, "": false, "a b": false, strings.Repeat("x", 65): false} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url("/v1/callbacks/desk"), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Request-Id", given)
		response, err := b.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		readAnswer(t, response)
		id := response.Header.Get("X-Request-Id")
		if id == "" || (id == given) != kept || !strings.Contains(log.String(), "request_id="+id) {
			t.Errorf("%q became %q; log:\n%s", given, id, log)
		}
	}
}
