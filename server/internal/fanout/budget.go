package fanout

import (
	"errors"
	"fmt"
)

// ErrFull says that there is no room for another subscription's filter.
var ErrFull = errors.New("no room for the filter")

// Bounds of what the filters of all subscriptions take together, and of what those of one owner do: a filter may take
// megabytes, and a reader thousands of streams.
const (
	maxFilterBytes      = 512 << 20
	maxFilterBytesOwner = 64 << 20
)

// budget counts the memory of filters. The hub's lock guards it.
type budget struct {
	used   int
	owners map[string]int
}

// takeLocked makes room for the filter of an owner, or says why there is none. Nobody's share has no bound of its own.
func (b *budget) takeLocked(owner string, size int) error {
	switch {
	case owner != "" && b.owners[owner]+size > maxFilterBytesOwner:
		return fmt.Errorf("%w: those of this principal's streams take %d MiB", ErrFull, b.owners[owner]>>20)
	case b.used+size > maxFilterBytes:
		return fmt.Errorf("%w: those of all streams take %d MiB", ErrFull, b.used>>20)
	}
	b.used += size
	b.owners[owner] += size
	return nil
}

func (b *budget) giveLocked(owner string, size int) {
	b.used -= size
	if b.owners[owner] -= size; b.owners[owner] == 0 {
		delete(b.owners, owner)
	}
}
