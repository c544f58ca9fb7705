package server_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// unfinished sends the head of a request with a body, and then no more. Its connection stays open until the test ends.
func (b *bridge) unfinished(addr, method, target, size string) (net.Conn, *bufio.Reader) {
	b.t.Helper()
	conn, err := (&net.Dialer{Timeout: testDeadline}).DialContext(b.t.Context(), "tcp", addr)
	if err == nil {
		b.t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(testDeadline))
		_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", method, target, size)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// TestUnfinishedBodiesHoldNothing: a request that is refused, or has no use for a body, is answered without its body,
// its connection ends, and a shutdown has nothing to wait for.
func TestUnfinishedBodiesHoldNothing(t *testing.T) {
	t.Parallel()
	config := signedConfig(t)
	config.MetricsAddr, config.CallbackTimeout = "127.0.0.1:0", testDeadline
	b := startBridge(t, config)
	b.awaitReadiness(http.StatusOK, "ok\n")
	for _, tt := range []struct {
		addr, method, target string
		status               int
	}{
		{b.HTTPAddr(), "POST", "/v1/callbacks/desk?SdkAppid=" + testApp, http.StatusUnauthorized},
		{b.HTTPAddr(), "PUT", "/v1/callbacks/desk?SdkAppid=" + testApp, http.StatusMethodNotAllowed},
		{b.HTTPAddr(), "POST", "/v1/callbacks/another", http.StatusNotFound},
		{b.HTTPAddr(), "POST", "/v1/nothing", http.StatusNotFound},
		{b.HTTPAddr(), "POST", "/v1//journal", http.StatusTemporaryRedirect},
		{b.HTTPAddr(), "GET", "/v1/journal", 499}, // the generated handler reads the body, and takes the client for gone
		{b.HTTPAddr(), "GET", "/v1/events:subscribe", http.StatusBadRequest},
		{b.HTTPAddr(), "GET", "/readyz", http.StatusOK},
		{b.HTTPAddr(), "GET", "/livez", http.StatusOK},
		{b.MetricsAddr(), "POST", "/metrics", http.StatusOK},
		{b.MetricsAddr(), "GET", "/livez", http.StatusOK},
	} {
		for _, size := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			_, answers := b.unfinished(tt.addr, tt.method, tt.target, size)
			response, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Errorf("%s %s, %s: %v", tt.method, tt.target, size, err)
				continue
			}
			if status, _ := readAnswer(t, response); status != tt.status || !response.Close {
				t.Errorf("%s %s, %s: status %d, the last answer: %v", tt.method, tt.target, size, status, response.Close)
			}
			if _, err := answers.ReadByte(); err == nil || isTimeout(err) {
				t.Errorf("%s %s, %s: the connection stays: %v", tt.method, tt.target, size, err)
			}
		}
	}
	if err := b.stop(); err != nil {
		t.Error(err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // a connection returns it as it is
	return ok && timeout.Timeout()
}

// TestOverloadIsAnsweredWithoutBody: where there is no room for a callback, there is none for its body.
func TestOverloadIsAnsweredWithoutBody(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.CallbackLimit, config.CallbackTimeout = 1, testDeadline
	b := startBridge(t, config)
	var open []net.Conn // one of them has the room
	b.eventually("a callback is refused for lack of room", func() bool {
		conn, answers := b.unfinished(b.HTTPAddr(), "POST", "/v1/callbacks/desk?"+documentQuery, "Content-Length: 1000")
		open = append(open, conn)
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			return false
		}
		status, _ := readAnswer(t, response)
		return status == http.StatusServiceUnavailable
	})
	for _, conn := range open {
		_ = conn.Close()
	}
}

// TestBodyBehindItsHead: a sender that isn't done when it is refused gets the answer, not a reset.
func TestBodyBehindItsHead(t *testing.T) {
	t.Parallel()
	b := startBridge(t, signedConfig(t))
	conn, answers := b.unfinished(b.HTTPAddr(), "POST", "/v1/callbacks/desk?SdkAppid="+testApp, "Content-Length: 100000")
	if _, err := conn.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := readAnswer(t, response); status != http.StatusUnauthorized {
		t.Errorf("status %d", status)
	}
}
