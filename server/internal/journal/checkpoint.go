package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

const (
	checkpointFile = "checkpoint"
	checkpointSize = 32
)

// checkpoint is what the journal promised, in a file beside the log engine's: without it nobody could tell a record
// that was trimmed from one that is lost at the front, nor see that acknowledged records are missing at the end. The
// engine cuts off what it can't read there, and would give the positions to other records.
//
// The head is written with every group but never synced: it survives the process, and after a power cut it is merely
// older, which makes the check weaker but never wrong. The floor is synced before anything is removed.
type checkpoint struct {
	mu    sync.Mutex
	file  *os.File
	state checkpointState
}

type checkpointState struct {
	// Floor is the last position that was trimmed.
	Floor uint64
	// Head is the last position that was acknowledged.
	Head uint64
	// Boot names the boot of the machine while records may be acknowledged before they are synced; otherwise 0.
	Boot uint64
	// File is the identity of the file that this was written to. In a copy it is another's.
	File uint64
}

// openCheckpoint returns os.ErrNotExist when there is none.
func openCheckpoint(directory string) (*checkpoint, error) {
	path := filepath.Join(directory, checkpointFile)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	c := &checkpoint{file: file}
	if err := c.state.decode(content); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return c, nil
}

// createCheckpoint replaces the checkpoint if there is one.
func createCheckpoint(directory string, state checkpointState) (*checkpoint, error) {
	if err := writeFileSynced(filepath.Join(directory, checkpointFile), state.encode()); err != nil {
		return nil, err
	}
	c, err := openCheckpoint(directory)
	if err != nil {
		return nil, err
	}
	return c, c.sign()
}

// sign makes the file the original.
func (c *checkpoint) sign() error {
	identity, err := identityOf(c.file)
	if err != nil {
		return err
	}
	return c.update(func(state *checkpointState) { state.File = identity })
}

// isCopy tells whether the file was copied, and with it, most likely, the whole directory: of which the original may
// have gone on since.
func (c *checkpoint) isCopy() (bool, error) {
	identity, err := identityOf(c.file)
	return identity != c.load().File, err
}

func (c *checkpoint) load() checkpointState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// raiseHead does not sync.
func (c *checkpoint) raiseHead(head uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if head <= c.state.Head {
		return nil
	}
	changed := c.state
	changed.Head = head
	return c.writeLocked(changed)
}

func (c *checkpoint) raiseFloor(floor uint64) error {
	return c.update(func(state *checkpointState) { state.Floor = max(state.Floor, floor) })
}

func (c *checkpoint) setBoot(boot uint64) error {
	return c.update(func(state *checkpointState) { state.Boot = boot })
}

// update syncs, if there is anything new. What isn't on disk is not promised: after an error the state is as before.
func (c *checkpoint) update(change func(*checkpointState)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, changed := c.state, c.state
	change(&changed)
	if changed == before {
		return nil
	}
	err := c.writeLocked(changed)
	if err == nil {
		err = c.file.Sync()
	}
	if err != nil {
		c.state = before
	}
	return err
}

// writeLocked overwrites some bytes within one sector, which no crash leaves half done.
func (c *checkpoint) writeLocked(state checkpointState) error {
	if _, err := c.file.WriteAt(state.encode(), 0); err != nil {
		return err
	}
	c.state = state
	return nil
}

func (c *checkpoint) close() error {
	if c == nil {
		return nil
	}
	return c.file.Close()
}

func (s checkpointState) encode() []byte {
	fields := make([]byte, checkpointSize)
	binary.LittleEndian.PutUint64(fields, s.Floor)
	binary.LittleEndian.PutUint64(fields[8:], s.Head)
	binary.LittleEndian.PutUint64(fields[16:], s.Boot)
	binary.LittleEndian.PutUint64(fields[24:], s.File)
	return frame(fields)
}

func (s *checkpointState) decode(content []byte) error {
	fields, err := unframe(content)
	if err != nil || len(fields) != checkpointSize {
		return fmt.Errorf("%w: the checkpoint fails its checksum", ErrDamaged)
	}
	s.Floor = binary.LittleEndian.Uint64(fields)
	s.Head = binary.LittleEndian.Uint64(fields[8:])
	s.Boot = binary.LittleEndian.Uint64(fields[16:])
	s.File = binary.LittleEndian.Uint64(fields[24:])
	return nil
}
