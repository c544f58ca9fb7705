package client

import (
	"time"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Hooks are told of what happens around the events. Each may be nil. They run in the goroutine that ranges over the
// subscription, between two events, and should return soon; they must not modify what they are given.
type Hooks struct {
	// Connected: a stream is open, for the first time or again. It has a gap where Expired is set.
	Connected func(*deskbridgev1.SubscriptionOpened)
	// CaughtUp: all events there were have been delivered.
	CaughtUp func(*deskbridgev1.CaughtUp)
	// FellBehind: the loop takes events more slowly than they arrive. Nothing is lost.
	FellBehind func(*deskbridgev1.FellBehind)
	// Heartbeat: nothing has matched for the heartbeat interval. lag is how many events of the journal, matching or
	// not, the bridge has yet to look at for this stream: 0 when it is only quiet.
	Heartbeat func(heartbeat *deskbridgev1.Heartbeat, lag uint64)
	// Draining: the bridge is about to end the stream, and the client will reconnect.
	Draining func(*deskbridgev1.Draining)
	// Reconnecting: the stream ended, or could not be opened, and the next attempt comes after delay.
	Reconnecting func(cause error, delay time.Duration)
}

func call[T any](hook func(T), value T) {
	if hook != nil {
		hook(value)
	}
}
