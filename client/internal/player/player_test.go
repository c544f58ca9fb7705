package player

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deskbridge/deskbridge/client/internal/simulate"
	"github.com/deskbridge/deskbridge/client/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hook is a webhook that remembers each post, and may refuse some.
type hook struct {
	mu     sync.Mutex
	posts  []post
	refuse func(n int) (status int) // 0 is OK
}

type post struct{ requestID, sessionID, body string }

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	var decoded struct {
		SessionID string `json:"SessionId"`
	}
	if err != nil || json.Unmarshal(content, &decoded) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.posts = append(h.posts, post{r.URL.Query().Get("RequestID"), decoded.SessionID, string(content)})
	n := len(h.posts)
	h.mu.Unlock()
	if h.refuse != nil && h.refuse(n) != 0 {
		w.WriteHeader(h.refuse(n))
		_, _ = io.WriteString(w, `{"ActionStatus":"FAIL","ErrorInfo":"no","ErrorCode":50301}`)
		return
	}
	_, _ = io.WriteString(w, `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`)
}

// play runs the config against the hook.
func play(t *testing.T, h *hook, config Config) (Summary, error) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	poster, err := webhook.New(webhook.Config{URL: server.URL, Connections: config.Concurrency})
	if err != nil {
		t.Fatal(err)
	}
	defer poster.Close()
	config.Poster, config.Timeout = poster, 10*time.Second
	return New(config).Run(t.Context())
}

// scripted returns the RequestIDs of the first sessions of a seed, by session, in order.
func scripted(seed uint64, sessions uint64) map[string][]string {
	all := map[string][]string{}
	for index := range sessions {
		for _, callback := range simulate.Session(seed, index) {
			all[callback.SessionID()] = append(all[callback.SessionID()], callback.RequestID)
		}
	}
	return all
}

func count(all map[string][]string) (n uint64) {
	for _, ids := range all {
		n += uint64(len(ids))
	}
	return n
}

