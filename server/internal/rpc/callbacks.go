package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/callback"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// CallbacksConfig is what a Callbacks needs. All fields are required.
type CallbacksConfig struct {
	Journal *journal.Journal
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// Signed: what arrives proved that it knows a token.
	Signed bool
	// Decode is callback.Decode.
	Decode func(body []byte) (*deskbridgev1.SessionEvent, error)
}

// Callbacks takes callbacks: it serves CallbackService, and QuarantineService for those that can't become events. What
// reaches CallbackService is authentic: the HTTP edge in front of it has checked the signature and the app.
type Callbacks struct {
	deskbridgev1.UnimplementedCallbackServiceServer
	deskbridgev1.UnimplementedQuarantineServiceServer
	config   CallbacksConfig
	kept     *prometheus.CounterVec
	appended prometheus.Histogram
}

// NewCallbacks returns the services.
func NewCallbacks(config CallbacksConfig) *Callbacks {
	c := &Callbacks{
		config: config,
		kept: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_callbacks_kept_total",
			Help: "Callbacks that are kept, by what became of them (stored, duplicate, quarantined) and event type " +
				"(the reason, for quarantined ones).",
		}, []string{"outcome", "type"}),
		appended: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deskbridge_journal_append_seconds",
			Help: "Time until the journal has an event on disk, or fails to: the wait for its group, and the sync.",
			// Around the time of a sync to disk, and up to the vendor's patience.
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2},
		}),
	}
	config.Metrics.MustRegister(c.kept, c.appended)
	// A series that begins with its first callback has no increase that an alert could see.
	for reason, name := range deskbridgev1.QuarantineReason_name {
		if deskbridgev1.QuarantineReason(reason) != deskbridgev1.QuarantineReason_QUARANTINE_REASON_UNSPECIFIED {
			c.kept.WithLabelValues("quarantined", name)
		}
	}
	return c
}

// NotifySessionEvent implements CallbackServiceServer. Its errors are *callback.Refusal.
func (c *Callbacks) NotifySessionEvent(
	ctx context.Context, req *deskbridgev1.NotifySessionEventRequest,
) (*deskbridgev1.NotifySessionEventResponse, error) {
	received := time.Now()
	_, err := c.ingest(ctx, req, received)
	var unfit *unfitError
	switch {
	case err == nil:
		return callback.OK(), nil
	case !errors.As(err, &unfit):
		return nil, refusal(err)
	case unfit.reason == deskbridgev1.QuarantineReason_QUARANTINE_REASON_UNDECODABLE && c.isNoise(req.GetBody()):
		return nil, callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_NOT_JSON, err)
	}
	if err := c.quarantine(ctx, req, received, unfit); err != nil {
		return nil, refusal(err)
	}
	if unfit.reason == deskbridgev1.QuarantineReason_QUARANTINE_REASON_COMMAND_NEEDS_ANSWER {
		return nil, callback.Refuse(deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_COMMAND_NEEDS_ANSWER, unfit)
	}
	return callback.OK(), nil
}

// isNoise: the body isn't JSON and nothing shows that the vendor sent it. Keeping such bodies would let anyone fill the
// quarantine.
func (c *Callbacks) isNoise(body []byte) bool {
	return !c.config.Signed && !json.Valid(bytes.TrimPrefix(body, []byte(callback.ByteOrderMark)))
}

// unfitError is the error of a callback that can't become an event: it belongs into quarantine.
type unfitError struct {
	reason      deskbridgev1.QuarantineReason
	command     string // what stands in the way, cut to maxCommand
	explanation string
}

func (e *unfitError) Error() string { return e.explanation }

func unfit(reason deskbridgev1.QuarantineReason, format string, args ...any) *unfitError {
	return &unfitError{reason: reason, explanation: fmt.Sprintf(format, args...)}
}

// ingest is the path of a callback from its body into the journal. Its error is an *unfitError or one of the journal.
func (c *Callbacks) ingest(
	ctx context.Context, req *deskbridgev1.NotifySessionEventRequest, received time.Time,
) (journal.Receipt, error) {
	if err := fitCommand(req.GetCallbackCommand()); err != nil {
		return journal.Receipt{}, err
	}
	event, err := c.config.Decode(req.GetBody())
	if err != nil {
		return journal.Receipt{}, unfit(deskbridgev1.QuarantineReason_QUARANTINE_REASON_UNDECODABLE, "%v", err)
	}
	if err := fitEvent(req, event); err != nil {
		return journal.Receipt{}, err
	}
	complete(event, req, received)
	event.Traceparent = traceparent(ctx)
	receipt, err := c.store(ctx, event)
	if err == nil {
		c.count(event, receipt)
	}
	return receipt, err
}

