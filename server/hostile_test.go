package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server"
)

const testToken = "DeskToken2025"

// signature is the part of the query that proves a token.
func signature(token string, at time.Time) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	sum := sha256.Sum256([]byte(token + seconds))
	return "&Sign=" + hex.EncodeToString(sum[:]) + "&RequestTime=" + seconds
}

// fate is what must become of a request.
type fate int

const (
	refused fate = iota
	stored
	quarantined
)

// attack is one hostile request. raw, where set, is sent as it is instead of an HTTP client's request.
type attack struct {
	name   string
	method string
	query  string // behind the test app and a RequestID
	body   string
	header http.Header
	raw    func(conn net.Conn, target string) error
	status int
	code   int
	fate   fate
}

func signedConfig(t *testing.T) server.Config {
	t.Helper()
	config := testConfig(t)
	config.SDKAppIDs = []string{testApp}
	config.CallbackTokens = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(config.CallbackTokens, []byte(testToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// attacks makes several of each kind; all together are more than 200.
func attacks() []attack {
	signed := signature(testToken, time.Now())
	var all []attack
	add := func(count int, build func(i int) attack) {
		for i := range count {
			a := build(i)
			a.name = fmt.Sprintf("%s %d", a.name, i)
			all = append(all, a)
		}
	}
	ok := func(name, body string, f fate) attack {
		return attack{name: name, query: signed, body: body, status: 200, fate: f}
	}
	event := func(members string) string {
		return `{"CallbackCommand":"Desk.SessionEventNotify","SessionId":"h","Event":"SessionBegin",` + members + `}`
	}

	add(10, func(i int) attack {
		return attack{name: "oversized", query: signed, body: strings.Repeat("x", 1<<20+1+i), status: 413, code: 41301}
	})
	add(10, func(i int) attack {
		return attack{name: "oversized, chunked", query: signed, status: 413, code: 41301, raw: chunked(1<<20 + 1 + i)}
	})
	add(5, func(i int) attack {
		return attack{name: "slow", query: signed, status: 408, code: 40801, raw: announce(1000, i)}
	})
	add(10, func(i int) attack {
		return attack{name: "truncated", query: signed, status: 400, code: 40002, raw: truncated(1000, i)}
	})
	add(10, func(i int) attack {
		wrong := []string{
			`"EventTime":{}`, `"EventTime":[1]`, `"MsgBody":"text"`, `"MsgBody":{}`, `"MsgBody":[1,null,"x"]`,
			`"AgentId":7`, `"IsContactUser":"maybe"`, `"SatisfactionSelected":[]`, `"MsgKey":true`, `"ClientUserId":{"a":[]}`,
		}
		return ok("wrong type", event(wrong[i]), stored)
	})
	add(10, func(i int) attack {
		depth := 600 + 1000*i
		return ok("deep nesting", event(`"X":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)), quarantined)
	})
	add(5, func(int) attack { return ok("deep nesting, unclosed", strings.Repeat(`{"a":`, 100_000), quarantined) })
	add(10, func(int) attack {
		return attack{
			name: "gzip bomb", query: signed, body: gzipped(8 << 20), status: 415, code: 41501,
			header: http.Header{"Content-Encoding": {"gzip"}},
		}
	})
	add(5, func(i int) attack { return ok("gzip in disguise", gzipped(1024+i), quarantined) })
	add(10, func(i int) attack {
		return ok("bad UTF-8", event(`"ClientUserId":"`+string([]byte{0xff, 0xfe, byte('a' + i)})+`"`), quarantined)
	})
	add(10, func(i int) attack {
		return ok("lone surrogate", event(fmt.Sprintf(`"ClientUserId":"\ud8%02x"`, i)), stored)
	})
	add(10, func(i int) attack { return ok("NUL", event(fmt.Sprintf(`"ClientUserId":"\u0000%d"`, i)), stored) })
	add(10, func(i int) attack {
		return ok("duplicate keys", event(fmt.Sprintf(`"AgentId":"a","AgentId":"b","AgentId":"%d"`, i)), stored)
	})
	add(10, func(i int) attack {
		return ok("huge number", event(`"EventTime":`+strings.Repeat("9", 20+500*i)+`,"SatisfactionSelected":1e999`), stored)
	})
	add(10, func(i int) attack {
		return ok("many members", event(`"X":[`+strings.Repeat(`{"a":1},`, 1000*i)+`0]`), stored)
	})
	add(10, func(i int) attack {
		return attack{
			name: "forged", query: signature(fmt.Sprintf("guess-%d", i), time.Now()), body: event(`"X":0`),
			status: 401, code: 40102,
		}
	})
	add(5, func(int) attack {
		return attack{name: "unsigned", body: event(`"X":0`), status: 401, code: 40101}
	})
	add(10, func(i int) attack {
		stale := time.Now().Add(time.Duration(i-5) * time.Hour)
		if i == 5 {
			stale = time.Now().Add(-2 * time.Minute)
		}
		return attack{name: "stale", query: signature(testToken, stale), body: event(`"X":0`), status: 401, code: 40103}
	})
	add(10, func(i int) attack {
		return attack{
			name: "other app", query: signed + fmt.Sprintf("&SDKAPPID=%d", 1400000000+i), body: event(`"X":0`),
			status: 403, code: 40301,
		}
	})
	add(6, func(i int) attack {
		method := []string{"GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"}[i]
		return attack{name: "method " + method, method: method, query: signed, status: 405, code: 40501}
	})
	add(10, func(i int) attack {
		a := ok("stray percent", event(`"SatisfactionSelected":`+strconv.Itoa(i)), stored)
		a.query += "&x=%" + strconv.Itoa(i)
		return a
	})
	add(10, func(i int) attack {
		return ok("not JSON", []string{
			"", "{", "hello", "null", "[]", `"text"`, "{}{}", "{'a':1}", "\x00", "{\"a\":NaN}",
		}[i], quarantined)
	})
	add(2, func(i int) attack { return ok("largest body", strings.Repeat("[", 1<<20-i), quarantined) })
	add(2, func(i int) attack {
		return ok("largest event", event(`"ClientUserId":"`+strings.Repeat("x", 1<<20-200-i)+`"`), quarantined)
	})
	add(5, func(i int) attack {
		a := ok("other command", `{"CallbackCommand":"Member.EventNotify","n":`+strconv.Itoa(i)+`}`, quarantined)
		a.query += "&CallbackCommand=Member.EventNotify"
		return a
	})
	add(5, func(int) attack {
		return attack{
			name: "command that needs an answer", query: signed + "&CallbackCommand=ChatBot.OnAssignHuman", body: `{}`,
			status: 200, code: 20001, fate: quarantined,
		}
	})
	return all
}

func TestHostileCallbacks(t *testing.T) {
	t.Parallel()
	config := signedConfig(t)
	config.CallbackTimeout = 300 * time.Millisecond
	b := startBridge(t, config)
	all := attacks()
	if len(all) < 200 {
		t.Fatalf("%d attacks only", len(all))
	}
	before := heapInUse()
	want := map[fate]map[string]bool{stored: {}, quarantined: {}}
	for i, a := range all {
		id := fmt.Sprintf("attack-%d", i)
		status, answer := b.attack(a, "SdkAppid="+testApp+"&RequestID="+id+a.query)
		if status != a.status || answer.ErrorCode != a.code || answer.isOK() != (a.code == 0) {
			t.Errorf("%s: answer %d %+v, want %d and code %d", a.name, status, answer, a.status, a.code)
		}
		if a.fate != refused {
			want[a.fate][id] = true
		}
		if a.fate == stored { // a replay inside the signature's window is a duplicate
			if status, answer := b.attack(a, "SdkAppid="+testApp+"&RequestID="+id+a.query); status != 200 || !answer.isOK() {
				t.Errorf("%s, again: answer %d %+v", a.name, status, answer)
			}
		}
	}
	// A second of the largest bodies in flight would be far more than this.
	if grown := int64(heapInUse()) - int64(before); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	b.checkFates(want)
}

// checkFates: each callback that was answered with OK is where it belongs, once, and nothing else is.
func (b *bridge) checkFates(want map[fate]map[string]bool) {
	b.t.Helper()
	got := map[fate]map[string]bool{stored: {}, quarantined: {}}
	for _, event := range b.allEvents(nil) {
		id := event.GetCallback().GetRequestId()
		if got[stored][id] {
			b.t.Errorf("%s is stored twice", id)
		}
		got[stored][id] = true
	}
	for _, kept := range b.quarantine() {
		if strings.Contains(kept.GetQuery(), "Sign=") {
			b.t.Errorf("the quarantine holds a signature: %s", kept.GetQuery())
		}
		_, rest, _ := strings.Cut(kept.GetQuery(), "RequestID=")
		id, _, _ := strings.Cut(rest, "&")
		got[quarantined][id] = true
	}
	for _, f := range []fate{stored, quarantined} {
		for id := range want[f] {
			if !got[f][id] {
				b.t.Errorf("%s is lost: want it in %d", id, f)
			}
		}
		if len(got[f]) != len(want[f]) {
			b.t.Errorf("%d callbacks in %d, want %d", len(got[f]), f, len(want[f]))
		}
	}
}

func (b *bridge) quarantine() []*deskbridgev1.QuarantinedCallback {
	b.t.Helper()
	client := deskbridgev1.NewQuarantineServiceClient(b.conn)
	request := &deskbridgev1.ListQuarantinedCallbacksRequest{PageSize: 7}
	var all []*deskbridgev1.QuarantinedCallback
	for {
		page, err := client.ListQuarantinedCallbacks(b.t.Context(), request)
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, page.GetCallbacks()...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return all
		}
	}
}

type vendorAnswer struct {
	ActionStatus, ErrorInfo string
	ErrorCode               int
}

func (a vendorAnswer) isOK() bool { return a.ActionStatus == "OK" }

func (b *bridge) attack(a attack, query string) (int, vendorAnswer) {
	b.t.Helper()
	response, err := b.send(a, "/v1/callbacks/desk?"+query)
	if err != nil {
		b.t.Fatalf("%s: %v", a.name, err)
	}
	status, text := readAnswer(b.t, response)
	var answer vendorAnswer
	if err := json.Unmarshal([]byte(text), &answer); err != nil && a.method != "HEAD" {
		b.t.Errorf("%s: the answer %q is not in the vendor's form: %v", a.name, text, err)
	}
	return status, answer
}

func (b *bridge) send(a attack, target string) (*http.Response, error) {
	if a.raw != nil {
		return sendRaw(b.t.Context(), b.HTTPAddr(), target, a.raw)
	}
	method := a.method
	if method == "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.url(target), strings.NewReader(a.body))
	if err != nil {
		return nil, err
	}
	request.Header = a.header
	return b.http.Do(request)
}

// sendRaw writes to a connection of its own and reads the answer.
func sendRaw(
	ctx context.Context, addr, target string, write func(conn net.Conn, target string) error,
) (*http.Response, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(testDeadline)); err != nil {
		return nil, err
	}
	if err := write(conn, target); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, err
}

// announce sends the head of a body and some of its bytes, and then nothing.
func announce(size, sent int) func(net.Conn, string) error {
	return func(conn net.Conn, target string) error {
		_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s",
			target, size, strings.Repeat(" ", sent))
		return err
	}
}

// truncated ends the connection's sending side in the middle of a body.
func truncated(size, sent int) func(net.Conn, string) error {
	return func(conn net.Conn, target string) error {
		if err := announce(size, sent)(conn, target); err != nil {
			return err
		}
		return conn.(*net.TCPConn).CloseWrite()
	}
}

// chunked sends a body whose size is not announced. The server may answer and close before it has all of it.
func chunked(size int) func(net.Conn, string) error {
	return func(conn net.Conn, target string) error {
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", target); err != nil {
			return err
		}
		_, err := fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("x", size))
		return err
	}
}

func gzipped(size int) string {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, _ = w.Write(make([]byte, size))
	_ = w.Close()
	return compressed.String()
}

func heapInUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
