package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
)

// disk is a file system in memory that forgets at a power cut what was not synced.
//
// What the model keeps:
//   - The content of a file is safe once the file was synced (fsync, fdatasync, or a write through O_SYNC). The name of a
//     file or a directory is safe once the directory that holds it was synced, and with it the way up to the root.
//   - A sector of 512 bytes is whole: old, new, or as it was after one of the writes in between.
//   - The changes of names within one directory reach the disk in order, and a rename in one step: no cut shows a file
//     under neither of its names. A file that is cut short or extended goes through the sizes that it had.
//
// What it does not keep:
//   - Unsynced sectors of a file survive or not, each for itself: a later write without an earlier one, half a record, a
//     hole of zeros in between. The new size may be there without the data: the end is zeros then.
//   - Unsynced changes of names survive up to some point, in each directory for itself. A file that was renamed over
//     another one without being synced may be there under the new name, and empty.
//
// Data that is lost behind a rename or an extension is what xfs, and ext4 without data=ordered or auto_da_alloc, do. It
// is stricter than both where the name of a new file needs a sync of its directory: their journal happens to carry it.
// POSIX doesn't promise that.
//
// A seed decides what survives. It depends on the order of the writes, so a run can be tried again, not played again.
type disk struct {
	mu     sync.Mutex
	random *rand.Rand
	root   *inode
	next   uint64 // inode number
	dead   bool   // there was a cut
	losses []string

	changes int           // until the power fails by itself; never when 0
	failed  chan struct{} // closed when it does

	full      bool // no file grows
	badWrites int  // how many of the next writes fail
}

const sectorSize = 512

// errDead is what a process gets that has not noticed yet that the power is gone.
const errDead = syscall.EIO

// inode is a file or a directory: as it is, as it is safe, and in what the two differ.
type inode struct {
	number uint64
	mode   uint32 // with the bits of the type

	content []byte
	safe    []byte
	writes  []fileChange

	entries     map[string]*inode // nil for a file
	safeEntries map[string]*inode
	renames     []nameChange
}

// fileChange is one changed sector, or a new size.
type fileChange struct {
	truncate bool
	size     int // of the file after the change
	offset   int
	sector   []byte
}

// nameChange removes a name, sets one, or both in one step.
type nameChange struct {
	remove string
	set    string
	inode  *inode
}

func newDisk(random *rand.Rand) *disk {
	d := &disk{random: random}
	d.root = d.newInode(syscall.S_IFDIR | 0o700)
	return d
}

func (d *disk) newInode(mode uint32) *inode {
	d.next++
	n := &inode{number: d.next, mode: mode}
	if mode&syscall.S_IFMT == syscall.S_IFDIR {
		n.entries, n.safeEntries = map[string]*inode{}, map[string]*inode{}
	}
	return n
}

func (n *inode) isDirectory() bool { return n.entries != nil }

// with runs an operation of the file system unless the power is gone.
func (d *disk) with(operation func() syscall.Errno) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errDead
	}
	return operation()
}

// changing runs an operation that changes something, as long as there is power.
func (d *disk) changing(operation func() syscall.Errno) syscall.Errno {
	return d.with(func() syscall.Errno {
		if d.changes > 0 {
			if d.changes--; d.changes == 0 {
				d.dead = true
				close(d.failed)
				return errDead
			}
		}
		return operation()
	})
}

func (d *disk) isDead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// failAfter lets the power fail at the n-th change from now, or sync, instead of it. The channel is closed then.
func (d *disk) failAfter(n int) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes, d.failed = n, make(chan struct{})
	return d.failed
}

// fill takes all the room there is, or gives it back.
func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// failWrites lets the next writes fail.
func (d *disk) failWrites(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.badWrites = n
}

func (d *disk) write(n *inode, data []byte, offset int) syscall.Errno {
	switch {
	case d.full && offset+len(data) > len(n.content):
		return syscall.ENOSPC
	case d.badWrites > 0:
		d.badWrites--
		return syscall.EIO
	}
	n.write(data, offset)
	return 0
}

func (n *inode) write(data []byte, offset int) {
	if end := offset + len(data); end > len(n.content) {
		n.content = resized(n.content, end)
	}
	copy(n.content[offset:], data)
	for at := offset / sectorSize * sectorSize; at < offset+len(data); at += sectorSize {
		sector := append([]byte(nil), n.content[at:min(at+sectorSize, len(n.content))]...)
		n.writes = append(n.writes, fileChange{size: len(n.content), offset: at, sector: sector})
	}
}

func (n *inode) truncate(size int) {
	n.content = resized(n.content, size)
	n.writes = append(n.writes, fileChange{truncate: true, size: size})
}

// sync makes the file or the directory safe.
func (n *inode) sync() {
	for _, change := range n.writes {
		n.safe = change.apply(n.safe)
	}
	for _, change := range n.renames {
		change.apply(n.safeEntries)
	}
	n.writes, n.renames = nil, nil
}

func (n *inode) change(c nameChange) {
	c.apply(n.entries)
	n.renames = append(n.renames, c)
}

