package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of the log engine's API, from the list in nats-server's errors.json.
const (
	codeInsufficientResources = 10023
	codeStoreFailed           = 10077
	codeNoSpace               = 10047 // storage resources exceeded
	codeAccountLimits         = 10002 // resource limits exceeded for account
	codeSequenceNotFound      = 10043
)

// engineError gives an error of the log engine the meaning it has for callers. What isn't known is passed on as it is.
func engineError(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnavailable):
		return err
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.As(err, &api):
		return apiError(api)
	case isTransient(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func apiError(api *jetstream.APIError) error {
	switch int(api.ErrorCode) {
	case codeInsufficientResources, codeNoSpace, codeAccountLimits:
		return fmt.Errorf("%w: %w", ErrFull, api)
	case codeStoreFailed:
		if strings.Contains(api.Description, "maximum bytes") || strings.Contains(api.Description, "no space") {
			return fmt.Errorf("%w: %w", ErrFull, api)
		}
	}
	if api.Code >= 500 {
		return fmt.Errorf("%w: %w", ErrUnavailable, api)
	}
	return api
}

func isTransient(err error) bool {
	for _, transient := range []error{
		nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrReconnectBufExceeded,
		nats.ErrConnectionReconnecting, jetstream.ErrNoStreamResponse, jetstream.ErrAsyncPublishTimeout,
		jetstream.ErrTooManyStalledMsgs, context.DeadlineExceeded,
	} {
		if errors.Is(err, transient) {
			return true
		}
	}
	return false
}
