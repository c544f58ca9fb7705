package server

import (
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// connectionLimit bounds the connections of each listener.
type connectionLimit struct {
	connections int
	refused     *prometheus.CounterVec
}

func newConnectionLimit(connections int, metrics prometheus.Registerer) connectionLimit {
	l := connectionLimit{connections: connections, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "deskbridge_connections_refused_total",
		Help: "Connections that were closed at once, as --max-connections were open.",
	}, []string{"listener"})}
	metrics.MustRegister(l.refused)
	return l
}

func (l connectionLimit) listener(name string, inner net.Listener) net.Listener {
	return &limitedListener{
		Listener: inner, open: make(chan struct{}, l.connections), refused: l.refused.WithLabelValues(name),
	}
}

// limitedListener closes a connection above the limit at once: in the backlog its client would wait without a word.
type limitedListener struct {
	net.Listener

	open    chan struct{}
	refused prometheus.Counter
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.open <- struct{}{}:
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.open })}, nil
		default:
			l.refused.Inc()
			_ = conn.Close()
		}
	}
}

type limitedConn struct {
	net.Conn

	leave func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
