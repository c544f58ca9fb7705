package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"
)

// certificates are the bridge's own one and the authorities of its clients', as they are on disk.
type certificates struct {
	certFile, keyFile, clientCAs string
	current                      atomic.Pointer[tls.Config]
}

// load reads the files. On an error what was read before stays in force.
func (c *certificates) load() error {
	certificate, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert-file: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if c.clientCAs != "" {
		if config.ClientCAs, err = readAuthorities(c.clientCAs); err != nil {
			return fmt.Errorf("--tls-client-ca-file: %w", err)
		}
		// Not every client needs one: neither the vendor, nor a principal with a token.
		config.ClientAuth = tls.VerifyClientCertIfGiven
		// A ticket would carry a client past a change of its authorities.
		config.SessionTicketsDisabled = true
	}
	c.current.Store(config)
	return nil
}

func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("holds no PEM certificate")
	}
	return pool, nil
}

// config is that of a listener: each connection gets what was loaded last.
func (c *certificates) config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			config := c.current.Load().Clone()
			config.NextProtos = protocols
			return config, nil
		},
	}
}

// grpcCredentials are those of the gRPC listener.
type grpcCredentials struct {
	credentials.TransportCredentials

	handshakes *handshakes
}

// ServerHandshake implements credentials.TransportCredentials.
func (c grpcCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := c.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		c.handshakes.note("grpc", conn.RemoteAddr().String(), err.Error())
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (c grpcCredentials) Clone() credentials.TransportCredentials { return c }

// handshakes counts and logs the TLS handshakes that failed.
type handshakes struct {
	logger *slog.Logger
	lines  *rate.Limiter // of the log: they are a stranger's to cause
	failed *prometheus.CounterVec
}

func newHandshakes(logger *slog.Logger, metrics prometheus.Registerer) *handshakes {
	h := &handshakes{logger: logger, lines: rate.NewLimiter(10, 200)}
	h.failed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "deskbridge_tls_handshakes_failed_total",
		Help: "TLS handshakes that failed: no TLS, an old version, a certificate that is not accepted.",
	}, []string{"listener"})
	metrics.MustRegister(h.failed)
	for _, listener := range []string{"http", "grpc"} {
		h.failed.WithLabelValues(listener) // 0 until there is one
	}
	return h
}

// note counts and logs one. The error is of the TLS library, and holds nothing secret.
func (h *handshakes) note(listener, remote, reason string) {
	h.failed.WithLabelValues(listener).Inc()
	if h.lines.Allow() {
		h.logger.Warn("TLS handshake failed", "listener", listener, "remote", remote, "reason", reason)
	}
}

// Write takes what net/http has to say: failed handshakes, faults of the bridge, and troubles of single connections
// that concern nobody else. Of a panic it logs the place: its value may be what somebody wrote.
func (h *handshakes) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	rest, isHandshake := strings.CutPrefix(text, "http: TLS handshake error from ")
	switch {
	case isHandshake:
		remote, reason, _ := strings.Cut(rest, ": ")
		h.note("http", remote, reason)
	case strings.Contains(text, "panic serving "):
		_, stack, _ := strings.Cut(text, "\ngoroutine ")
		h.logger.Error("the handler of a request has panicked", "stack", "goroutine "+stack)
	case strings.HasPrefix(text, "http: Accept error: "):
		h.logger.Error("connections can't be accepted", "error", text)
	default:
		h.logger.Debug("net/http", "message", text)
	}
	return len(line), nil
}
