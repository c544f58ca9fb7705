package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// SubscribePath is the event stream's path, as gateway.yaml has it.
const SubscribePath = "/v1/events:subscribe"

// eventStreams serves Subscribe. The generated handler would do for lines of JSON, but Server-Sent Events need more
// than another encoding: a header that says where to resume, identifiers without a message, several messages for a
// response, and answers to errors that browsers act on. It has no deadline for a write, either.
type eventStreams struct {
	client deskbridgev1.SessionEventServiceClient
	// mux has the form of errors, and of what goes on to the gRPC server.
	mux *runtime.ServeMux
	// sendTimeout bounds how long a write may wait for a reader that takes nothing.
	sendTimeout time.Duration
}

// format is how a stream is written. Each method appends what it encodes to out.
type format interface {
	contentType() string
	appendResponse(out []byte, response *deskbridgev1.SubscribeResponse) ([]byte, error)
	// appendError encodes the error that ended the stream.
	appendError(out []byte, s *status.Status) []byte
	// appendEnd encodes the end of a stream that is complete.
	appendEnd(out []byte) []byte
	// appendRefusal encodes an error in place of the stream. Without one, the answer is the error's HTTP status.
	appendRefusal(out []byte, s *status.Status) []byte
}

// ServeHTTP implements http.Handler.
func (s *eventStreams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would wait for a buffer to fill
	switch {
	case r.Header.Get(lastEventID) == endOfStream:
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method == http.MethodHead:
		w.Header().Set("Content-Type", formatOf(r).contentType())
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel() // frees the stream however this ends
	out := &streamWriter{ResponseController: http.NewResponseController(w), writer: w, timeout: s.sendTimeout}
	if err := s.stream(ctx, r, formatOf(r), out); err != nil {
		_, marshaler := runtime.MarshalerForRequest(s.mux, r)
		runtime.HTTPError(ctx, s.mux, marshaler, w, r, err)
	}
}

func formatOf(r *http.Request) format {
	if strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/event-stream") {
		return serverSentEvents{}
	}
	return jsonLines{}
}

// stream returns an error only when nothing has been written.
func (s *eventStreams) stream(ctx context.Context, r *http.Request, form format, out *streamWriter) error {
	stream, err := s.open(ctx, r)
	if err != nil {
		return err
	}
	response, err := stream.Recv()
	if err != nil {
		refusal := form.appendRefusal(nil, status.Convert(err))
		if refusal == nil {
			return err
		}
		out.begin(form)
		out.write(refusal)
		return nil
	}
	out.begin(form)
	var chunk []byte
	for err == nil {
		if chunk, err = form.appendResponse(chunk[:0], response); err != nil {
			break
		}
		if !out.write(chunk) {
			return nil
		}
		if cap(chunk) > keptChunk {
			chunk = nil
		}
		response, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		out.write(form.appendEnd(nil))
	} else {
		out.write(form.appendError(nil, status.Convert(err)))
	}
	return nil
}

// keptChunk is the largest buffer that an idle stream keeps.
const keptChunk = 4 << 10

func (s *eventStreams) open(
	ctx context.Context, r *http.Request,
) (deskbridgev1.SessionEventService_SubscribeClient, error) {
	request, err := subscribeRequest(r)
	if err != nil {
		return nil, refuseQuery(err)
	}
	ctx, err = runtime.AnnotateContext(ctx, s.mux, r, deskbridgev1.SessionEventService_Subscribe_FullMethodName)
	if err != nil {
		return nil, err
	}
	return s.client.Subscribe(ctx, request)
}

// subscribeRequest reads the query, and the header with which a browser resumes: it goes before the query's start,
// which the browser can't change.
func subscribeRequest(r *http.Request) (*deskbridgev1.SubscribeRequest, error) {
	if r.ContentLength != 0 { // over HTTP/2 there always is a Body
		return nil, errors.New("the request has a body")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	request := &deskbridgev1.SubscribeRequest{}
	if err := runtime.PopulateQueryParameters(request, query, utilities.NewDoubleArray(nil)); err != nil {
		return nil, err
	}
	for i, path := range request.GetReadMask().GetPaths() {
		request.ReadMask.Paths[i] = protoName(path)
	}
	if cursor := r.Header.Get(lastEventID); cursor != "" {
		request.Start = &deskbridgev1.SubscribeRequest_AfterCursor{AfterCursor: cursor}
	}
	return request, nil
}

// protoName turns a JSON name, which is what a reader of JSON sees, into the contract's. It leaves that as it is.
func protoName(path string) string {
	var name strings.Builder
	for _, r := range path {
		if unicode.IsUpper(r) {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}

func refuseQuery(err error) error {
	refused := status.New(codes.InvalidArgument, err.Error())
	detailed, detailErr := refused.WithDetails(&deskbridgev1.ErrorDetail{
		Reason: deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID,
	})
	if detailErr != nil {
		return refused.Err()
	}
	return detailed.Err()
}

// streamWriter writes chunks at once, each with a deadline of its own: a deadline for all would cut the stream.
type streamWriter struct {
	*http.ResponseController
	writer  http.ResponseWriter
	timeout time.Duration
}

func (w *streamWriter) begin(form format) {
	w.writer.Header().Set("Content-Type", form.contentType())
	w.writer.WriteHeader(http.StatusOK)
}

// write reports whether the reader may still be there. The deadline is lifted in between, as HTTP/2 ends a stream whose
// deadline passes while nothing is written.
func (w *streamWriter) write(chunk []byte) bool {
	err := w.SetWriteDeadline(time.Now().Add(w.timeout))
	if err == nil {
		_, err = w.writer.Write(chunk) //nolint:gosec // JSON, in an answer that is said to be no HTML
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = w.SetWriteDeadline(time.Time{})
	}
	return err == nil
}
