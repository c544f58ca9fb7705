package server_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestVanishedHTTPReaderIsNoticed has readers whose system drops all that comes, and so answers nothing.
func TestVanishedHTTPReaderIsNoticed(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"*/*", "text/event-stream"} {
		t.Run(accept, func(t *testing.T) {
			t.Parallel()
			b := startBridge(t, testConfig(t))
			conn, _ := openRaw(t, b, accept)
			dropAll(t, conn)
			vanished := time.Now()
			eventually(t, "the bridge has noticed", halfOpenPatience, func() bool { return b.FanoutStats().Subscriptions == 0 })
			t.Logf("the bridge noticed after %v", time.Since(vanished))
		})
	}
}

// TestStalledHTTPReaderIsNotTakenForVanished has a reader that takes nothing for a while, whose system says so.
func TestStalledHTTPReaderIsNotTakenForVanished(t *testing.T) {
	t.Parallel()
	const events, stall = 50, 20 * time.Second // longer than one that vanished would be waited for
	config := testConfig(t)
	config.SendTimeout = 10 * testDeadline
	b := startBridge(t, config)
	for n := range events {
		b.mustPost(documentQuery, longBody(n, 200_000))
	}
	_, stream := openRaw(t, b, "*/*")
	b.eventually("the stream is stuck", b.isStuck)
	time.Sleep(stall)
	if _, err := expect(stream, 1, events); err != nil {
		t.Error(err)
	}
}

// openRaw opens a stream from the earliest event on.
func openRaw(t *testing.T, b *bridge, accept string) (*net.TCPConn, *lineStream) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /v1/events:subscribe?start_position=START_POSITION_EARLIEST HTTP/1.1\r\n"+
		"Host: x\r\nAccept: %s\r\n\r\n", accept)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), answer.Body.Close() })
	b.eventually("the stream is open", func() bool { return b.FanoutStats().Subscriptions == 1 })
	return conn.(*net.TCPConn), &lineStream{lines: bufio.NewReader(answer.Body)}
}

// dropAll makes the system drop what comes for a connection before it is looked at.
func dropAll(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	nothing := []unix.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: 0}}
	var attachErr error
	if err := raw.Control(func(fd uintptr) {
		attachErr = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: 1, Filter: &nothing[0]})
	}); err != nil || attachErr != nil {
		t.Fatal(err, attachErr)
	}
}
