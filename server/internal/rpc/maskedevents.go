package rpc

import (
	"sync/atomic"

	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/fields"
)

// maskedEvents keeps recent events as read masks show them, so that streams with the same mask share the work and the
// bytes. It holds no account of masks: what nobody asks for is overwritten by what somebody does. The zero value is
// empty, and all methods may be called concurrently.
//
// Two streams that ask for the same event at the same moment may both encode it: to wait would cost more.
type maskedEvents struct {
	slots [maskedSlots]atomic.Pointer[maskedEvent]
}

type maskedEvent struct {
	mask     string
	position uint64
	entry    []byte
}

// Together they bound the cache: 32 MiB.
const (
	maskedSlots = 4096
	maxMasked   = 8 << 10
)

// maskedReach is how far behind the head an event is worth keeping. Streams meet near the head; one that reads a long
// history alone would only wash out what the others share.
const maskedReach = maskedSlots / 4

// entries returns the events of an item in the form of fanout.Event.Wire.
func (c *maskedEvents) entries(item *fanout.Item, mask *fields.Mask) ([][]byte, error) {
	entries := make([][]byte, len(item.Events))
	for i, event := range item.Events {
		var err error
		if event.Position+maskedReach < item.Head {
			entries[i], err = maskedEntry(mask, event)
		} else {
			entries[i], err = c.entry(event, mask)
		}
		if err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func (c *maskedEvents) entry(event *fanout.Event, mask *fields.Mask) ([]byte, error) {
	slot := &c.slots[(mask.Hash+event.Position)%maskedSlots]
	if kept := slot.Load(); kept != nil && kept.position == event.Position && kept.mask == mask.Key {
		return kept.entry, nil
	}
	entry, err := maskedEntry(mask, event)
	if err == nil && cap(entry) <= maxMasked {
		slot.Store(&maskedEvent{mask: mask.Key, position: event.Position, entry: entry})
	}
	return entry, err
}
