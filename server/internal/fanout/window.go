package fanout

import "sort"

// window holds the newest events, by increasing position. Each has a sequence number that says how many were added
// before it, so that a place in the window is an addition away while positions may have holes.
type window struct {
	events []*Event
	first  uint64 // Sequence number of events[0].
	floor  uint64 // Every event with a position in (floor, head] is here.
	head   uint64 // Newest position read.
	bytes  int
	limit  int
}

// next is the sequence number that the next event will get.
func (w *window) next() uint64 { return w.first + uint64(len(w.events)) }

// has reports whether the event with this sequence number is still here.
func (w *window) has(sequence uint64) bool { return sequence >= w.first }

func (w *window) at(sequence uint64) *Event { return w.events[sequence-w.first] }

// after returns the sequence number of the first event behind a position that is not below the floor.
func (w *window) after(position uint64) uint64 {
	i := sort.Search(len(w.events), func(i int) bool { return w.events[i].Position > position })
	return w.first + uint64(i)
}

func (w *window) add(e *Event) (sequence uint64) {
	sequence = w.next()
	w.events = append(w.events, e)
	w.head = e.Position
	w.bytes += len(e.Wire) + windowOverhead
	w.trim()
	return sequence
}

// trim drops the oldest events down to the limit, but never the newest.
func (w *window) trim() {
	n := 0
	for ; w.bytes > w.limit && n < len(w.events)-1; n++ {
		w.bytes -= len(w.events[n].Wire) + windowOverhead
		w.floor = w.events[n].Position
	}
	clear(w.events[:n])
	w.events, w.first = w.events[n:], w.first+uint64(n)
}

// reset empties the window and moves it to a new place. No earlier sequence number is in it any more.
func (w *window) reset(position uint64) {
	*w = window{first: w.next() + 1, floor: position, head: position, limit: w.limit}
}
