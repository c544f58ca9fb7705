package bridgetest

import (
	"context"
	"net"
	"sync"
	"time"
)

// link is a client's connection, and the one to the server that belongs to it.
type link struct {
	proxy  *Proxy
	client *net.TCPConn

	// Guarded by proxy.mu:
	server net.Conn
	dead   bool // nothing passes any more
	closed bool
}

// forward passes what comes, until either end closes.
func (l *link) forward() {
	if !l.dial() {
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(l.server, l.client, false) })
	pumps.Go(func() { l.pump(l.client, l.server, true) })
	pumps.Wait()
}

func (l *link) dial() bool {
	target := l.proxy.target()
	if target == "" {
		return false
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	server, err := dialer.DialContext(context.Background(), "tcp", target)
	if err != nil {
		return false
	}
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	if l.closed {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

func (l *link) pump(to, from net.Conn, toClient bool) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		allowed, last := l.proxy.admit(l, n, toClient)
		if allowed > 0 && err == nil {
			_, err = to.Write(buffer[:allowed])
		}
		if last {
			l.proxy.Cut()
		}
		if err != nil {
			l.end(toClient)
			return
		}
	}
}

// end closes the link after one side has closed, and everything it said has been passed on. From a server that a client
// can't hear any more, the client doesn't hear that either.
func (l *link) end(byServer bool) {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	if byServer && l.dead {
		return
	}
	l.closeLocked()
}

// resetLocked closes both connections at once: each end sees a reset.
func (l *link) resetLocked() {
	if !l.closed {
		_ = l.client.SetLinger(0)
		l.closeLocked()
	}
}

func (l *link) closeLocked() {
	l.closed = true
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
	l.proxy.changed.Broadcast()
}