// fitEvent checks what the body says. Where neither it nor the URL names a command, it must look like a session event:
// other callbacks of the vendor's have no command at all.
func fitEvent(req *deskbridgev1.NotifySessionEventRequest, event *deskbridgev1.SessionEvent) error {
	named := req.GetCallbackCommand() + event.GetCallbackCommand()
	if named == "" && event.GetSessionId() == "" &&
		event.GetType() == deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_UNSPECIFIED {
		return unfit(deskbridgev1.QuarantineReason_QUARANTINE_REASON_OTHER_COMMAND,
			"there is no command, no session and no known type of event")
	}
	return fitCommand(event.GetCallbackCommand())
}

// fitCommand checks the command of the URL or of the body. Either may be missing, and one is enough to say that the
// callback is no session event.
func fitCommand(command string) error {
	kind := callback.KindOf(command)
	if command == "" || kind == callback.SessionEvent {
		return nil
	}
	command = cut(command, maxCommand)
	err := unfit(deskbridgev1.QuarantineReason_QUARANTINE_REASON_OTHER_COMMAND,
		"the command %q is not %s", command, callback.CommandSessionEvent)
	if kind == callback.NeedsAnswer {
		err = unfit(deskbridgev1.QuarantineReason_QUARANTINE_REASON_COMMAND_NEEDS_ANSWER,
			"the command %q needs an answer", command)
	}
	err.command = command
	return err
}

// maxCommand is more than any command of the vendor's has, in bytes. A body can claim to have one of a megabyte.
const maxCommand = 128

// cut returns what of a text fits into so many bytes, in whole characters.
func cut(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "")
}

// complete adds what the body doesn't say.
func complete(event *deskbridgev1.SessionEvent, req *deskbridgev1.NotifySessionEventRequest, received time.Time) {
	event.Id = callback.ID(callback.Query{SDKAppID: req.GetSdkAppId(), RequestID: req.GetRequestId()}, event)
	event.ReceiveTime = timestamppb.New(received)
	event.SdkAppId = req.GetSdkAppId()
	event.Callback = &deskbridgev1.CallbackMetadata{
		ClientIp: req.GetClientIp(), Platform: req.GetOptPlatform(), RequestId: req.GetRequestId(),
	}
}

func (c *Callbacks) store(ctx context.Context, event *deskbridgev1.SessionEvent) (journal.Receipt, error) {
	data, err := proto.Marshal(event)
	if err != nil {
		return journal.Receipt{}, err
	}
	started := time.Now()
	receipt, err := c.config.Journal.Append(ctx, journal.Entry{
		AppID:     event.GetSdkAppId(),
		SessionID: event.GetSessionId(),
		DedupeKey: event.GetId(),
		Data:      data,
	})
	c.appended.Observe(time.Since(started).Seconds())
	if errors.Is(err, journal.ErrTooLarge) {
		return receipt, unfit(deskbridgev1.QuarantineReason_QUARANTINE_REASON_TOO_LARGE, "%v", err)
	}
	return receipt, err
}

// count keeps the label bounded: a type name that the contract doesn't know could be anything.
func (c *Callbacks) count(event *deskbridgev1.SessionEvent, receipt journal.Receipt) {
	outcome := "stored"
	if receipt.Duplicate {
		outcome = "duplicate"
	}
	name := "other"
	if event.GetType() != deskbridgev1.SessionEventType_SESSION_EVENT_TYPE_UNSPECIFIED {
		name = event.GetTypeName()
	}
	c.kept.WithLabelValues(outcome, name).Inc()
}

// refusal turns an error of the journal into the answer that the vendor gets.
func refusal(err error) *callback.Refusal {
	code := deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_INTERNAL
	switch {
	case errors.Is(err, journal.ErrFull):
		code = deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_JOURNAL_FULL
	case errors.Is(err, journal.ErrUnavailable), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled):
		code = deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_JOURNAL_UNAVAILABLE
	case errors.Is(err, journal.ErrClosed):
		code = deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_DRAINING
	}
	return callback.Refuse(code, err)
}
