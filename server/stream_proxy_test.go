package server_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy is what lies between a reader and a bridge: it can cut connections, drop what they carry, and cut those that
// are quiet.
type proxy struct {
	listener net.Listener
	target   atomic.Pointer[string]
	idle     time.Duration // 0: quiet connections live on
	silent   atomic.Bool
	running  sync.WaitGroup
	cuts     atomic.Int64 // of connections that were quiet

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func startProxy(t *testing.T, target string, idle time.Duration) *proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, idle: idle, conns: map[net.Conn]struct{}{}}
	p.target.Store(&target)
	p.running.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) stop() {
	_ = p.listener.Close()
	p.cut()
	p.running.Wait()
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.DialTimeout("tcp", *p.target.Load(), testDeadline)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.join(near, far)
	}
}

func (p *proxy) join(near, far net.Conn) {
	closeBoth := sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, near)
		delete(p.conns, far)
		_, _ = near.Close(), far.Close()
	})
	quiet := time.AfterFunc(time.Hour, func() { p.cuts.Add(1); closeBoth() })
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		p.running.Go(func() {
			defer quiet.Stop()
			_, _ = io.Copy(proxyWriter{p, pair[1], quiet}, pair[0])
			if !p.silent.Load() { // then the end of a connection does not come through either
				closeBoth()
			}
		})
	}
}

type proxyWriter struct {
	*proxy
	net.Conn
	quiet *time.Timer
}

func (w proxyWriter) Write(data []byte) (int, error) {
	if w.silent.Load() {
		return len(data), nil
	}
	if w.idle > 0 {
		w.quiet.Reset(w.idle)
	}
	return w.Conn.Write(data)
}
