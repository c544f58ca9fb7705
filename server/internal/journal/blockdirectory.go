package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"
)

// blockDirectory is where the log engine keeps a stream's messages, in block files: 1.blk, 2.blk and so on. It appends
// to the last one.
type blockDirectory string

// block is a block file.
type block struct {
	index int
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

// blocks returns the block files that hold something, in order.
func (d blockDirectory) blocks() ([]block, error) {
	indexes, err := d.indexes()
	if err != nil {
		return nil, err
	}
	var blocks []block
	for _, index := range indexes {
		info, err := os.Stat(d.path(index))
		switch {
		case errors.Is(err, os.ErrNotExist): // removed meanwhile
		case err != nil:
			return nil, err
		case info.Size() > 0:
			blocks = append(blocks, block{index, info.Size()})
		}
	}
	return blocks, nil
}

// readFiles has do read files, several at once: the i-th of them as a whole. Those that are removed meanwhile count as
// empty.
func (d blockDirectory) readFiles(indexes []int, do func(i int, file *records)) error {
	var all errgroup.Group
	all.SetLimit(runtime.GOMAXPROCS(0))
	for i, index := range indexes {
		all.Go(func() error {
			content, err := os.ReadFile(d.path(index))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			do(i, &records{hash: newBlockHash(d.stream(), index), rest: content})
			return nil
		})
	}
	return all.Wait()
}

// upTo returns how many of the files begin at or before a position. It opens a few of them.
func (d blockDirectory) upTo(position uint64, indexes []int) int {
	return sort.Search(len(indexes), func(i int) bool {
		first := d.firstOf(indexes[i:])
		return first == 0 || first > position
	})
}

// firstOf returns the first position in some files, 0 when they hold none that can be read.
func (d blockDirectory) firstOf(indexes []int) (first uint64) {
	for i := 0; first == 0 && i < len(indexes); i++ {
		first = d.firstIn(indexes[i])
	}
	return first
}

// firstIn returns the first position in a file, 0 when it holds none that can be read.
func (d blockDirectory) firstIn(index int) uint64 {
	if record := d.firstRecord(index); record != nil {
		return record.position()
	}
	return 0
}

// firstRecord returns the first message in a file, nil when it holds none that can be read.
func (d blockDirectory) firstRecord(index int) blockRecord {
	probe := blockReader{directory: d}
	defer func() { _ = probe.close() }()
	if ok, err := probe.openOneOf([]int{index}); err != nil || !ok {
		return nil
	}
	for {
		chunk, err := probe.chunk(probeBytes)
		if err != nil || len(chunk) == 0 {
			return nil
		}
		switch record, ok := probe.hash.first(chunk); {
		case ok && record.isMessage():
			return record
		case ok:
			probe.offset += int64(len(record))
		default:
			if probe.pass(positionBits) != nil {
				return nil
			}
		}
	}
}
