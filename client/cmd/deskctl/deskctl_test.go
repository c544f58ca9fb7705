package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// someEvents returns events at the positions 1 to n.
func someEvents(n int) []*deskbridgev1.SessionEvent {
	var events []*deskbridgev1.SessionEvent
	for position := 1; position <= n; position++ {
		events = append(events, &deskbridgev1.SessionEvent{
			Position: uint64(position), TypeName: new("SessionBegin"), SessionId: new("s1"),
		})
	}
	return events
}

func TestTailPrintsALineAnEvent(t *testing.T) {
	t.Parallel()
	address := serve(t, &fakeBridge{events: someEvents(2)})
	tests := map[string][]string{
		"json": {
			`{"position":"1","typeName":"SessionBegin","sessionId":"s1"}`,
			`{"position":"2","typeName":"SessionBegin","sessionId":"s1"}`,
		},
		"go-template={{.Position}} {{.GetSessionId}}": {"1 s1", "2 s1"},
		"pretty": {
			pretty("1970-01-01 00:00:00.000") + "  s1        SessionBegin                 user",
			pretty("1970-01-01 00:00:00.000") + "  s1        SessionBegin                 user",
		},
	}
	for format, want := range tests {
		code, out, _ := deskctl(t.Context(), "", "tail", "--addr", address, "--until-caught-up", "--output", format)
		if code != exitOK {
			t.Errorf("%s: exit code %d", format, code)
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(out, "\n"), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

// pretty is a time in UTC as the pretty format shows it here.
func pretty(text string) string {
	const layout = "2006-01-02 15:04:05.000"
	at, err := time.Parse(layout, text)
	if err != nil {
		panic(err)
	}
	return at.Local().Format(layout)
}

func TestTailAsksForWhatItIsTold(t *testing.T) {
	t.Parallel()
	bridge := &fakeBridge{}
	code, _, stderr := deskctl(t.Context(), "", "tail", "--addr", serve(t, bridge), "--until-caught-up",
		"--type", "Human.*", "--type", "SessionEnd", "--session", "a,b", "--user", "u", "--agent", "x", "--agent", "y",
		"--filter", "event.satisfaction_rating <= 2", "--from", "earliest")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	want := &deskbridgev1.SubscribeRequest{
		Filter: &deskbridgev1.EventFilter{
			TypeNames: []string{"Human.*", "SessionEnd"}, SessionIds: []string{"a,b"}, ClientUserIds: []string{"u"},
			AgentIds: []string{"x", "y"}, Expression: "event.satisfaction_rating <= 2",
		},
		Start: &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
		},
		StopWhenCaughtUp: true,
		Name:             "deskctl-tail",
	}
	if got := bridge.requests[0]; !proto.Equal(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSetStart(t *testing.T) {
	t.Parallel()
	tests := map[string]*deskbridgev1.SubscribeRequest{
		"latest": {Start: &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_LATEST,
		}},
		"k3v9:17": {Start: &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: "k3v9:17"}},
		"2025-01-02T03:04:05.5+08:00": {Start: &deskbridgev1.SubscribeRequest_AtTime{
			AtTime: timestamppb.New(time.Date(2025, 1, 1, 19, 4, 5, 5e8, time.UTC)),
		}},
	}
	at := func(at time.Time) *deskbridgev1.SubscribeRequest {
		return &deskbridgev1.SubscribeRequest{Start: &deskbridgev1.SubscribeRequest_AtTime{AtTime: timestamppb.New(at)}}
	}
	now := time.Date(2025, 3, 4, 5, 6, 7, 0, time.FixedZone("here", 8*3600))
	tests["2025-01-02"] = at(time.Date(2025, 1, 1, 16, 0, 0, 0, time.UTC))
	tests["1h30m"] = at(now.Add(-90 * time.Minute))
	for from, want := range tests {
		var got deskbridgev1.SubscribeRequest
		if err := setStart(&got, from, now); err != nil || !proto.Equal(want, &got) {
			t.Errorf("%s: %v, %v", from, &got, err)
		}
	}
}

func TestTailOutlivesCuts(t *testing.T) {
	t.Parallel()
	bridge := &fakeBridge{events: someEvents(7), cutAfter: 2}
	code, out, stderr := deskctl(t.Context(), "", "tail", "--addr", serve(t, bridge), "--from", "earliest",
		"--until-caught-up", "--output", "go-template={{.Position}}")
	if code != exitOK || out != "1\n2\n3\n4\n5\n6\n7\n" {
		t.Errorf("exit code %d, printed %q", code, out)
	}
	if n := strings.Count(stderr, "reconnecting in"); n != 3 {
		t.Errorf("told of %d cuts:\n%s", n, stderr)
	}
	if strings.Contains(stderr, "\x1b") {
		t.Errorf("a control character of the bridge's reached the terminal: %q", stderr)
	}
}

func TestTailEndsWellWhenInterrupted(t *testing.T) {
	t.Parallel()
	address := serve(t, &fakeBridge{events: someEvents(3)})
	ctx, interrupt := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var stderr buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"tail", "--addr", address, "-o", "go-template={{.Position}}"},
			&console{out: writer, err: &stderr})
		_ = writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	for range 3 { // printed at once, not when a buffer is full
		if !lines.Scan() {
			t.Fatal("ended by itself")
		}
	}
	interrupt()
	if lines.Scan() {
		t.Errorf("printed %q after all", lines.Text())
	}
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d: %s", got, stderr.String())
	}
	if want := "deskctl: go on with --from e1:3\n"; stderr.String() != want {
		t.Errorf("told %q", stderr.String())
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	address := serve(t, &fakeBridge{})
	tests := []struct {
		code int
		says string
		args []string
	}{
		{exitOK, "Usage: deskctl", []string{"--help"}},
		{exitUsage, "expected", nil},
		{exitUsage, "unexpected argument", []string{"tial"}},
		{exitUsage, "--output", []string{"tail", "--output", "yaml"}},
		{exitUsage, "--from", []string{"tail", "--from", ""}},
		{exitUsage, "--from", []string{"tail", "--from", "yesterday"}},
		{exitUsage, "--from", []string{"tail", "--from", "2025-13-01"}},
		{exitUsage, "--from", []string{"tail", "--from=-10m"}},
		{exitUsage, "--from", []string{"tail", "--from", "e1:x"}},
		{exitUsage, "--rate", []string{"simulate", "--rate", "-1"}},
		{exitUsage, "--duplicates", []string{"simulate", "--duplicates", "2"}},
		{exitUsage, "--concurrency", []string{"simulate", "--concurrency", "0"}},
		{exitUsage, "--timeout", []string{"simulate", "--timeout", "0s"}},
		{exitUsage, "--url", []string{"simulate", "--url", "ftp://x"}},
		{exitUsage, "--tls-ca", []string{"info", "--tls-ca", os.DevNull}},
		{exitUsage, "can't be used together", []string{"info", "--tls-ca", "x", "--plaintext"}},
		{exitUsage, "need each other", []string{"info", "--tls-cert", "x"}},
		{exitUsage, "need each other", []string{"info", "--tls-key", "x"}},
		{exitFailed, "--tls-cert: open /no/such", []string{"info", "--tls-cert", "/no/such", "--tls-key", "x"}},
		{exitFailed, "--tls-ca: open /no/such", []string{"send", "--tls-ca", "/no/such", os.DevNull}},
		{exitUsage, "--expires", []string{"token", "new", "--expires", "-1h"}},
		{exitFailed, `no such cursor\x1b[2J`, []string{"tail", "--addr", address, "--from", "e1:99"}},
		{exitFailed, "behind e1:2 to e1:9", []string{"tail", "--addr", address, "--from", "e1:99"}},
		{exitFailed, "refused", []string{"info", "--addr", "127.0.0.1:1"}},
		{exitFailed, "no such file", []string{"send", "/no/such/file"}},
		{exitFailed, "no such file", []string{"simulate", "--record", "/no/such/directory/record"}},
	}
	for _, test := range tests {
		code, out, stderr := deskctl(t.Context(), "", test.args...)
		if code != test.code || !strings.Contains(out+stderr, test.says) {
			t.Errorf("%v: exit code %d, want %d and %q:\n%s%s", test.args, code, test.code, test.says, out, stderr)
		}
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	address := serve(t, &fakeBridge{})
	code, out, _ := deskctl(t.Context(), "", "info", "--addr", address)
	for _, want := range []string{"epoch            e1\n", "events           6\n", "2.0 MiB", "position 3", "position 9", "e1:9"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %q is not in:\n%s", code, want, out)
		}
	}
	code, out, _ = deskctl(t.Context(), "", "info", "--addr", address, "--output", "json")
	var decoded map[string]any
	if err := json.Unmarshal([]byte(out), &decoded); err != nil || code != exitOK || decoded["eventCount"] != "6" {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	address := serve(t, &fakeBridge{})
	code, out, _ := deskctl(t.Context(), "", "subscriptions", "--addr", address)
	for _, want := range []string{
		"crm-sync", "192.0.2.1:5000", "grpc", "catching up", "  40  ", "1.5s", "sessionIds", "session_id", "\n2  ",
	} {
		if code != exitOK || !strings.Contains(out, want) || strings.Contains(out, "\x1b") {
			t.Errorf("exit code %d, %q is not in:\n%s", code, want, out)
		}
	}
	code, out, _ = deskctl(t.Context(), "", "subscriptions", "--addr", address, "--output", "json")
	if code != exitOK || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"subscriptionId"`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestByteSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 1 << 63: "8.0 EiB",
	} {
		if got := byteSize(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

// answering returns a webhook that answers with that text, and remembers the last request.
func answering(t *testing.T, text string) (url string, last func() (*http.Request, string)) {
	t.Helper()
	type exchange struct {
		request *http.Request
		body    string
	}
	seen := make(chan exchange, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- exchange{r, string(body)}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() (*http.Request, string) {
		e := <-seen
		return e.request, e.body
	}
}

const okAnswer = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`

func TestSend(t *testing.T) {
	t.Parallel()
	url, last := answering(t, okAnswer)
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := deskctl(t.Context(), `{"Event":"x"}`, "send", "-", "--url", url, "--sdk-app-id", "7",
		"--request-id", "r1", "--command", "Member.EventNotify", "--token-file", path)
	if code != exitOK || out != okAnswer+"\n" {
		t.Errorf("exit code %d, printed %q, %q", code, out, stderr)
	}
	request, body := last()
	query := request.URL.Query()
	if body != `{"Event":"x"}` || query.Get("SdkAppid") != "7" || query.Get("RequestID") != "r1" ||
		query.Get("CallbackCommand") != "Member.EventNotify" || len(query.Get("Sign")) != 64 {
		t.Errorf("sent %s to %s", body, request.URL)
	}
}

func TestSendFailsWithoutAnAcknowledgement(t *testing.T) {
	t.Parallel()
	url, last := answering(t, "{\"ActionStatus\":\"FAIL\"}\x1b[2J")
	code, out, _ := deskctl(t.Context(), "{}", "send", "-", "--url", url)
	if code != exitFailed || out != `{"ActionStatus":"FAIL"}\x1b[2J`+"\n" {
		t.Errorf("exit code %d, printed %q", code, out)
	}
	if request, _ := last(); request.URL.Query().Has("RequestID") {
		t.Errorf("sent a RequestID: %s", request.URL)
	}
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	url, _ := answering(t, okAnswer)
	record := filepath.Join(t.TempDir(), "record")
	code, out, stderr := deskctl(t.Context(), "", "simulate", "--url", url, "--sessions", "4", "--rate", "0",
		"--seed", "12", "--record", record)
	if code != exitOK || stderr != "deskctl: playing with --seed 12\n" {
		t.Errorf("exit code %d, told %q", code, stderr)
	}
	content, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(content), "\n")
	for _, want := range []string{"unacknowledged  0\n", "failed"} {
		if strings.Contains(out, want) == (want == "failed") {
			t.Errorf("summary of %d callbacks:\n%s", lines, out)
		}
	}
	if lines < 4*5 {
		t.Errorf("%d lines recorded", lines)
	}
}

func TestSimulateFailsWithoutAcknowledgements(t *testing.T) {
	t.Parallel()
	url, _ := answering(t, "nothing")
	code, out, stderr := deskctl(t.Context(), "", "simulate", "--url", url, "--sessions", "2", "--rate", "0")
	if code != exitFailed || !strings.Contains(out, "× HTTP 200\n") || !strings.Contains(stderr, "were not acknowledged") {
		t.Errorf("exit code %d:\n%s%s", code, out, stderr)
	}
}

func TestQuarantine(t *testing.T) {
	t.Parallel()
	address := serve(t, &fakeBridge{})
	tests := []struct {
		args string
		code int
		out  []string
		err  string
	}{
		{"list", exitOK, []string{"1  ", "2  ", "UNDECODABLE", "not a JSON object"}, ""},
		{"list --output json", exitOK, []string{`{"quarantineId":"1",`, "\n" + `{"quarantineId":"2",`}, ""},
		{"show 1", exitOK, []string{"UNDECODABLE\n", "User-Agent: vendor\n", `\x1b[2J{\n\x00}` + "\n"}, ""},
		{"show 1 --body", exitOK, []string{"\x1b[2J{\n\x00}"}, ""},
		{"show 9", exitFailed, nil, "no such callback"},
		{"redrive 1", exitOK, []string{"1 stored at position 44\n"}, ""},
		{"redrive 9 1", exitFailed, []string{"1 stored at position 44\n"}, "9: still not JSON"},
		{"drop 1", exitOK, []string{"1 dropped\n"}, ""},
		{"drop 9 1", exitFailed, []string{"1 dropped\n"}, "9: deskbridge: no such callback"},
	}
	for _, test := range tests {
		args := append([]string{"quarantine"}, strings.Fields(test.args)...)
		code, out, stderr := deskctl(t.Context(), "", append(args, "--addr", address)...)
		if code != test.code || !strings.Contains(stderr, test.err) {
			t.Errorf("%s: exit code %d, told %q", test.args, code, stderr)
		}
		for _, want := range test.out {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in %q", test.args, want, out)
			}
		}
	}
}
