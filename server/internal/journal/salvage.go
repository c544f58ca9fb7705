package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// damagedDir is below the data directory. It has the block files with damage as they were found.
const damagedDir = "damaged"

// salvage is for before the log engine starts. When that was not ended in order it reads every file again, and cuts a
// file off at the first record that it can't read, with all the good ones behind. So such a file is kept aside, and
// replaced by one that has the good records alone: a gap, of which readers are told, and nothing else is lost.
func (l *local) salvage(context.Context) error {
	for _, stream := range []string{eventsStream, quarantineStream} {
		damaged, err := l.directory.blocks(stream).damaged()
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

// damaged returns the block files that the log engine would cut off.
func (d blockDirectory) damaged() (all []damagedBlock, err error) {
	indexes, err := d.indexes()
	if errors.Is(err, os.ErrNotExist) || len(indexes) == 0 || d.trustsIndex(indexes) {
		return nil, nil
	}
	for _, index := range indexes {
		content, err := os.ReadFile(d.path(index))
		if err != nil {
			return nil, err
		}
		if good, damaged := goodRecords(content, newBlockHash(d.stream(), index)); damaged {
			all = append(all, damagedBlock{d.path(index), content, good})
		}
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

// goodRecords returns all that can be read, and whether anything of it lies behind damage. What is damaged at the end
// may be a write that was cut short, which the log engine repairs.
func goodRecords(content []byte, hash *blockHash) (good []byte, damaged bool) {
	rest, last := content, uint64(0)
	record, ok := hash.first(rest)
	for ; ok; record, ok = hash.first(rest) {
		rest, last = rest[len(record):], max(last, record.position())
	}
	end := len(content) - len(rest)
	good = content[:end:end]
	for len(rest) > 0 {
		record, ok := hash.first(rest)
		if !ok || record.isMessage() && record.position() <= last {
			rest = rest[1:]
			continue
		}
		good, rest, last, damaged = append(good, record...), rest[len(record):], max(last, record.position()), true
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
