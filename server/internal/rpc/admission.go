package rpc

import (
	"context"
	"sync"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
)

// admission lets streams in, up to a limit and until it is closed. Its methods may be called concurrently.
type admission struct {
	limit int
	// closing ends when the streams are to end.
	closing context.Context
	shut    context.CancelFunc

	mu    sync.Mutex
	open  int
	empty chan struct{} // closed when there will be no stream any more
}

func newAdmission(limit int) *admission {
	closing, shut := context.WithCancel(context.Background())
	return &admission{limit: limit, closing: closing, shut: shut, empty: make(chan struct{})}
}

// enter makes room for a stream, or says why there is none. A stream that was let in leaves in the end.
func (a *admission) enter() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closing.Err() != nil:
		return fanout.ErrStopped
	case a.open >= a.limit:
		return newError(deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED,
			"the bridge serves %d streams already, and no more", a.limit)
	}
	a.open++
	return nil
}

func (a *admission) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.open == 0 && a.closing.Err() != nil {
		close(a.empty)
	}
}

// close ends what is open and lets nobody in. Call it once. The channel is closed when all streams have left.
func (a *admission) close() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shut()
	if a.open == 0 {
		close(a.empty)
	}
	return a.empty
}
