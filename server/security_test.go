package server_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/deskbridge/deskbridge/server"
)

func TestBeyondLoopbackAsksForSecurity(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*server.Config)
		want   string // in the error; none where there is none
	}{
		"loopback":            {func(*server.Config) {}, ""},
		"gRPC, nothing":       {func(c *server.Config) { c.GRPCAddr = ":9090" }, "--grpc-addr :9090 is not on loopback and there is no --tls-cert-file"},
		"gRPC, TLS only":      {func(c *server.Config) { c.GRPCAddr, c.TLSCert, c.TLSKey = ":9090", "c", "k" }, "no --access-file"},
		"gRPC, access only":   {func(c *server.Config) { c.GRPCAddr, c.Access = "192.0.2.1:9090", "a" }, "no --tls-cert-file"},
		"gRPC, both":          {func(c *server.Config) { c.GRPCAddr, c.TLSCert, c.TLSKey, c.Access = ":9090", "c", "k", "a" }, ""},
		"gRPC, insecure":      {func(c *server.Config) { c.GRPCAddr, c.Insecure = ":9090", true }, ""},
		"HTTP, TLS only":      {func(c *server.Config) { c.HTTPAddr, c.TLSCert, c.TLSKey = "[::]:8080", "c", "k" }, "no --access-file"},
		"certificate, no key": {func(c *server.Config) { c.TLSCert = "c" }, "need each other"},
		"clients, no TLS":     {func(c *server.Config) { c.ClientCAs, c.Access = "c", "a" }, "--tls-client-ca-file needs"},
		"NATS":                {func(c *server.Config) { c.NATSURL = "nats://127.0.0.1:1, nats://192.0.2.1:4222" }, "--nats-url is not on loopback"},
		"NATS, no scheme":     {func(c *server.Config) { c.NATSURL = "nats-0.nats:4222" }, "--nats-url is not on loopback"},
		"NATS on loopback":    {func(c *server.Config) { c.NATSURL = "nats://127.0.0.1:1,localhost:4222,nats://[::1]" }, ""},
		"NATS, TLS":           {func(c *server.Config) { c.NATSURL = "tls://192.0.2.1:4222,192.0.2.2" }, ""},
		"NATS, authorities":   {func(c *server.Config) { c.NATSURL, c.NATSCA = "nats://192.0.2.1:4222", "ca" }, ""},
		"NATS, insecure":      {func(c *server.Config) { c.NATSURL, c.Insecure = "nats://192.0.2.1:4222", true }, ""},
		"clients, no file":    {func(c *server.Config) { c.ClientCAs, c.TLSCert, c.TLSKey = "c", "c", "k" }, "--tls-client-ca-file needs"},
	} {
		config := signedConfig(t)
		tt.change(&config)
		err := config.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestErrorsHideTheNATSPassword: an URL may hold one.
func TestErrorsHideTheNATSPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"nats://user:PASSWORD@192.0.2.1", "user:PASSWORD@192.0.2.1:4222", "nats://PASSWORD@:x"} {
		config := testConfig(t)
		config.NATSURL = url
		_, err := server.New(t.Context(), config, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "PASSWORD") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestUselessFilesAreRefusedAtStart(t *testing.T) {
	t.Parallel()
	s := startSecured(t, principals()) // for its files
	for name, tt := range map[string]struct {
		change func(*server.Config)
		want   string
	}{
		"no access file":    {func(c *server.Config) { c.Access = "/no/such/file" }, "--access-file"},
		"broken one":        {func(c *server.Config) { c.Access = c.TLSCert }, "--access-file"},
		"key of another":    {func(c *server.Config) { c.TLSKey = c.ClientCAs }, "--tls-cert-file"},
		"no authority file": {func(c *server.Config) { c.ClientCAs = c.Access }, "--tls-client-ca-file"},
	} {
		config := s.config
		config.DataDir = t.TempDir()
		tt.change(&config)
		_, err := server.New(t.Context(), config, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	t.Parallel()
	config := testConfig(t)
	config.MaxConns, config.MetricsAddr = 2, "127.0.0.1:0"
	b := startBridge(t, config)
	open := func() net.Conn {
		conn, err := (&net.Dialer{Timeout: testDeadline}).DialContext(t.Context(), "tcp", b.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(testDeadline))
		return conn
	}
	// A connection is in when it is answered.
	answered := func(conn net.Conn) error {
		if _, err := io.WriteString(conn, "GET /v1/journal HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		_, err := conn.Read(make([]byte, 1))
		return err
	}
	first, second := open(), open()
	if err := errors.Join(answered(first), answered(second)); err != nil {
		t.Fatal(err)
	}
	if err := answered(open()); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a third connection: %v", err)
	}
	_ = first.Close()
	for deadline := time.Now().Add(testDeadline); answered(open()) != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection that was closed still counts")
		}
	}
}
