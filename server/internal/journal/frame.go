package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A stored message is the entry's data and four bytes of checksum behind it. The log engine has checksums of its own,
// but they leave out the field that says where its headers end and the data begins: with one bit of that field flipped
// it hands out other bytes without a word.

const checksumSize = 4

//nolint:gochecknoglobals // a constant table
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame returns what is stored for data.
func frame(data []byte) []byte {
	stored := make([]byte, 0, len(data)+checksumSize)
	stored = append(stored, data...)
	return binary.LittleEndian.AppendUint32(stored, crc32.Checksum(data, castagnoli))
}

// unframe is the inverse of frame. The result shares stored, and has no capacity to append into it.
func unframe(stored []byte) ([]byte, error) {
	size := len(stored) - checksumSize
	if size < 0 || crc32.Checksum(stored[:size], castagnoli) != binary.LittleEndian.Uint32(stored[size:]) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	return stored[:size:size], nil
}
