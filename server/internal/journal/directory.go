package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// formatVersion is that of the data directory. It changes when an older program would misread a newer directory.
const formatVersion = 1

const (
	formatFile  = "format"
	lockFile    = "lock"
	streamsDir  = "nats"
	formatLabel = "deskbridge-journal "
)

// directory is a locked data directory of the right format.
type directory struct {
	path string
	lock *os.File
}

// openDirectory makes the directory when it is missing, and locks it. The lock goes with the process, however it ends.
func openDirectory(path string) (*directory, error) {
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(path)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, lock: lock}
	if err := errors.Join(d.checkFormat(), d.restoreSettings()); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// makeDirectory makes the directory when it is missing, and those above it, for good: each is safe once the one that
// holds it is synced.
func makeDirectory(path string) error {
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); errors.Is(err, os.ErrNotExist) {
		if err := makeDirectory(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncPath(parent)
}

func lockDirectory(path string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process uses this data directory")
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// close gives the lock back in so many words: a child process that is being started elsewhere in this program has a
// copy of the file for a moment, and closing ours alone would leave the directory locked for as long.
func (d *directory) close() error {
	return errors.Join(syscall.Flock(int(d.lock.Fd()), syscall.LOCK_UN), d.lock.Close())
}

func (d *directory) streams() string { return filepath.Join(d.path, streamsDir) }

// blocks is where the log engine keeps the messages of a stream.
func (d *directory) blocks(stream string) blockDirectory {
	return blockDirectory(filepath.Join(d.streams(), "jetstream", "$G", "streams", stream, "msgs"))
}

func (d *directory) checkFormat() error {
	content, err := os.ReadFile(filepath.Join(d.path, formatFile))
	if errors.Is(err, os.ErrNotExist) {
		return d.writeFormat()
	}
	if err != nil {
		return err
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(string(content)), formatLabel)
	version, err := strconv.Atoi(digits)
	switch {
	case !ok || err != nil || version < 1:
		return fmt.Errorf("%w: the file %q names no format version", ErrDamaged, formatFile)
	case version > formatVersion:
		return fmt.Errorf("written in format %d by a newer program, this one reads up to %d", version, formatVersion)
	}
	return nil
}

// writeFormat refuses a directory that holds streams of unknown format.
func (d *directory) writeFormat() error {
	if _, err := os.Stat(d.streams()); err == nil {
		return fmt.Errorf("%w: it holds streams but no file %q", ErrDamaged, formatFile)
	}
	return writeFileSynced(filepath.Join(d.path, formatFile), fmt.Appendf(nil, "%s%d\n", formatLabel, formatVersion))
}

// writeFileSynced replaces the file at once and for good: after a power cut there is the old content or the new.
func writeFileSynced(path string, content []byte) error {
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

// syncPath syncs a file or a directory.
func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return nil
}

// syncTree syncs everything in and below a directory. At the start it is for what a process that was killed had
// written and not synced: without it a repeated callback would be acknowledged as a duplicate of a record that a power
// cut can still take away.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = syncPath(path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // removed meanwhile
		}
		return err
	})
}
