package server

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall lacks.
const tcpUserTimeout = 0x12

// newListenConfig makes listeners whose connections end when what was sent stays unacknowledged for patience.
//
// The system's own patience is a quarter of an hour, and its keepalive does not run meanwhile: a stream over HTTP,
// whose reader never sends anything, would be kept for that long after its reader has vanished without a word. gRPC has
// pings, and a setting of its own.
func newListenConfig(patience time.Duration) *net.ListenConfig {
	config := &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { // connections inherit it
			// Where it can't be set, the system's own patience has to do.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(patience.Milliseconds()))
		})
	}}
	config.SetMultipathTCP(false) // it refuses the setting
	return config
}
