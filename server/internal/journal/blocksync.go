package journal

import (
	"errors"
	"fmt"
	"os"
)

// blockSync makes durable what the log engine has appended to a stream. It is for one goroutine.
type blockSync struct {
	directory blockDirectory
	file      *os.File // the first one that may hold what isn't synced; nil while there is none
	index     int      // of the file
	fsync     func(*os.File) error
}

// openBlockSync is for a stream whose files are all synced, and before anything is appended.
func openBlockSync(directory blockDirectory) (b *blockSync, err error) {
	b = &blockSync{directory: directory, fsync: (*os.File).Sync}
	indexes, err := directory.indexes()
	if err == nil && len(indexes) > 0 {
		b.file, b.index, err = directory.openFirst(indexes[len(indexes)-1:])
	}
	return b, err
}

// sync syncs everything that was appended before the call. The engine goes on appending, and may go over to another
// file at any moment: only what is synced after its successor was seen is synced for good. A new file is durable only
// together with its name in the directory.
func (b *blockSync) sync() error {
	for {
		next, index, err := b.next()
		if err == nil {
			err = b.syncFile()
		}
		if next == nil {
			return err
		}
		if err == nil {
			err = errors.Join(syncPath(string(b.directory)), b.close())
		}
		if err != nil {
			return errors.Join(err, next.Close())
		}
		b.file, b.index = next, index
	}
}

func (b *blockSync) syncFile() error {
	if b.file == nil {
		return nil
	}
	return b.fsync(b.file)
}

// next opens the file behind the one at hand, nil when there is none. Where several were trimmed before they were
// synced, it is the first that is left.
func (b *blockSync) next() (*os.File, int, error) {
	if b.file != nil {
		file, err := os.Open(b.directory.path(b.index + 1))
		if !errors.Is(err, os.ErrNotExist) {
			return file, b.index + 1, err
		}
		// Files are trimmed in order.
		if _, err := os.Stat(b.directory.path(b.index)); !errors.Is(err, os.ErrNotExist) {
			return nil, 0, err
		}
	}
	indexes, err := b.directory.indexes()
	if err != nil {
		return nil, 0, err
	}
	file, index, err := b.directory.openFirst(indexes)
	if err == nil && file == nil {
		err = fmt.Errorf("%s holds no block file", b.directory)
	}
	return file, index, err
}

func (b *blockSync) close() error {
	if b.file == nil {
		return nil
	}
	file := b.file
	b.file = nil
	return file.Close()
}