func TestPlaysEachSessionInOrder(t *testing.T) {
	t.Parallel()
	h := &hook{}
	var done atomic.Int64
	summary, err := play(t, h, Config{
		Seed: 3, Sessions: 30, Concurrency: 8, SessionDone: func() { done.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	want, got := scripted(3, 30), map[string][]string{}
	for _, p := range h.posts {
		got[p.sessionID] = append(got[p.sessionID], p.requestID)
	}
	for session, ids := range want {
		if strings.Join(got[session], " ") != strings.Join(ids, " ") {
			t.Errorf("session %s:\ngot  %v\nwant %v", session, got[session], ids)
		}
	}
	if summary.Sent != count(want) || summary.Acknowledged != count(want) || summary.Unacknowledged+summary.Duplicates != 0 {
		t.Errorf("summary %+v of %d callbacks", summary, count(want))
	}
	if summary.P50 <= 0 || summary.P50 > summary.P99 || summary.P99 > summary.Max || summary.Elapsed < summary.Max {
		t.Errorf("latencies %v %v %v in %v", summary.P50, summary.P99, summary.Max, summary.Elapsed)
	}
	if done.Load() != 30 {
		t.Errorf("told of %d sessions", done.Load())
	}
}

func TestDuplicatesAreTheSamePostAgain(t *testing.T) {
	t.Parallel()
	h := &hook{}
	summary, err := play(t, h, Config{Seed: 3, Sessions: 10, Concurrency: 4, Duplicates: 1})
	if err != nil {
		t.Fatal(err)
	}
	posts := map[post]int{}
	for _, p := range h.posts {
		posts[p]++
	}
	for p, n := range posts {
		if n != 2 {
			t.Errorf("%s was posted %d times with one body", p.requestID, n)
		}
	}
	if summary.Duplicates != summary.Acknowledged || summary.Sent != 2*summary.Acknowledged {
		t.Errorf("summary %+v", summary)
	}
}

func TestRecordHoldsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	h := &hook{refuse: func(n int) int {
		if n%3 == 0 {
			return http.StatusServiceUnavailable
		}
		return 0
	}}
	var out bytes.Buffer
	summary, err := play(t, h, Config{Seed: 4, Sessions: 5, Concurrency: 1, Duplicates: 0.5, Record: NewRecord(&out)})
	if err != nil {
		t.Fatal(err)
	}
	want, recorded := scripted(4, 5), uint64(0)
	decoder := json.NewDecoder(&out)
	for decoder.More() {
		var entry Entry
		if err := decoder.Decode(&entry); err != nil {
			t.Fatal(err)
		}
		if want[entry.SessionID][entry.Sequence-1] != entry.RequestID || entry.Acknowledged.IsZero() || entry.Event == "" {
			t.Errorf("entry %+v", entry)
		}
		recorded++
	}
	if recorded != summary.Acknowledged || recorded+summary.Unacknowledged != count(want) {
		t.Errorf("%d recorded of %d; summary %+v", recorded, count(want), summary)
	}
	kind := "HTTP 503, ErrorCode 50301"
	if len(summary.Failures) != 1 || summary.Failures[kind] != summary.Sent/3 || summary.Unacknowledged == 0 {
		t.Errorf("summary %+v", summary)
	}
}

func TestRetriesUntilAcknowledged(t *testing.T) {
	t.Parallel()
	h := &hook{refuse: func(n int) int {
		if n <= 3 {
			return http.StatusServiceUnavailable
		}
		return 0
	}}
	summary, err := play(t, h, Config{Seed: 5, Sessions: 1, Concurrency: 1, RetryFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range h.posts[:4] {
		if p != h.posts[0] {
			t.Errorf("try %d is another post", i)
		}
	}
	if summary.Unacknowledged != 0 || summary.Acknowledged != count(scripted(5, 1)) {
		t.Errorf("summary %+v", summary)
	}
}

func TestRateIsKept(t *testing.T) {
	t.Parallel()
	const rate = 200
	summary, err := play(t, &hook{}, Config{Seed: 6, Sessions: 3, Concurrency: 3, Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	if least := time.Duration(summary.Sent-1) * time.Second / rate; summary.Elapsed < least {
		t.Errorf("%d posts in %v, less than %v", summary.Sent, summary.Elapsed, least)
	}
}

func TestStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &hook{refuse: func(n int) int {
		if n == 50 {
			cancel()
		}
		return 0
	}}
	server := httptest.NewServer(h)
	defer server.Close()
	poster, err := webhook.New(webhook.Config{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer poster.Close()
	// Without a number of sessions it would go on for ever.
	summary, err := New(Config{Poster: poster, Concurrency: 4, Timeout: 10 * time.Second}).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Sent != uint64(len(h.posts)) || summary.Acknowledged != summary.Sent {
		t.Errorf("summary %+v of %d posts", summary, len(h.posts))
	}
}

func TestRecordFailureEndsTheRun(t *testing.T) {
	t.Parallel()
	_, err := play(t, &hook{}, Config{Sessions: 100, Concurrency: 2, Record: NewRecord(fullDisk{})})
	if !errors.Is(err, errFull) {
		t.Errorf("ended with %v", err)
	}
}

var errFull = errors.New("disk full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestFailureKinds(t *testing.T) {
	t.Parallel()
	poster := func(url string) *webhook.Poster {
		p, err := webhook.New(webhook.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	kindOfPost := func(ctx context.Context, url string) string {
		answer, err := poster(url).Post(ctx, webhook.Callback{})
		return failureKind(answer, err)
	}
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-hang
		case "/cut":
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got := []string{
		kindOfPost(short, server.URL+"/hang"), kindOfPost(t.Context(), server.URL+"/cut"),
		kindOfPost(t.Context(), server.URL+"/"),
	}
	close(hang)
	server.Close()
	got = append(got, kindOfPost(t.Context(), server.URL))
	want := []string{"no answer in time", "connection cut", "HTTP 418", "connection refused"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	for ms := range 1000 {
		h.add(time.Duration(ms+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		got := h.quantile(q)
		if got < want || float64(got) > float64(want)*bucketGrowth {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	h.add(0)
	h.add(24 * time.Hour)
	if h.max != 24*time.Hour || h.quantile(0.0001) > 2*time.Microsecond {
		t.Errorf("extremes: %v, %v", h.quantile(0.0001), h.max)
	}
}
