package gateway

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/callback"
)

// BenchmarkCallback is what a callback costs between net/http and the service that stores it.
func BenchmarkCallback(b *testing.B) {
	authenticator, err := callback.NewAuthenticator(callback.AuthConfig{})
	if err != nil {
		b.Fatal(err)
	}
	g, err := New(Config{
		Callbacks: takeAll{}, Events: &grpc.ClientConn{}, Authenticator: authenticator, Logger: slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(), MaxBodyBytes: 1 << 20, BodyTimeout: time.Minute, MaxCallbacks: 100,
	})
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 500)
	target := CallbackPath + "?SdkAppid=1600012345&CallbackCommand=Desk.SessionEventNotify&contenttype=json" +
		"&ClientIP=127.0.0.1&OptPlatform=Web"
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, target, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.RemoteAddr = "192.0.2.1:1234"
		r.Header = http.Header{
			"Content-Type": {"application/json"}, "User-Agent": {"vendor"}, "Accept-Encoding": {"gzip"}, "Connection": {"keep-alive"},
		}
		w := answerWriter{header: http.Header{}}
		if g.ServeHTTP(&w, r); w.status != http.StatusOK && w.status != 0 {
			b.Fatal(w.status)
		}
	}
}

type takeAll struct {
	deskbridgev1.UnimplementedCallbackServiceServer
}

func (takeAll) NotifySessionEvent(
	context.Context, *deskbridgev1.NotifySessionEventRequest,
) (*deskbridgev1.NotifySessionEventResponse, error) {
	return callback.OK(), nil
}

// answerWriter is an http.ResponseWriter without a connection.
type answerWriter struct {
	header http.Header
	status int
}

func (w *answerWriter) Header() http.Header             { return w.header }
func (w *answerWriter) WriteHeader(status int)          { w.status = status }
func (w *answerWriter) Write(data []byte) (int, error)  { return len(data), nil }
func (w *answerWriter) SetReadDeadline(time.Time) error { return nil }
