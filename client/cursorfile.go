package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// FileCursorStore keeps the cursor in a file, as text. The file is replaced as a whole and synced to disk: after a
// power cut it holds the cursor of the last Save that returned, or of the one that was under way. One subscription a
// file.
type FileCursorStore struct {
	path string
}

// NewFileCursorStore returns a store on the file of that path. Its directory must exist; the file need not.
func NewFileCursorStore(path string) *FileCursorStore { return &FileCursorStore{path: path} }

// Load returns "" when the file does not exist.
func (s *FileCursorStore) Load(context.Context) (string, error) {
	content, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("load cursor: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// Save returns when the cursor is on disk.
func (s *FileCursorStore) Save(_ context.Context, cursor string) error {
	if err := s.replace(cursor + "\n"); err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	return nil
}

func (s *FileCursorStore) replace(content string) error {
	directory := filepath.Dir(s.path)
	temporary := s.path + ".tmp" // always the same, so that kills leave no more than one
	if err := writeSynced(temporary, content); err != nil {
		return err
	}
	if err := os.Rename(temporary, s.path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncDirectory(directory)
}

func writeSynced(path, content string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncDirectory makes the rename durable: until then a power cut may bring the old file back.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
