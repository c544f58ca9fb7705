package fanout

import "fmt"

// Kind says what an Item is.
type Kind int

// The kinds of items.
const (
	// Events: Item.Events holds at least one.
	Events Kind = iota + 1
	// Heartbeat: nothing else was returned for the heartbeat interval.
	Heartbeat
	// CaughtUp: everything up to the head has been delivered. It comes once at the start, and after each FellBehind.
	CaughtUp
	// FellBehind: the reader was too slow to stay in the window and goes on from the journal. Nothing is lost.
	FellBehind
)

// String implements fmt.Stringer.
func (k Kind) String() string {
	names := map[Kind]string{Events: "events", Heartbeat: "heartbeat", CaughtUp: "caught up", FellBehind: "fell behind"}
	if name, ok := names[k]; ok {
		return name
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Item is what Subscription.Next returns.
type Item struct {
	Kind Kind
	// Events by increasing position, of Kind Events: at most 512, and at most 16 KiB on the wire unless there is a
	// single one.
	Events []*Event
	// Position is the cursor after this item: every matching event up to it has been delivered. It never goes back.
	Position uint64
	// Head is the newest known position, never less than Position.
	Head uint64
	// Unreachable: the journal can't be read at present, so there may be events that are not known here.
	Unreachable bool
}

// Lag is how many positions the reader is behind, matching or not.
func (i Item) Lag() uint64 { return i.Head - i.Position }
