package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
)

// damagedDir is below the data directory. It has the block files with damage as they were found.
const damagedDir = "damaged"

// salvage is for before the log engine starts. When that was not ended in order it reads every file again, and cuts a
// file off at the first record that it can't read, with all the good ones behind. So such a file is kept aside, and
// replaced by one that has the good records alone: a gap, of which readers are told, and nothing else is lost.
func (l *local) salvage(context.Context) error {
	for stream, promised := range l.promised() {
		damaged, err := l.directory.blocks(stream).damaged(promised)
		if err != nil {
			return err
		}
		for _, file := range damaged {
			aside, err := l.directory.replaceDamaged(stream, file)
			if err != nil {
				return err
			}
			l.config.Logger.Error("a file of the journal is damaged: it is kept aside, what can be read of it stays",
				"file", file.path, "kept", aside, "lost_bytes", file.lost())
		}
	}
	return nil
}

// damagedBlock is a block file with good records behind bad ones.
type damagedBlock struct {
	path  string
	found []byte
	good  []byte
}

func (d damagedBlock) lost() int { return len(d.found) - len(d.good) }

// promised returns, for each stream, up to which position damage is the loss of something that was acknowledged. What
// lies behind was not, or not for good: a power cut leaves pieces of it, which are no damage, and the log engine does
// well to cut them off.
func (l *local) promised() map[string]uint64 {
	promised := map[string]uint64{eventsStream: math.MaxUint64, quarantineStream: math.MaxUint64}
	if l.checkpoint == nil {
		return promised
	}
	state := l.checkpoint.load()
	promised[eventsStream] = state.Head
	if state.Boot != 0 && state.Boot != bootID() {
		promised[eventsStream] = 0 // it was never said which part of it is synced
	}
	return promised
}

// damaged returns the block files that the log engine would cut off before the promised position.
func (d blockDirectory) damaged(promised uint64) (all []damagedBlock, err error) {
	indexes, err := d.indexes()
	if errors.Is(err, os.ErrNotExist) || len(indexes) == 0 || d.trustsIndex(indexes) {
		return nil, nil
	}
	whole, ends := make([]bool, len(indexes)), make([]uint64, len(indexes))
	err = d.readFiles(indexes, func(i int, file *records) {
		file.takeGood()
		whole[i], ends[i] = len(file.rest) == 0, file.last
	})
	last := uint64(0)
	for i, index := range indexes {
		if err == nil && !whole[i] {
			err = d.readFiles([]int{index}, func(_ int, file *records) {
				content := file.rest
				file.last = last
				if good, damaged := file.good(promised); damaged {
					all = append(all, damagedBlock{d.path(index), content, good})
				}
				ends[i] = file.last
			})
		}
		last = max(last, ends[i])
	}
	return all, err
}

// trustsIndex tells whether the log engine was ended in order, and will not read the files: its index ends with the
// checksum of the last record, and one of its own.
func (d blockDirectory) trustsIndex(indexes []int) bool {
	index, err := lastBytes(filepath.Join(string(d), "index.db"), 16)
	last, errLast := lastBytes(d.path(indexes[len(indexes)-1]), 8)
	return err == nil && errLast == nil && bytes.Equal(index[:8], last)
}

func lastBytes(path string, count int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(-count, io.SeekEnd); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

// records goes through the records of a file.
type records struct {
	hash *blockHash
	rest []byte
	last uint64 // the highest position so far, also of the files before
}

// next returns the record that rest begins with.
func (r *records) next() (record blockRecord, ok bool) {
	return r.hash.first(r.rest)
}

// take goes on behind a record.
func (r *records) take(record blockRecord) {
	r.rest, r.last = r.rest[len(record):], max(r.last, record.position())
}

// takeGood goes on to the first record that can't be read, or the end.
func (r *records) takeGood() {
	for record, ok := r.next(); ok; record, ok = r.next() {
		r.take(record)
	}
}

// good returns all that can be read, and whether anything of it lies behind damage that begins before the promised
// position.
func (r *records) good(promised uint64) (good []byte, damaged bool) {
	content := r.rest
	r.takeGood()
	end := len(content) - len(r.rest)
	good = content[:end:end]
	if r.last >= promised {
		return good, false
	}
	for len(r.rest) > 0 {
		record, ok := r.next()
		if !ok || record.isMessage() && record.position() <= r.last {
			r.rest = r.rest[1:]
			continue
		}
		r.take(record)
		good, damaged = append(good, record...), true
	}
	return good, damaged
}

// replaceDamaged returns where the file was kept.
func (d *directory) replaceDamaged(stream string, file damagedBlock) (aside string, err error) {
	directory := filepath.Join(d.path, damagedDir)
	if err := makeDirectory(directory); err != nil {
		return "", err
	}
	name := stream + "-" + filepath.Base(file.path)
	if aside, err = keepAside(filepath.Join(directory, name), file.found); err != nil {
		return "", err
	}
	replacement := filepath.Join(directory, name+".good") // the log engine takes other names among its files for its own
	err = writeFileSynced(replacement, file.good)
	if err == nil {
		err = os.Rename(replacement, file.path)
	}
	if err == nil {
		err = syncPath(filepath.Dir(file.path))
	}
	return aside, err
}

// keepAside writes the file under the first name that is free.
func keepAside(path string, content []byte) (string, error) {
	for n, name := 2, path; ; n++ {
		existing, err := os.ReadFile(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return name, writeFileSynced(name, content)
		case err != nil || bytes.Equal(existing, content):
			return name, err
		}
		name = fmt.Sprintf("%s-%d", path, n)
	}
}
