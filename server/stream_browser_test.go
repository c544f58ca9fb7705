//go:build browser

package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The page reads a filtered stream, writes what it sees into the document, and is done when the stream has told it
// everything up to "last", and a second source has stopped by itself at the end of a batch. It has loaded, and chromium
// prints the document, when its image comes: that is then.
const browserPage = `<!doctype html><title>events</title><ol id="seen"></ol><img src="/image"><script>
const seen = text => { const li = document.createElement("li"); li.textContent = text; document.all.seen.append(li) };
let told = Promise.resolve();
const tell = what => told = told.then(() => fetch("/seen/" + what));
const query = "/v1/events:subscribe?start_position=START_POSITION_EARLIEST&";
const source = new EventSource(query + "heartbeat_interval=1s&filter.session_ids=first&filter.session_ids=second&filter.session_ids=last");
source.onmessage = e => {
	const event = JSON.parse(e.data);
	seen("event " + event.sessionId + " " + event.message.elements[0].text.text + " " + e.lastEventId.split(":")[1]);
	tell(event.sessionId);
	if (event.sessionId === "last") { source.close(); batch() }
};
source.addEventListener("opened", e => { seen("opened"); tell("opened/" + (JSON.parse(e.data).startPosition ?? 0)) });
source.addEventListener("draining", e => seen("draining"));
source.addEventListener("error", e => seen(e.data ? "error " + JSON.parse(e.data).details[0].reason : "cut " + source.readyState));
function batch() {
	const source = new EventSource(query + "stop_when_caught_up=true");
	let events = 0;
	source.onmessage = () => events++;
	source.onerror = () => { if (source.readyState === EventSource.CLOSED) { seen("batch " + events); tell("done") } };
}
</script>`

// TestBrowserSurvivesARestart reads a stream with a browser's own EventSource while the bridge behind the page's origin
// is restarted. It needs chromium: make the test's target install it, it does not skip.
func TestBrowserSurvivesARestart(t *testing.T) {
	config := testConfig(t)
	first := startBridge(t, config)
	first.mustPost(documentQuery, sessionBody("first", 1))
	origin := &pageOrigin{seen: make(chan string, 100), done: make(chan struct{})}
	origin.bridge.Store(first)
	page := httptest.NewServer(origin)
	t.Cleanup(page.Close)
	dom, closed := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(closed)
		dom <- browse(t, page.URL)
	}()
	t.Cleanup(func() { <-closed })

	origin.wait(t, "opened/0", "first")
	first.mustPost(documentQuery, sessionBody("left out", 2))
	first.eventually("the stream has passed what it leaves out", func() bool { return origin.heartbeats.Load() > 1 })
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := startBridge(t, config)
	second.mustPost(documentQuery, sessionBody("second", 3))
	origin.bridge.Store(second)
	origin.wait(t, "opened/2", "second") // resumed behind the heartbeat's cursor, not behind the last message's
	second.mustPost(documentQuery, sessionBody("last", 4))
	origin.wait(t, "last", "done")
	close(origin.done)

	text := <-dom
	for _, part := range []string{
		`<li>opened</li><li>event first 1 1</li><li>draining</li><li>error ERROR_REASON_DRAINING</li><li>cut 0</li>`,
		`<li>opened</li><li>event second 3 3</li><li>event last 4 4</li><li>batch 4</li></ol>`,
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the document lacks %s:\n%s", part, text)
		}
	}
}

// browse returns the document as it is when the page has loaded.
func browse(t *testing.T, url string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 3*testDeadline)
	defer cancel()
	command := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--dump-dom", url)
	command.WaitDelay = 5 * time.Second
	output, err := command.Output()
	if err != nil {
		t.Errorf("chromium: %v", err)
	}
	return string(output)
}

// pageOrigin serves the page, and the bridge's API from the same origin, as a reverse proxy in front of both would.
type pageOrigin struct {
	bridge     atomic.Pointer[bridge]
	seen       chan string
	heartbeats atomic.Int64
	done       chan struct{}
}

func (o *pageOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, seen := strings.CutPrefix(r.URL.Path, "/seen/")
	switch {
	case seen:
		o.seen <- name
	case r.URL.Path == "/":
		fmt.Fprint(w, browserPage)
	case r.URL.Path == "/image":
		select {
		case <-o.done:
		case <-r.Context().Done():
		}
	default:
		target, _ := url.Parse(o.bridge.Load().url(""))
		proxy := httputil.NewSingleHostReverseProxy(target)
		// A bridge that is away is a connection that fails, not an answer: EventSource gives up for ever after a 502.
		proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
		proxy.ServeHTTP(heartbeatCounter{w, o}, r)
	}
}

func (o *pageOrigin) wait(t *testing.T, names ...string) {
	t.Helper()
	for _, want := range names {
		select {
		case got := <-o.seen:
			if got != want {
				t.Fatalf("the page saw %s, want %s", got, want)
			}
		case <-time.After(testDeadline):
			t.Fatalf("the page does not see %s", want)
		}
	}
}

type heartbeatCounter struct {
	http.ResponseWriter
	origin *pageOrigin
}

func (w heartbeatCounter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w heartbeatCounter) Write(data []byte) (int, error) {
	if len(data) > 0 && data[0] == ':' {
		w.origin.heartbeats.Add(1)
	}
	return w.ResponseWriter.Write(data)
}
