package gateway

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// serverSentEvents is the format of a browser's EventSource: a message for each session event, without a name so that
// onmessage gets it, and one with a name for everything else.
//
// The last id that a reader has seen comes back in the header Last-Event-ID when it reconnects, which EventSource does
// by itself whenever a stream ends. So an id is always a cursor to resume from, but for endOfStream.
type serverSentEvents struct{}

const (
	lastEventID = "Last-Event-ID"
	// endOfStream is the id after which there is nothing to resume: the bridge then answers 204, and the standard tells
	// EventSource to stop.
	endOfStream = "end"
)

// EventSource waits this long before it reconnects, unless draining says otherwise. It differs between streams, so that
// not all readers come back at once.
const (
	minRetry    = time.Second
	retrySpread = 2 * time.Second
)

func (serverSentEvents) contentType() string { return "text/event-stream" }

func (serverSentEvents) appendResponse(out []byte, r *deskbridgev1.SubscribeResponse) ([]byte, error) {
	switch kind := r.GetKind().(type) {
	case *deskbridgev1.SubscribeResponse_Opened:
		return appendMessage(appendRetry(out, randomRetry()), r.GetCursor(), "opened", kind.Opened)
	case *deskbridgev1.SubscribeResponse_Events:
		return appendEvents(out, r.GetCursor(), kind.Events.GetEvents())
	case *deskbridgev1.SubscribeResponse_CaughtUp:
		return appendMessage(out, r.GetCursor(), "caught_up", kind.CaughtUp)
	case *deskbridgev1.SubscribeResponse_FellBehind:
		return appendMessage(out, r.GetCursor(), "fell_behind", kind.FellBehind)
	case *deskbridgev1.SubscribeResponse_Draining:
		// Never less than minRetry: the bridge is going away, and EventSource keeps trying at this pace.
		retry := max(kind.Draining.GetReconnectDelay().AsDuration(), minRetry)
		return appendMessage(appendRetry(out, retry), r.GetCursor(), "draining", kind.Draining)
	default:
		// A comment for the proxies between, and an id without data: it is remembered, but no message comes of it.
		return append(appendID(append(out, ": heartbeat\n"...), r.GetCursor()), '\n'), nil
	}
}

// appendEvents appends a message for each event. Its cursor lies behind it; that of the last may be further on.
func appendEvents(out []byte, cursor string, events []*deskbridgev1.SessionEvent) ([]byte, error) {
	epoch, _, _ := strings.Cut(cursor, ":")
	for i, event := range events {
		id := cursor
		if i < len(events)-1 {
			id = epoch + ":" + strconv.FormatUint(event.GetPosition(), 10)
		}
		var err error
		if out, err = appendMessage(out, id, "", event); err != nil {
			return out, err
		}
	}
	return out, nil
}

func appendMessage(out []byte, id, name string, data proto.Message) ([]byte, error) {
	out, err := appendJSON(append(appendName(appendID(out, id), name), "data: "...), data)
	return append(out, '\n', '\n'), err
}

func appendID(out []byte, id string) []byte {
	return append(append(append(out, "id: "...), id...), '\n')
}

func appendName(out []byte, name string) []byte {
	if name == "" {
		return out
	}
	return append(append(append(out, "event: "...), name...), '\n')
}

func appendRetry(out []byte, delay time.Duration) []byte {
	return append(strconv.AppendInt(append(out, "retry: "...), delay.Milliseconds(), 10), '\n')
}

func randomRetry() time.Duration {
	return minRetry + rand.N(retrySpread) //nolint:gosec // spreads load; nothing to guess
}

// appendError sends a message named "error": EventSource gives it to the listeners that it tells of cut connections,
// too. After an error that a new try can't mend there is nothing to resume.
func (serverSentEvents) appendError(out []byte, s *status.Status) []byte {
	if isFinal(s.Code()) {
		out = appendID(out, endOfStream)
	}
	return append(appendStatus(append(appendName(out, "error"), "data: "...), s), '\n', '\n')
}

func (serverSentEvents) appendEnd(out []byte) []byte {
	return append(appendID(out, endOfStream), '\n')
}

// appendRefusal answers what a new try may mend with a stream that ends at once: EventSource reconnects after that, but
// gives up for ever after any status other than 200, a 503 included. Other errors are to have that effect.
func (f serverSentEvents) appendRefusal(out []byte, s *status.Status) []byte {
	if isFinal(s.Code()) {
		return nil
	}
	return f.appendError(appendRetry(out, randomRetry()), s)
}

// isFinal says whether an error will come again. Proxies and gRPC itself report their troubles with all other codes.
func isFinal(code codes.Code) bool {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.FailedPrecondition,
		codes.OutOfRange, codes.Unimplemented, codes.DataLoss, codes.Unauthenticated:
		return true
	default:
		return false
	}
}
