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
	seen    atomic.Pointer[DiskStats]
	// taken is what was admitted since the last look, earlier what was in the time before: some of it may not have been
	// written when that look was taken.
	taken, earlier atomic.Int64
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
	d.earlier.Store(d.taken.Swap(0))
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
	return nil
}

// stats is what the last check saw.
func (d *disk) stats() DiskStats {
	if seen := d.seen.Load(); seen != nil {
		return *seen
	}
	return DiskStats{}
}

// admit is ErrFull when there is too little room for what was admitted so far; else that grows. A burst between two
// looks doesn't eat the reserve.
func (d *disk) admit(size int64) error {
	if err := d.err(); err != nil {
		return err
	}
	d.taken.Add(size)
	return nil
}

// err is ErrFull when there is too little room.
func (d *disk) err() error {
	seen := d.stats()
	free := seen.Free - d.taken.Load() - d.earlier.Load()
	if free >= seen.Reserve {
		return nil
	}
	return fmt.Errorf("%w: %d MiB are left on the disk of %s, and %d MiB are kept free",
		ErrFull, max(free, 0)>>20, d.path, seen.Reserve>>20)
}
