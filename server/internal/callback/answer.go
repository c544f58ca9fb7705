package callback

import deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"

// statusInternal is the HTTP status of an answer whose code says nothing.
const statusInternal = 500

// Refusal is the error of a callback that is answered with FAIL. It carries the whole answer; nothing else about the
// cause reaches the vendor.
type Refusal struct {
	Code deskbridgev1.CallbackErrorCode
	// Cause is for the log; it may be nil. It holds no message text.
	Cause error
}

// Refuse returns a Refusal.
func Refuse(code deskbridgev1.CallbackErrorCode, cause error) *Refusal {
	return &Refusal{Code: code, Cause: cause}
}

func (r *Refusal) Error() string {
	if r.Cause == nil {
		return r.info()
	}
	return r.info() + ": " + r.Cause.Error()
}

func (r *Refusal) Unwrap() error { return r.Cause }

// HTTPStatus is the status of the answer: the code's first three digits.
func (r *Refusal) HTTPStatus() int {
	if r.Code == deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_UNSPECIFIED {
		return statusInternal
	}
	return int(r.Code) / 100
}

// Answer is the refusal in the vendor's form.
func (r *Refusal) Answer() *deskbridgev1.NotifySessionEventResponse {
	return &deskbridgev1.NotifySessionEventResponse{
		ActionStatus: "FAIL",
		ErrorInfo:    r.info(),
		ErrorCode:    int32(r.Code),
	}
}

// OK is the answer to a callback that is kept.
func OK() *deskbridgev1.NotifySessionEventResponse {
	return &deskbridgev1.NotifySessionEventResponse{ActionStatus: "OK"}
}

// info is ErrorInfo, the one table of texts. docs/operations.md lists the same codes.
func (r *Refusal) info() string {
	switch r.Code {
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_COMMAND_NEEDS_ANSWER:
		return "this CallbackCommand needs an answer that is not available here"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_NOT_JSON:
		return "the body is not a JSON object"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_INCOMPLETE:
		return "the body ended early"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_SIGNATURE_MISSING:
		return "Sign or RequestTime is missing"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_SIGNATURE_INVALID:
		return "Sign is wrong"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_SIGNATURE_STALE:
		return "RequestTime is too far from now"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_APP_FOREIGN:
		return "SdkAppid is not accepted here"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_NOT_FOUND:
		return "no such path"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_METHOD_NOT_ALLOWED:
		return "the method is not POST"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_TIMEOUT:
		return "the body did not arrive in time"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_BODY_TOO_LARGE:
		return "the body is too large"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_ENCODING_UNSUPPORTED:
		return "a compressed body is not accepted"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_OVERLOADED:
		return "too many callbacks at once"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_JOURNAL_UNAVAILABLE:
		return "the callback could not be stored in time"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_JOURNAL_FULL:
		return "there is no room to keep the callback"
	case deskbridgev1.CallbackErrorCode_CALLBACK_ERROR_CODE_DRAINING:
		return "the bridge is shutting down"
	default:
		return "internal error"
	}
}
