package journal

import (
	"fmt"
	"sync/atomic"
	"syscall"
)

// disk watches the room on the data directory's filesystem. The log engine is not to meet a full one: after a failed
// write it takes nothing more until it is started anew, which mend does.
type disk struct {
	path    string
	reserve int64 // 0 for defaultReserve
	full    atomic.Pointer[error]
	seen    atomic.Pointer[DiskStats]
}

// DiskStats is the room on the data directory's filesystem.
type DiskStats struct {
	// Free bytes, and the Reserve below which nothing is stored.
	Free, Reserve int64
}

// defaultReserve is a twentieth of the filesystem, but between 64 MiB and 1 GiB.
func defaultReserve(size int64) int64 { return min(max(size/20, 64<<20), 1<<30) }

// check looks how much room there is.
func (d *disk) check() error {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.path, &stat); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	block := uint64(stat.Bsize) // its type differs between systems
	free, reserve := int64(stat.Bavail*block), d.reserve
	if reserve == 0 {
		reserve = defaultReserve(int64(stat.Blocks * block))
	}
	d.seen.Store(&DiskStats{Free: free, Reserve: reserve})
	if free >= reserve {
		d.full.Store(nil)
		return nil
	}
	err := fmt.Errorf("%w: %d MiB are left on the disk of %s, and %d MiB are kept free",
		ErrFull, free>>20, d.path, reserve>>20)
	d.full.Store(&err)
	return nil
}

// stats is what the last check saw.
func (d *disk) stats() DiskStats {
	if seen := d.seen.Load(); seen != nil {
		return *seen
	}
	return DiskStats{}
}

// err is ErrFull when the last check found too little room.
func (d *disk) err() error {
	if full := d.full.Load(); full != nil {
		return *full
	}
	return nil
}
