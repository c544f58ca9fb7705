package access

import (
	"fmt"
	"strings"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// need is what a method asks of its caller.
type need int

const (
	// needAdmin: an administrator. This is what every method needs that is not named below.
	needAdmin need = iota
	// needNothing: not even to know who calls.
	needNothing
	// needPrincipal: to know who calls.
	needPrincipal
	// needReads: the right to read events.
	needReads
)

func needOf(method string) need {
	switch {
	case method == deskbridgev1.SessionEventService_Subscribe_FullMethodName,
		method == deskbridgev1.SessionEventService_ListSessionEvents_FullMethodName:
		return needReads
	case method == deskbridgev1.SessionEventService_GetJournalInfo_FullMethodName,
		strings.HasPrefix(method, "/grpc.reflection."):
		return needPrincipal
	case strings.HasPrefix(method, "/grpc.health.v1.Health/"):
		return needNothing
	default:
		return needAdmin
	}
}

// kind is how long a call lasts, and what it is counted with.
type kind int

const (
	// call is answered.
	call kind = iota
	// eventStream lasts. It is what the bridge is for.
	eventStream
	// sideStream lasts as well, for as long as its client likes.
	sideStream

	kinds
)

func kindOf(method string) kind {
	switch {
	case method == deskbridgev1.SessionEventService_Subscribe_FullMethodName:
		return eventStream
	case method == healthv1.Health_Watch_FullMethodName, strings.HasPrefix(method, "/grpc.reflection."):
		return sideStream
	default:
		return call
	}
}

// fulfils says whether a principal has what a method needs.
func (p *Principal) fulfils(n need) error {
	switch {
	case n == needAdmin && !p.Admin:
		return fmt.Errorf("%w: this method is for administrators", ErrDenied)
	case n == needReads && !p.Reads:
		return fmt.Errorf("%w: this principal may read no events", ErrDenied)
	}
	return nil
}
