package bridgetest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
)

// Proxy forwards TCP connections and makes trouble on the way. It knows nothing of what passes, so it can stand before
// any server. Its methods may be called concurrently.
type Proxy struct {
	listener net.Listener
	target   func() string
	running  sync.WaitGroup

	mu         sync.Mutex
	changed    *sync.Cond // of everything below
	closed     bool
	stalled    bool
	vanishing  bool // what connects now is dead from the start
	links      map[*link]struct{}
	cutting    bool  // cut when remaining is used up
	remaining  int64 // bytes that may still pass to clients
	rejections []error
}

// NewProxy runs a proxy until the test ends. target is asked for the server's address at each connection; the client is
// cut off when it is empty or doesn't answer. A Bridge has a Proxy of its own: another one is for consumers that are to
// meet their trouble apart from each other, or for another server.
func NewProxy(t testing.TB, target func() string) *Proxy {
	t.Helper()
	var listening net.ListenConfig
	listener, err := listening.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("bridgetest: %v", err)
	}
	p := &Proxy{listener: listener, target: target, links: map[*link]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is the address that clients connect to: "127.0.0.1:…".
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut resets all connections. Clients may connect again at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutLocked()
}

// CutAfter resets all connections once so many more bytes have passed to clients, wherever in a message that is. It
// replaces an earlier CutAfter that is still to happen.
func (p *Proxy) CutAfter(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutting, p.remaining = true, bytes
}

// Stall stops forwarding in both directions until Resume. Connections stay open, can be made, and lose nothing.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = true
}

// Blackhole makes the connections dead without a word: they stay open, and what is sent on them, either way, is lost.
// So it is when a machine loses its power, or a firewall forgets. It is the same with those that are made until Resume.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vanishing = true
	for l := range p.links {
		l.dead = true
	}
	p.changed.Broadcast()
}

// Resume ends Stall and Blackhole. Stalled connections go on; those that a Blackhole took stay dead, and new ones work.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled, p.vanishing = false, false
	p.changed.Broadcast()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	_ = p.listener.Close()
	p.cutLocked()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) cutLocked() {
	for l := range p.links {
		l.resetLocked()
	}
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.running.Go(func() { p.serve(conn.(*net.TCPConn)) })
		}
	}
}

// serve owns a client's connection.
func (p *Proxy) serve(client *net.TCPConn) {
	l := &link{proxy: p, client: client}
	rejecting, ok := p.add(l)
	defer p.remove(l)
	switch {
	case !ok:
	case rejecting:
		p.reject(l)
	default:
		l.forward()
	}
}

// add tells whether the link is to be served at all, and whether by a rejection.
func (p *Proxy) add(l *link) (rejecting, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[l] = struct{}{}
	l.dead = p.vanishing
	return len(p.rejections) > 0, !p.closed
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.resetLocked()
	delete(p.links, l)
}

// admit waits while the proxy stalls. It returns how many of n bytes to send on. last: then comes the cut.
func (p *Proxy) admit(l *link, n int, toClient bool) (allowed int, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !l.dead && !l.closed {
		p.changed.Wait()
	}
	switch {
	case l.dead || l.closed:
		return 0, false
	case !p.cutting || !toClient:
		return n, false
	case int64(n) < p.remaining:
		p.remaining -= int64(n)
		return n, false
	default:
		p.cutting = false
		return int(p.remaining), true
	}
}
