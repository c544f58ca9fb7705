package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The vendor's published example, and one of our own.
func TestSign(t *testing.T) {
	t.Parallel()
	tests := []struct{ token, requestTime, want string }{
		{"xxxxyyyy", "1669872112", "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"},
		{"DeskToken2025", "1735689600", "0902ab962e65d401c05ab8df23af6949cff0c17cbfe951046027de006fd2fc99"},
	}
	for _, test := range tests {
		if got := Sign(test.token, test.requestTime); got != test.want {
			t.Errorf("%s at %s: %s", test.token, test.requestTime, got)
		}
	}
}

// exchange posts one callback and returns the request as the webhook saw it, and the answer.
func exchange(t *testing.T, config Config, callback Callback, status int, text string) (*http.Request, string, *Answer) {
	t.Helper()
	var seen *http.Request
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		seen, body = r, string(content)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	defer server.Close()
	config.URL = server.URL + config.URL
	poster, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer poster.Close()
	answer, err := poster.Post(t.Context(), callback)
	if err != nil {
		t.Fatal(err)
	}
	return seen, body, answer
}

const okAnswer = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`

func TestPostAsTheVendorDoes(t *testing.T) {
	t.Parallel()
	callback := Callback{
		Command: SessionEventCommand, ClientIP: "203.0.113.9", Platform: "iOS", RequestID: "a b&c", Body: []byte(`{"x":1}`),
	}
	request, body, answer := exchange(t, Config{URL: "/hook", SdkAppID: "1600012345"}, callback, 200, okAnswer)
	want := "SdkAppid=1600012345&CallbackCommand=Desk.SessionEventNotify&contenttype=json&ClientIP=203.0.113.9" +
		"&OptPlatform=iOS&RequestID=a+b%26c"
	if diff := cmp.Diff(want, request.URL.RawQuery); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if request.Method != http.MethodPost || request.URL.Path != "/hook" || body != `{"x":1}` {
		t.Errorf("%s %s %s", request.Method, request.URL.Path, body)
	}
	if !answer.Acknowledged() || string(answer.Text) != okAnswer {
		t.Errorf("answer %+v", answer)
	}
}

func TestPostSigned(t *testing.T) {
	t.Parallel()
	token := func(context.Context) (string, error) { return "DeskToken2025", nil }
	request, _, _ := exchange(t, Config{URL: "/hook?tenant=7", Token: token}, Callback{}, 200, okAnswer)
	query := request.URL.Query()
	if query.Get("Sign") != Sign("DeskToken2025", query.Get("RequestTime")) || query.Get("tenant") != "7" {
		t.Errorf("query %s", request.URL.RawQuery)
	}
	if query.Has("RequestID") {
		t.Error("an empty RequestID was sent")
	}
}

func TestAcknowledged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		text   string
		want   bool
	}{
		{"OK", 200, okAnswer, true},
		{"FAIL", 200, `{"ActionStatus":"FAIL","ErrorInfo":"no","ErrorCode":20001}`, false},
		{"OK with a code", 200, `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":1}`, false},
		{"not 200", 503, okAnswer, false},
		{"no JSON", 200, "OK", false},
		{"half a JSON", 200, `{"ActionStatus":"OK","ErrorCode":"x"}`, false},
		{"empty", 204, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, _, answer := exchange(t, Config{}, Callback{}, test.status, test.text)
			if answer.Acknowledged() != test.want || answer.HTTPStatus != test.status || string(answer.Text) != test.text {
				t.Errorf("%+v", answer)
			}
		})
	}
}

func TestPostFailures(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:8080/x", "ftp://example.com", "http://", "http://[::1"} {
		if _, err := New(Config{URL: address}); err == nil {
			t.Errorf("%q is accepted", address)
		}
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	poster, err := New(Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poster.Post(t.Context(), Callback{}); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("posted to nobody: %v", err)
	}
	lost := errors.New("token is lost")
	poster, err = New(Config{URL: server.URL, Token: func(context.Context) (string, error) { return "", lost }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poster.Post(t.Context(), Callback{}); !errors.Is(err, lost) {
		t.Errorf("posted without a token: %v", err)
	}
}
