package client

import (
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Error is a failure that the bridge, or something between, has reported. Get at it with errors.As, and decide by
// Reason. It unwraps to the gRPC status: status.Code works on it.
type Error struct {
	// Reason is UNSPECIFIED where the failure is not from the bridge itself (a proxy, the network): see its status.
	Reason deskbridgev1.ErrorReason
	// Field is the request field at fault, such as "filter.type_names[2]"; empty when no single one is.
	Field string
	// EarliestCursor and LatestCursor are where a subscription could start instead. Set with the CURSOR reasons.
	EarliestCursor, LatestCursor string
	// ResumeCursor is where a cut stream can be resumed: see the contract. Subscribe does so by itself.
	ResumeCursor string

	err error
}

// Error returns the bridge's text, which is for people.
func (e *Error) Error() string { return "deskbridge: " + status.Convert(e.err).Message() }

// Unwrap returns the gRPC status as an error.
func (e *Error) Unwrap() error { return e.err }

// asError makes an Error of a gRPC status, and leaves nil and io.EOF as they are.
func asError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	e := &Error{err: err}
	for _, detail := range status.Convert(err).Details() {
		if d, ok := detail.(*deskbridgev1.ErrorDetail); ok {
			e.Reason, e.Field = d.GetReason(), d.GetField()
			e.EarliestCursor, e.LatestCursor = d.GetEarliestCursor(), d.GetLatestCursor()
			e.ResumeCursor = d.GetResumeCursor()
		}
	}
	return e
}

// isTemporary says whether the same subscription may succeed later without anybody's decision.
func isTemporary(err *Error) bool {
	switch err.Reason {
	case deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER,
		deskbridgev1.ErrorReason_ERROR_REASON_DRAINING,
		deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE,
		deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED,
		deskbridgev1.ErrorReason_ERROR_REASON_INTERNAL:
		return true
	default:
		// The other reasons of today are final by their codes as well; one newer than this client has only its code.
		return isTemporaryCode(status.Code(err))
	}
}

// isTemporaryCode lists what is final, because proxies and gRPC itself report their troubles with all the others: a
// stream reset by a peer as INTERNAL or CANCELLED, a proxy's timeout as DEADLINE_EXCEEDED, its 502 page as UNKNOWN.
func isTemporaryCode(code codes.Code) bool {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.FailedPrecondition,
		codes.OutOfRange, codes.Unimplemented, codes.DataLoss, codes.Unauthenticated:
		return false
	default:
		return true
	}
}
