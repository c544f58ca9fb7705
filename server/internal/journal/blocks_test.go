package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// syncedBlocks is a directory whose files grow as a test says, and what of each has been synced.
type syncedBlocks struct {
	t         *testing.T
	directory blockDirectory
	synced    map[int]int64 // by the file's number
	during    func()        // called at the end of the next fsync, which no longer covers what it does
}

// syncBlocks follows a directory that holds some files already.
func syncBlocks(t *testing.T, indexes ...int) (*syncedBlocks, *blockSync) {
	t.Helper()
	s := &syncedBlocks{t: t, directory: blockDirectory(t.TempDir()), synced: map[int]int64{}}
	for _, index := range indexes {
		s.synced[index] = s.grow(index)
	}
	b, err := openBlockSync(s.directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.close() })
	b.fsync = s.fsync
	return s, b
}

func (s *syncedBlocks) fsync(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	var index int
	if _, err := fmt.Sscanf(filepath.Base(file.Name()), "%d.blk", &index); err != nil {
		return err
	}
	s.synced[index] = max(s.synced[index], info.Size())
	if during := s.during; during != nil {
		s.during = nil
		during()
	}
	return nil
}

// grow appends to a file, or makes it, and returns its size.
func (s *syncedBlocks) grow(index int) int64 {
	s.t.Helper()
	file, err := os.OpenFile(s.directory.path(index), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("records"); err != nil {
		s.t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	return info.Size()
}

// check syncs, and expects everything that was there before to be synced.
func (s *syncedBlocks) check(b *blockSync) {
	s.t.Helper()
	before := map[int]int64{}
	indexes, err := s.directory.indexes()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, index := range indexes {
		info, err := os.Stat(s.directory.path(index))
		if err != nil {
			s.t.Fatal(err)
		}
		before[index] = info.Size()
	}
	if err := b.sync(); err != nil {
		s.t.Fatal(err)
	}
	for _, index := range indexes {
		if s.synced[index] < before[index] {
			s.t.Errorf("file %d has %d bytes, %d of them synced", index, before[index], s.synced[index])
		}
	}
}

func TestBlockSyncFollowsTheFiles(t *testing.T) {
	t.Parallel()
	s, b := syncBlocks(t)
	if err := b.sync(); err == nil {
		t.Error("synced without a file")
	}
	for _, grown := range [][]int{{9, 10}, nil, {10, 11}, {11, 12, 13, 14}, {14}} {
		for _, index := range grown {
			s.grow(index)
		}
		s.check(b)
	}
}

func TestBlockSyncBeginsWithTheLastFileThatWasThere(t *testing.T) {
	t.Parallel()
	s, b := syncBlocks(t, 3, 4)
	s.grow(4)
	s.grow(5)
	s.check(b)
}

// The next group fills up the file, and goes on in another one, while this group is synced.
func TestBlockSyncComesBackToAFileThatGrewMeanwhile(t *testing.T) {
	t.Parallel()
	s, b := syncBlocks(t, 1)
	s.grow(1)
	s.during = func() {
		s.grow(1)
		s.grow(2)
	}
	s.check(b)
	s.check(b)
}

func TestBlockSyncPassesOverFilesThatWereTrimmedUnsynced(t *testing.T) {
	t.Parallel()
	s, b := syncBlocks(t, 1)
	for index := 1; index <= 5; index++ {
		s.grow(index)
	}
	for index := 1; index <= 3; index++ {
		if err := os.Remove(s.directory.path(index)); err != nil {
			t.Fatal(err)
		}
	}
	s.check(b)
}

func writeBlock(t *testing.T, dir blockDirectory, index int, first uint64) {
	t.Helper()
	if err := os.WriteFile(dir.path(index), fmt.Appendf(nil, "....%c\x00\x00\x00\x00\x00\x00\x00", first), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBlocksAreListedInOrder(t *testing.T) {
	t.Parallel()
	dir := blockDirectory(t.TempDir())
	for _, index := range []int{2, 10, 9} {
		writeBlock(t, dir, index, uint64(index*5))
	}
	for _, name := range []string{"index.db", "11.blk.tmp", "011.blk", "11.key", "x.blk"} {
		if err := os.WriteFile(filepath.Join(string(dir), name), []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir.path(12), nil, 0o600); err != nil { // just made
		t.Fatal(err)
	}
	blocks, err := dir.blocks()
	if err != nil || fmt.Sprint(blocks) != "[{2 12} {9 12} {10 12}]" {
		t.Errorf("got %v, %v", blocks, err)
	}
}
