package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	gatewayv1 "github.com/deskbridge/deskbridge/gen/gateway/deskbridge/v1"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/callback"
)

// edge admits callbacks: every check that needs no look into the body, the cheap ones first, and then the body itself
// under its bounds. Behind it nothing needs to distrust the sender.
type edge struct {
	config  Config
	next    http.Handler  // the generated handler, speaking the vendor's form
	slots   chan struct{} // one for each callback under way
	metrics metrics
}

func newEdge(config Config) (*edge, error) {
	slots := make(chan struct{}, config.MaxCallbacks)
	e := &edge{config: config, slots: slots, metrics: newMetrics(config.Metrics, slots)}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, vendorMarshaler{}),
		runtime.WithErrorHandler(func(
			ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error,
		) {
			e.refuse(ctx, w, err)
		}),
	)
	e.next = mux
	return e, gatewayv1.RegisterCallbackServiceHandlerServer(context.Background(), mux, config.Callbacks)
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	defer func() { e.metrics.seconds.Observe(time.Since(started).Seconds()) }()
	ctx := r.Context()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	default:
		leaveBody(w, r)
		e.refuse(ctx, w, callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_OVERLOADED, nil))
		return
	}
	query := callback.ParseQuery(r.URL.RawQuery)
	if isURLCheck(r, query) {
		writeAnswer(w, http.StatusOK, callback.OK())
		return
	}
	if err := e.admit(r, query); err != nil {
		leaveBody(w, r)
		e.refuse(ctx, w, err)
		return
	}
	body, err := e.readBody(w, r)
	if err != nil {
		e.refuse(ctx, w, err)
		return
	}
	e.next.ServeHTTP(w, bare(r, query, body))
}

// bare is what the generated handler needs of a request. Of headers and addresses it would make metadata, which nobody
// reads, or a deadline, or another method.
func bare(r *http.Request, query callback.Query, body []byte) *http.Request {
	ctx := callback.WithOrigin(r.Context(), callback.Origin{
		Query:       r.URL.RawQuery,
		ContentType: strings.Join(r.Header["Content-Type"], ", "),
		UserAgent:   strings.Join(r.Header["User-Agent"], ", "),
	})
	r = r.WithContext(ctx)
	r.Header, r.Host, r.RemoteAddr = http.Header{}, "", ""
	// With both forms set, nothing parses the query again or takes the body for one.
	r.Form, r.PostForm = queryForm(query), url.Values{}
	r.Body = &bodyInMemory{bytes: body}
	return r
}

// notFound answers a misspelt callback URL in the form that the vendor understands.
func (e *edge) notFound(w http.ResponseWriter, r *http.Request) {
	e.refuse(r.Context(), w, callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_NOT_FOUND, nil))
}

// refuse answers with FAIL. An error that is no Refusal is ours, and its text stays here.
func (e *edge) refuse(ctx context.Context, w http.ResponseWriter, err error) {
	var refusal *callback.Refusal
	if !errors.As(err, &refusal) {
		refusal = callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_INTERNAL, err)
	}
	e.metrics.refused.WithLabelValues(refusal.Code.String()).Inc()
	status := refusal.HTTPStatus()
	level := slog.LevelDebug // of what any sender can provoke, there is a count
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	e.config.Logger.Log(ctx, level, "callback refused", "code", int(refusal.Code), "cause", err)
	writeAnswer(w, status, refusal.Answer())
}

// isURLCheck tells the request with which the vendor's console tries a URL before it takes it. What that sends is not
// documented, and an answer other than 200 would have the URL refused: a POST that says nothing gets OK from whoever.
func isURLCheck(r *http.Request, query callback.Query) bool {
	return r.Method == http.MethodPost && r.ContentLength == 0 && query.Command+query.RequestID == ""
}

// admit checks what the request's head says.
func (e *edge) admit(r *http.Request, query callback.Query) error {
	if r.Method != http.MethodPost {
		return callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_METHOD_NOT_ALLOWED, nil)
	}
	if err := e.config.Authenticator.Verify(query, time.Now()); err != nil {
		return callback.Refuse(codeOfAuth(err), err)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_ENCODING_UNSUPPORTED, nil)
	}
	if r.ContentLength > e.config.MaxBodyBytes {
		return callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_TOO_LARGE, nil)
	}
	return nil
}

func codeOfAuth(err error) deskbridgev1.CallbackErrorCode {
	switch {
	case errors.Is(err, callback.ErrSignatureMissing):
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_SIGNATURE_MISSING
	case errors.Is(err, callback.ErrSignatureInvalid):
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_SIGNATURE_INVALID
	case errors.Is(err, callback.ErrSignatureStale):
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_SIGNATURE_STALE
	case errors.Is(err, callback.ErrAppForeign):
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_APP_FOREIGN
	default:
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_INTERNAL
	}
}

// readBody reads the whole body within its bounds of size and time. The server has no timeout of its own for reading:
// that would cut the event streams on the same listener.
func (e *edge) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	controller := http.NewResponseController(w)
	if err := controller.SetReadDeadline(time.Now().Add(e.config.BodyTimeout)); err != nil {
		return nil, err
	}
	body, err := readAll(http.MaxBytesReader(w, r.Body, e.config.MaxBodyBytes), r.ContentLength)
	if err != nil {
		return nil, callback.Refuse(codeOfRead(err), err)
	}
	e.metrics.bytes.Add(float64(len(body)))
	return body, controller.SetReadDeadline(time.Time{})
}

func readAll(r io.Reader, size int64) ([]byte, error) {
	if size <= 0 {
		return io.ReadAll(r)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return body, err
}

func codeOfRead(err error) deskbridgev1.CallbackErrorCode {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_TOO_LARGE
	case errors.Is(err, os.ErrDeadlineExceeded):
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_TIMEOUT
	default:
		return deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_INCOMPLETE
	}
}

// bodyInMemory is a body that is in memory already.
type bodyInMemory struct {
	bytes []byte
	off   int
}

func (b *bodyInMemory) Read(p []byte) (int, error) {
	if b.off == len(b.bytes) {
		return 0, io.EOF
	}
	n := copy(p, b.bytes[b.off:])
	b.off += n
	return n, nil
}

func (b *bodyInMemory) Close() error { return nil }
