package journaltest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

const dialTimeout = 5 * time.Second

// Proxy stands between a client and a server, and can be cut.
type Proxy struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu          sync.Mutex
	cut         bool
	connections map[net.Conn]bool
}

// StartProxy forwards to an address until the test ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, target: target, connections: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.Cut()
		p.running.Wait()
	})
	return p
}

// URL is the proxy's address for clients.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Cut ends every connection, and every new one at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for connection := range p.connections {
		connection.Close()
	}
	clear(p.connections)
}

// Heal lets new connections through.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.forward(client) })
	}
}

func (p *Proxy) forward(client net.Conn) {
	defer client.Close()
	upstream, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer upstream.Close()
	if !p.keep(client, upstream) {
		return
	}
	p.running.Go(func() { relay(client, upstream) })
	relay(upstream, client)
}

// relay closes both when either ends.
func relay(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	to.Close()
	from.Close()
}

func (p *Proxy) keep(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, connection := range connections {
		p.connections[connection] = true
	}
	return !p.cut
}
