package server

import (
	"bytes"
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// exhausted is a listener that fails once for lack of descriptors.
type exhausted struct {
	net.Listener

	failed bool
}

func (l *exhausted) Accept() (net.Conn, error) {
	if !l.failed {
		l.failed = true
		return nil, syscall.EMFILE
	}
	return l.Listener.Accept()
}

// TestFaultsOfHTTPAreErrors: net/http lets the process live on, so that nothing but the log tells of them. What a request
// holds stays out of it.
func TestFaultsOfHTTPAreErrors(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&text, nil))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:  http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { panic(r.URL.Path) }),
		ErrorLog: log.New(newHandshakes(logger, prometheus.NewRegistry()), "", 0),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(&exhausted{Listener: listener}) }()
	target := "http://" + listener.Addr().String() + "/secret"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
		t.Error("a handler that panics has answered")
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	for _, want := range []string{
		`level=ERROR msg="connections can't be accepted" error="http: Accept error: too many open files`,
		`level=ERROR msg="the handler of a request has panicked" stack="goroutine `,
		"TestFaultsOfHTTPAreErrors",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log has no %q: %s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "secret") {
		t.Errorf("the log tells what was asked for: %s", text.String())
	}
}
