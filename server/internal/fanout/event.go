package fanout

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/deskbridge/deskbridge/server/internal/filter"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// Event is an event ready to send. It is shared by all subscriptions: never modify it.
type Event struct {
	// Position and StoreTime are the journal's.
	Position  uint64
	StoreTime time.Time
	// Data is the encoded SessionEvent as it was stored, without its position.
	Data []byte
	// Wire is the event as an entry of EventBatch.events: tag, length, Data, and the position. An EventBatch is the
	// concatenation of such entries, since protobuf merges by concatenation.
	Wire []byte

	view *filter.Event // For events in the window.
}

// windowOverhead is what an event in the window takes beside its Wire.
const windowOverhead = 384

// Bounds of an item. A frame holds one and stays well under the 4 MiB that gRPC clients accept by default, even with a
// single event of journal.MaxRecordBytes. More bytes would not make delivery faster, but each stalled reader holds one
// item. And the transport takes an item whole as soon as it has any room, and gives none before what did not fit has
// left: of a slow reader that is given much as much is expected until a Send is late.
const (
	maxItemBytes  = 16 << 10
	maxItemEvents = 512
)

// Field numbers of the contract.
const (
	batchEvents   protowire.Number = 1 // EventBatch.events
	eventPosition protowire.Number = 2 // SessionEvent.position
)

func wireSize(r *journal.Record) int {
	body := len(r.Data) + positionSize(r.Position)
	return protowire.SizeTag(batchEvents) + protowire.SizeBytes(body)
}

func positionSize(position uint64) int {
	return protowire.SizeTag(eventPosition) + protowire.SizeVarint(position)
}

// appendEvent appends r's wire form to arena, which must have room for it, and sets e to it.
func appendEvent(arena []byte, e *Event, r *journal.Record) []byte {
	start := len(arena)
	arena = protowire.AppendTag(arena, batchEvents, protowire.BytesType)
	arena = protowire.AppendVarint(arena, uint64(len(r.Data)+positionSize(r.Position)))
	data := len(arena)
	arena = append(arena, r.Data...)
	end := len(arena)
	arena = protowire.AppendTag(arena, eventPosition, protowire.VarintType)
	arena = protowire.AppendVarint(arena, r.Position)
	e.Position, e.StoreTime = r.Position, r.StoreTime
	e.Data, e.Wire = arena[data:end:end], arena[start:]
	return arena
}

// Segments returns the wire forms of events as the fewest slices: those that were encoded one behind the other make
// one. A transport's cost for each slice is more than that of the bytes of a small event.
func Segments(events []*Event) [][]byte {
	segments := make([][]byte, 0, 1)
	for _, e := range events {
		last := len(segments) - 1
		if last >= 0 && adjoins(segments[last], e.Wire) {
			segments[last] = segments[last][:len(segments[last])+len(e.Wire)]
		} else {
			segments = append(segments, e.Wire)
		}
	}
	return segments
}

// adjoins reports whether b begins where a ends: in the room that a's capacity still has.
func adjoins(a, b []byte) bool {
	return cap(a) > len(a) && &a[:len(a)+1][len(a)] == &b[0]
}

// itemPrefix returns how many of the records fit one item, at least one, and the bytes they take on the wire.
func itemPrefix(records []journal.Record) (n, size int) {
	for n < len(records) && n < maxItemEvents {
		more := wireSize(&records[n])
		if n > 0 && size+more > maxItemBytes {
			break
		}
		n, size = n+1, size+more
	}
	return n, size
}

// encode turns records that fit one item into events, in an arena with room for them: they lie in memory as they go
// out.
func encode(arena []byte, records []journal.Record) []*Event {
	block := make([]Event, len(records))
	events := make([]*Event, len(records))
	for i := range records {
		arena = appendEvent(arena, &block[i], &records[i])
		events[i] = &block[i]
	}
	return events
}

// ArenaBytes is what events of the window share of memory, unless a single one is larger, and stay in it together: who
// keeps a part of one keeps all of it. The tail reads live events a few at a time: in an arena of their own they would
// go out in as many slices.
const ArenaBytes = 32 << 10

// arenas gives room for the window's events, one batch right behind the other.
type arenas struct{ current []byte }

// take returns an arena with room for size bytes more, which are the caller's.
func (a *arenas) take(size int) []byte {
	if cap(a.current)-len(a.current) < size {
		a.current = make([]byte, 0, max(size, ArenaBytes))
	}
	arena := a.current
	a.current = a.current[:len(arena)+size]
	return arena
}

// encodeViews turns any number of records into events for the window, where filters look at them. After an error the
// events before the one that can't be read are returned.
func (a *arenas) encodeViews(records []journal.Record) (all []*Event, err error) {
	for len(records) > 0 && err == nil {
		n, size := itemPrefix(records) // What shares an arena stays in memory together, so it must not be too much.
		events := encode(a.take(size), records[:n])
		n, err = readViews(events)
		all, records = append(all, events[:n]...), records[len(events):]
	}
	return all, err
}

// readViews returns how many events could be read.
func readViews(events []*Event) (int, error) {
	views := make([]filter.Event, len(events))
	for i, e := range events {
		if err := views[i].Read(e.Position, e.Data); err != nil {
			return i, err
		}
		e.view = &views[i]
	}
	return len(events), nil
}
