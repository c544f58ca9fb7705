package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// blockDirectory is where the log engine keeps a stream's messages, in block files: 1.blk, 2.blk and so on. It appends
// to the last one.
type blockDirectory string

// block is a block file.
type block struct {
	index int
	first uint64 // position of the first record
	size  int64
}

func (d blockDirectory) path(index int) string {
	return filepath.Join(string(d), fmt.Sprintf("%d.blk", index))
}

// stream is the name of the stream.
func (d blockDirectory) stream() string { return filepath.Base(filepath.Dir(string(d))) }

// indexes returns the numbers of the block files, in order.
func (d blockDirectory) indexes() ([]int, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var indexes []int
	for _, entry := range entries {
		var index int
		if n, _ := fmt.Sscanf(entry.Name(), "%d.blk", &index); n == 1 && entry.Name() == filepath.Base(d.path(index)) {
			indexes = append(indexes, index)
		}
	}
	slices.Sort(indexes)
	return indexes, nil
}

// openFirst opens the first of some files that is still there, nil when none is.
func (d blockDirectory) openFirst(indexes []int) (*os.File, int, error) {
	for _, index := range indexes {
		file, err := os.Open(d.path(index))
		if !errors.Is(err, os.ErrNotExist) {
			return file, index, err
		}
	}
	return nil, 0, nil
}

// blocks returns the blocks with their first positions, in order.
func (d blockDirectory) blocks() ([]block, error) {
	indexes, err := d.indexes()
	if err != nil {
		return nil, err
	}
	var blocks []block
	for _, index := range indexes {
		b, err := d.block(index)
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			continue // removed meanwhile, or still empty
		case err != nil:
			return nil, err
		case len(blocks) > 0 && b.first <= blocks[len(blocks)-1].first:
			return nil, fmt.Errorf("%w: %s begins with position %d, the file before it with %d",
				ErrDamaged, d.path(index), b.first, blocks[len(blocks)-1].first)
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// block reads the head of a file's first record: four bytes of length, then eight of position.
func (d blockDirectory) block(index int) (block, error) {
	file, err := os.Open(d.path(index))
	if err != nil {
		return block{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return block{}, err
	}
	var head [12]byte
	if _, err := io.ReadFull(file, head[:]); err != nil {
		return block{}, err
	}
	return block{index: index, first: blockRecord(head[:]).position(), size: info.Size()}, nil
}
