package journal

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"

	"golang.org/x/sys/unix"
)

// identityOf tells a file from a copy of it: restored elsewhere, or in its place. The number of its inode would not do
// alone, as filesystems give that of a removed file to the next one.
func identityOf(file *os.File) (uint64, error) {
	var stat unix.Statx_t
	err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &stat)
	if err != nil {
		return 0, fmt.Errorf("identity of %s: %w", file.Name(), err)
	}
	sum := fnv.New64a()
	for _, part := range []uint64{stat.Ino, uint64(stat.Btime.Sec), uint64(stat.Btime.Nsec)} {
		_ = binary.Write(sum, binary.LittleEndian, part) // a hash takes everything
	}
	return sum.Sum64(), nil
}
