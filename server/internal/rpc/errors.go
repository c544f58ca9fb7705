package rpc

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/fields"
	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// callError is an error with its place in the contract: everything a caller may know about it.
type callError struct {
	detail  *deskbridgev1.ErrorDetail
	message string
}

func newError(reason deskbridgev1.ErrorReason, format string, args ...any) *callError {
	return &callError{detail: &deskbridgev1.ErrorDetail{Reason: reason}, message: fmt.Sprintf(format, args...)}
}

// invalid says that a request field has a value it must not have.
func invalid(field, format string, args ...any) *callError {
	e := newError(deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID, field+": "+format, args...)
	e.detail.Field = field
	return e
}

// refuseField says that a request field has a value it must not have, or that the caller may not ask for.
func refuseField(reason deskbridgev1.ErrorReason, field, text string, denied bool) *callError {
	if denied {
		reason = deskbridgev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED
	}
	e := newError(reason, "%s: %s", field, text)
	e.detail.Field = field
	return e
}

// cursorError adds where the journal begins and ends, so that the caller can choose a new start.
func cursorError(reason deskbridgev1.ErrorReason, bounds journal.Bounds, format string, args ...any) *callError {
	e := newError(reason, format, args...)
	e.detail.EarliestCursor = earliestCursor(bounds).String()
	e.detail.LatestCursor = latestCursor(bounds).String()
	return e
}

func (e *callError) withResume(cursor journal.Cursor) *callError {
	e.detail.ResumeCursor = cursor.String()
	return e
}

func (e *callError) Error() string { return e.message }

// GRPCStatus makes grpc-go send the code and the detail.
func (e *callError) GRPCStatus() *status.Status {
	s := status.New(codeOf(e.detail.GetReason()), e.message)
	if withDetail, err := s.WithDetails(e.detail); err == nil {
		return withDetail
	}
	return s
}

// codeOf groups reasons into status codes, as the comments of ErrorReason promise.
func codeOf(reason deskbridgev1.ErrorReason) codes.Code {
	switch reason {
	case deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID,
		deskbridgev1.ErrorReason_ERROR_REASON_FILTER_INVALID,
		deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED:
		return codes.InvalidArgument
	case deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED,
		deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_IN_FUTURE:
		return codes.OutOfRange
	case deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_FOREIGN_EPOCH:
		return codes.FailedPrecondition
	case deskbridgev1.ErrorReason_ERROR_REASON_NOT_SERVED:
		return codes.Unimplemented
	case deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER:
		return codes.Aborted
	case deskbridgev1.ErrorReason_ERROR_REASON_DRAINING,
		deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE:
		return codes.Unavailable
	case deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_DAMAGED:
		return codes.DataLoss
	case deskbridgev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED:
		return codes.Unauthenticated
	case deskbridgev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED:
		return codes.PermissionDenied
	case deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED:
		return codes.ResourceExhausted
	case deskbridgev1.ErrorReason_ERROR_REASON_NOT_FOUND:
		return codes.NotFound
	default:
		return codes.Internal
	}
}

// classify turns an error of the packages below into a callError. Their texts don't reach the caller: they name files
// and subjects. The end of the call's context keeps its own code; a journal that took too long is unavailable, although
// there is a context's end in its error as well.
func classify(err error) error {
	var known *callError
	var badFilter *filter.Error
	var badMask *fields.Error
	var damage *journal.DamageError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &badFilter):
		return refuseField(deskbridgev1.ErrorReason_ERROR_REASON_FILTER_INVALID,
			badFilter.Field, badFilter.Reason, badFilter.Denied)
	case errors.As(err, &badMask):
		return refuseField(deskbridgev1.ErrorReason_ERROR_REASON_REQUEST_INVALID,
			badMask.Field, badMask.Reason, badMask.Denied)
	case errors.Is(err, access.ErrUnauthenticated):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, "%v", err)
	case errors.Is(err, access.ErrDenied):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, "%v", err)
	case errors.Is(err, access.ErrLimit), errors.Is(err, fanout.ErrFull):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED, "%v", err)
	case errors.Is(err, access.ErrChanged):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_DRAINING, "%v: reconnect", err)
	case errors.Is(err, fanout.ErrStopped), errors.Is(err, access.ErrClosed):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_DRAINING, "the bridge is shutting down")
	case errors.Is(err, journal.ErrCursorMalformed):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_MALFORMED, "%v", err)
	case errors.Is(err, journal.ErrNotFound):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_NOT_FOUND, "no such entry")
	case errors.As(err, &damage):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_DAMAGED,
			"the journal is damaged: positions %d to %d can't be read", damage.First, damage.Last)
	case errors.Is(err, journal.ErrDamaged):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_DAMAGED, "the journal is damaged")
	case errors.Is(err, journal.ErrFull):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED, "the journal is full")
	case errors.Is(err, journal.ErrUnavailable), errors.Is(err, journal.ErrClosed):
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_UNAVAILABLE, "the journal is unavailable")
	case errors.Is(err, context.Canceled):
		return status.FromContextError(context.Canceled).Err()
	case errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(context.DeadlineExceeded).Err()
	default:
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_INTERNAL, "internal error")
	}
}
