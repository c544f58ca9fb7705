package journal

import (
	"errors"
	"fmt"
	"os"
)

// blockSync makes durable what the log engine has appended to a stream. It is for one goroutine.
type blockSync struct {
	directory blockDirectory
	index     int
	file      *os.File // the last one known
}

// sync syncs the last file and those that have come behind it. A new file is durable only together with its name in
// the directory.
func (b *blockSync) sync() error {
	if b.file == nil {
		if err := b.openLast(); err != nil {
			return err
		}
	}
	for {
		if err := b.file.Sync(); err != nil {
			return err
		}
		next, err := os.Open(b.directory.path(b.index + 1))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := errors.Join(b.file.Close(), syncPath(string(b.directory))); err != nil {
			return err
		}
		b.file, b.index = next, b.index+1
	}
}

// openLast finds the last file: the engine makes one before it takes the first message.
func (b *blockSync) openLast() error {
	indexes, err := b.directory.indexes()
	if err != nil {
		return err
	}
	if len(indexes) == 0 {
		return fmt.Errorf("%s holds no block file", b.directory)
	}
	b.index = indexes[len(indexes)-1]
	if b.file, err = os.Open(b.directory.path(b.index)); err != nil {
		return err
	}
	return syncPath(string(b.directory))
}

func (b *blockSync) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