func (c fileChange) apply(content []byte) []byte {
	if c.truncate {
		return resized(content, c.size)
	}
	if end := c.offset + len(c.sector); end > len(content) {
		content = resized(content, end)
	}
	copy(content[c.offset:], c.sector)
	return content
}

func (c nameChange) apply(entries map[string]*inode) {
	if c.remove != "" {
		delete(entries, c.remove)
	}
	if c.set != "" {
		entries[c.set] = c.inode
	}
}

func (c nameChange) String() string {
	switch {
	case c.remove != "" && c.set != "":
		return "rename " + c.remove + " to " + c.set
	case c.set != "":
		return "create " + c.set
	default:
		return "remove " + c.remove
	}
}

// resized cuts content or extends it with zeros.
func resized(content []byte, size int) []byte {
	if size <= len(content) {
		clear(content[size:]) // what is extended later must be zeros
		return content[:size]
	}
	return append(content, make([]byte, size-len(content))...)
}

// cut is the power cut: from now on every operation fails. It returns the disk as it is found afterwards.
func (d *disk) cut() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	after := &disk{random: d.random, next: d.next}
	after.root = d.survivor("", d.root)
	return after
}

// losef notes for people what the cut has taken.
func (d *disk) losef(format string, args ...any) {
	d.losses = append(d.losses, fmt.Sprintf(format, args...))
}

// survivor is a copy of the inode with what is left, all of it safe now.
func (d *disk) survivor(path string, n *inode) *inode {
	left := &inode{number: n.number, mode: n.mode}
	if !n.isDirectory() {
		left.safe = d.survivingContent(path, n)
		left.content = append([]byte(nil), left.safe...)
		return left
	}
	left.entries, left.safeEntries = map[string]*inode{}, map[string]*inode{}
	kept := d.some(len(n.renames))
	for _, change := range n.renames[:kept] {
		change.apply(n.safeEntries)
	}
	for _, change := range n.renames[kept:] {
		d.losef("%s/: %s", path, change)
	}
	for _, name := range sortedKeys(n.safeEntries) { // in order, for the sake of the seed
		child := d.survivor(path+"/"+name, n.safeEntries[name])
		left.entries[name], left.safeEntries[name] = child, child
	}
	return left
}

// survivingContent applies some of the unsynced changes. What comes behind a truncation that is lost is lost too: it
// went to other blocks.
func (d *disk) survivingContent(path string, n *inode) []byte {
	content := append([]byte(nil), n.safe...)
	truncations := 0
	for _, change := range n.writes {
		if change.truncate {
			truncations++
		}
	}
	surviving, share := d.some(truncations), d.share()
	size := len(content)
	for _, change := range n.writes {
		if change.truncate {
			if surviving--; surviving < 0 {
				break
			}
			content = change.apply(content)
		} else if d.random.Float64() < share {
			content = change.apply(content)
		}
		size = change.size
	}
	if d.random.IntN(4) == 0 && size > len(content) {
		content = resized(content, size)
	}
	if !bytes.Equal(content, n.content) {
		d.losef("%s: %d bytes were safe, %d written, %d are left (%d truncations, share %v)",
			path, len(n.safe), len(n.content), len(content), truncations, share)
	}
	return content
}

// share is which part of the unsynced sectors of a file survives: the ends are as likely as what is between.
func (d *disk) share() float64 {
	return []float64{0, 0.05, 0.5, 0.95, 1}[d.random.IntN(5)]
}

// some is a number from 0 to n: the ends are as likely as what is between.
func (d *disk) some(n int) int {
	switch d.random.IntN(3) {
	case 0:
		return 0
	case 1:
		return n
	default:
		return d.random.IntN(n + 1)
	}
}

// rename moves a name, and replaces what is there. Within one directory that is one step; between two it is a step in
// each, which a power cut may tear apart: no filesystem does worse.
func (d *disk) rename(from *inode, name string, to *inode, newName string) syscall.Errno {
	moved, target := from.entries[name], to.entries[newName]
	switch {
	case moved == nil:
		return syscall.ENOENT
	case target != nil && target.isDirectory() && len(target.entries) > 0:
		return syscall.ENOTEMPTY
	}
	if from == to {
		from.change(nameChange{remove: name, set: newName, inode: moved})
		return 0
	}
	to.change(nameChange{set: newName, inode: moved})
	from.change(nameChange{remove: name})
	return 0
}

func (d *disk) create(parent *inode, name string, mode uint32) (*inode, syscall.Errno) {
	if parent.entries[name] != nil {
		return nil, syscall.EEXIST
	}
	n := d.newInode(mode)
	parent.change(nameChange{set: name, inode: n})
	return n, 0
}

func (d *disk) remove(parent *inode, name string, directory bool) syscall.Errno {
	n := parent.entries[name]
	switch {
	case n == nil:
		return syscall.ENOENT
	case directory && !n.isDirectory():
		return syscall.ENOTDIR
	case directory && len(n.entries) > 0:
		return syscall.ENOTEMPTY
	}
	parent.change(nameChange{remove: name})
	return 0
}
