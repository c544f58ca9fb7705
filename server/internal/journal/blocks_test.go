package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestBlockSyncFollowsTheFiles(t *testing.T) {
	t.Parallel()
	dir := blockDirectory(t.TempDir())
	b := &blockSync{directory: dir}
	defer func() { _ = b.close() }()
	if err := b.sync(); err == nil {
		t.Error("synced without a file")
	}
	for _, step := range []struct {
		files []int
		want  int
	}{{[]int{9, 10}, 10}, {nil, 10}, {[]int{11}, 11}, {[]int{12, 13, 14}, 14}} {
		for _, index := range step.files {
			writeBlock(t, dir, index, uint64(index))
		}
		if err := b.sync(); err != nil || b.index != step.want {
			t.Errorf("after files %v: synced up to %d, %v, want %d", step.files, b.index, err, step.want)
		}
	}
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
	if err != nil || fmt.Sprint(blocks) != "[{2 10 12} {9 45 12} {10 50 12}]" {
		t.Errorf("got %v, %v", blocks, err)
	}
	writeBlock(t, dir, 13, 50)
	if blocks, err := dir.blocks(); !errors.Is(err, ErrDamaged) {
		t.Errorf("positions that don't rise: got %v, %v, want ErrDamaged", blocks, err)
	}
}
