package server

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// newListenConfig makes listeners whose connections end when what was sent stays unacknowledged for patience.
//
// The system's own patience is a quarter of an hour, and its keepalive does not run meanwhile: a stream over HTTP,
// whose reader never sends anything, would be kept for that long after its reader has vanished without a word. gRPC has
// pings, and a setting of its own. This one also ends connections whose reader lives and takes nothing for as long:
// patience must not be less than SendTimeout.
func newListenConfig(patience time.Duration) *net.ListenConfig {
	config := &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { // connections inherit it
			// Where it can't be set, the system's own patience has to do.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(patience.Milliseconds()))
		})
	}}
	config.SetMultipathTCP(false) // it refuses the setting
	return config
}

// vanishedAfter is how long what was sent again and again may stay without any answer. It is short of two heartbeats'
// default interval, so that the second one to a reader that has vanished ends its stream: within 30 s.
const vanishedAfter = 15 * time.Second

// noticeVanished makes writes fail to whoever has vanished. The system's patience can't be that short: it counts the
// time in which a reader lives but takes nothing as well, which is for SendTimeout to bound.
func noticeVanished(listener net.Listener) net.Listener { return vanishListener{listener} }

type vanishListener struct{ net.Listener }

// Accept implements net.Listener.
func (l vanishListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		return &vanishConn{TCPConn: tcp}, err
	}
	return conn, err
}

type vanishConn struct {
	*net.TCPConn
	asked atomic.Int64 // when the system was, in Unix seconds
}

// Write implements net.Conn.
func (c *vanishConn) Write(data []byte) (int, error) {
	now := time.Now().Unix()
	if c.asked.Swap(now) != now && c.vanished() {
		return 0, unix.ETIMEDOUT
	}
	return c.TCPConn.Write(data)
}

// vanished says whether the other side answers nothing, neither data nor the question whether it takes some.
func (c *vanishConn) vanished() (vanished bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		vanished = err == nil && info.Retransmits > 0 &&
			time.Duration(info.Last_ack_recv)*time.Millisecond >= vanishedAfter
	})
	return vanished
}
