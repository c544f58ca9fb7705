package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// blockFiles syncs the files that the log engine appends messages to: 1.blk, 2.blk and so on, always the last one. It
// is for one goroutine.
type blockFiles struct {
	directory string
	index     int
	file      *os.File
}

func newBlockFiles(directory string) *blockFiles { return &blockFiles{directory: directory} }

// sync makes durable what has been appended. A new file is durable only together with its name in the directory.
func (b *blockFiles) sync() error {
	if b.file == nil {
		if err := b.openLast(); err != nil {
			return err
		}
	}
	for {
		if err := b.file.Sync(); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		next, err := os.Open(b.path(b.index + 1))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		if err := errors.Join(b.file.Close(), syncPath(b.directory)); err != nil {
			return err
		}
		b.file, b.index = next, b.index+1
	}
}

func (b *blockFiles) path(index int) string {
	return filepath.Join(b.directory, fmt.Sprintf("%d.blk", index))
}

// openLast finds the last file. There is one as soon as a message was stored.
func (b *blockFiles) openLast() error {
	entries, err := os.ReadDir(b.directory)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, entry := range entries {
		var index int
		if n, _ := fmt.Sscanf(entry.Name(), "%d.blk", &index); n == 1 && entry.Name() == filepath.Base(b.path(index)) {
			b.index = max(b.index, index)
		}
	}
	if b.index == 0 {
		return fmt.Errorf("journal: %s holds no block file", b.directory)
	}
	if b.file, err = os.Open(b.path(b.index)); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return syncPath(b.directory)
}

func (b *blockFiles) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
