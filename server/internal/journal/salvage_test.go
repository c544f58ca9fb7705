package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDamageCostsWhatIsDamaged flips a bit in each file of a journal that was not closed. Only those records are lost,
// and the files are kept as they were found.
func TestDamageCostsWhatIsDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	const count = 60
	fill(t, j, count, 400<<10)
	killed := copyOf(t, dir)
	paths := blockPaths(t, killed)
	var found [][]byte
	for _, path := range paths {
		edit(t, path, func(content []byte) []byte {
			content[1500] ^= 4
			found = append(found, bytes.Clone(content))
			return content
		})
	}
	for range 2 {
		survivors := countReadable(t, killed)
		if survivors != count-len(paths) {
			t.Errorf("%d of %d records can be read, want all but %d", survivors, count, len(paths))
		}
	}
	for i, path := range paths {
		kept, err := os.ReadFile(filepath.Join(killed, damagedDir, eventsStream+"-"+filepath.Base(path)))
		if err != nil || !slices.Equal(kept, found[i]) {
			t.Errorf("%s: got %d bytes, %v, want it as it was", path, len(kept), err)
		}
	}
}

// TestWhatWasNotPromisedIsNotDamaged: a power cut leaves pieces of what was not synced, in any order. They are no loss, so
// no reader may stop at them. The checkpoint is not synced either: it may promise less than there is.
func TestWhatWasNotPromisedIsNotDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	const count, torn = 20, 15
	fill(t, j, count, 1000)
	path := blockPaths(t, dir)[0]
	for name, state := range map[string]checkpointState{
		"behind an older head":        {Head: torn - 5},
		"of a machine that went down": {Head: count, Boot: 1},
	} {
		killed := copyOf(t, dir)
		edit(t, filepath.Join(killed, checkpointFile), func([]byte) []byte { return state.encode() })
		edit(t, filepath.Join(killed, path[len(dir):]), func(content []byte) []byte {
			content[(torn-1)*len(content)/count+500] ^= 4
			return content
		})
		j, err := openLocal(t.Context(), Config{Dir: killed})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		records, err := collect(t, j, 0)
		if err != nil || len(records) != torn-1 {
			t.Errorf("%s: got %d records, %v, want the %d before the torn one", name, len(records), err, torn-1)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}

// countReadable opens the journal, reads all it can, and closes it.
func countReadable(t *testing.T, dir string) (count int) {
	t.Helper()
	j, err := openLocal(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for after := uint64(0); ; {
		records, err := collect(t, j, after)
		count += len(records)
		damage := (*DamageError)(nil)
		if !errors.As(err, &damage) {
			if err != nil {
				t.Fatal(err)
			}
			return count
		}
		after = damage.Last
	}
}

// Damage in the quarantine takes none of its neighbours with it either.
func TestDamagedQuarantine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	for range 10 {
		if _, err := j.Quarantine().Put(t.Context(), bytes.Repeat([]byte("x"), 1000)); err != nil {
			t.Fatal(err)
		}
	}
	killed := copyOf(t, dir)
	path := (&directory{path: killed}).blocks(quarantineStream).path(1)
	edit(t, path, func(content []byte) []byte {
		content[1500] ^= 4
		return content
	})
	records, _, err := openAt(t, killed).Quarantine().List(t.Context(), 0, 20)
	if err != nil || len(records) != 9 {
		t.Errorf("got %d records, %v, want 9", len(records), err)
	}
}

func TestWhatWasNotClosedIsNotTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	fill(t, j, 20, 900<<10)
	trusted := func(dir string) bool {
		blocks := (&directory{path: dir}).blocks(eventsStream)
		indexes, err := blocks.indexes()
		if err != nil {
			t.Fatal(err)
		}
		return blocks.trustsIndex(indexes)
	}
	killed := copyOf(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if trusted(killed) || !trusted(dir) {
		t.Errorf("killed: got %v, closed: %v, want false, true", trusted(killed), trusted(dir))
	}
}
