package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// copyOf copies a data directory as it is: of an open journal, that is what a killed process leaves behind. Block files
// that nobody appends to are shared with the original; edit and the log engine replace or remove files. The journal
// takes it for the original.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	shared := blockPaths(t, dir)
	shared = shared[:len(shared)-1]
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		target := filepath.Join(to, strings.TrimPrefix(path, dir))
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case slices.Contains(shared, path):
			return os.Link(path, target)
		}
		content, err := os.ReadFile(path)
		return errors.Join(err, os.WriteFile(target, content, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openCheckpoint(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.sign(), c.close()); err != nil {
		t.Fatal(err)
	}
	return to
}

// blockPaths returns the block files of the events below a data directory, in order.
func blockPaths(t *testing.T, dir string) []string {
	t.Helper()
	blocks := (&directory{path: dir}).blocks(eventsStream)
	indexes, err := blocks.indexes()
	if err != nil || len(indexes) == 0 {
		t.Fatalf("got block files %v, %v", indexes, err)
	}
	var paths []string
	for _, index := range indexes {
		paths = append(paths, blocks.path(index))
	}
	return paths
}

func lastBlock(t *testing.T, dir string) string {
	t.Helper()
	paths := blockPaths(t, dir)
	return paths[len(paths)-1]
}

// edit replaces a file by one with another content.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err := errors.Join(err, os.Remove(path), os.WriteFile(path, change(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

const textLength = 300

// recognizable is the n-th record of the damage tests: its data tells its position.
func recognizable(n int) Entry {
	text := fmt.Sprintf("record %d ", n)
	return Entry{
		SessionID: fmt.Sprint(n % 7), DedupeKey: fmt.Sprint("key ", n),
		Data: []byte(strings.Repeat(text, textLength/len(text))),
	}
}

func appendRecognizable(t *testing.T, j *local, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		receipt, err := j.Append(t.Context(), recognizable(n))
		if err != nil || receipt.Position != uint64(n) {
			t.Fatalf("append %d: got %+v, %v", n, receipt, err)
		}
	}
}

// checkReadable reads behind after and wants every record to be right, up to the end or to an ErrDamaged, which it
// returns.
func checkRecognizable(t *testing.T, j *local, after uint64, last int) error {
	t.Helper()
	records, err := collect(t, j, after)
	for i, record := range records {
		n := int(after) + i + 1
		if record.Position != uint64(n) || string(record.Data) != string(recognizable(n).Data) {
			t.Fatalf("record %d: got position %d, %q", n, record.Position, record.Data)
		}
	}
	switch {
	case err != nil && !errors.Is(err, ErrDamaged):
		t.Fatal(err)
	case err == nil && int(after)+len(records) != last:
		t.Fatalf("got %d records behind %d and no error, want up to %d", len(records), after, last)
	}
	return err
}

func TestKilledJournalIsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	appendRecognizable(t, j, 1, 50)
	killed := openAt(t, copyOf(t, dir))
	if err := checkRecognizable(t, killed, 0, 50); err != nil {
		t.Error(err)
	}
	if killed.Epoch() != j.Epoch() {
		t.Errorf("epoch: got %q, want %q", killed.Epoch(), j.Epoch())
	}
	if receipt, err := killed.Append(t.Context(), recognizable(50)); err != nil || !receipt.Duplicate {
		t.Errorf("repeat of the last record: got %+v, %v", receipt, err)
	}
	appendRecognizable(t, killed, 51, 60)
}

func TestTornWriteIsRepaired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	appendRecognizable(t, j, 1, 20)
	killed := copyOf(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"killed": killed, "closed": dir} {
		for _, length := range []int{1, 20, 22, 100, 350} {
			torn := copyOf(t, from)
			edit(t, lastBlock(t, torn), func(content []byte) []byte {
				return append(content, content[:length]...)
			})
			j := openAt(t, torn)
			appendRecognizable(t, j, 21, 25)
			if err := checkRecognizable(t, j, 0, 25); err != nil {
				t.Errorf("%s, %d bytes: %v", name, length, err)
			}
		}
	}
}

func TestLostEndIsRefusedUntilAccepted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	appendRecognizable(t, j, 1, 20)
	killed := copyOf(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"killed": killed, "closed": dir} {
		cut := copyOf(t, from)
		edit(t, lastBlock(t, cut), func(content []byte) []byte { return content[:len(content)-10] })
		for range 2 {
			_, err := openLocal(t.Context(), Config{Dir: cut})
			var damage *DamageError
			if !errors.As(err, &damage) || *damage != (DamageError{20, 20}) || !strings.Contains(err.Error(), checkpointFile) {
				t.Fatalf("%s: got %v, want the loss of record 20 and the way out", name, err)
			}
		}
		if err := os.Remove(filepath.Join(cut, checkpointFile)); err != nil {
			t.Fatal(err)
		}
		accepted := openAt(t, cut)
		if accepted.Epoch() == j.Epoch() {
			t.Errorf("%s: the epoch is the same", name)
		}
		// The engine may remember that there was a record 20, but gives its position to no other then.
		receipt, err := accepted.Append(t.Context(), recognizable(21))
		if err != nil || receipt.Position < 20 {
			t.Fatalf("%s: append: got %+v, %v", name, receipt, err)
		}
		if records, err := collect(t, accepted, 0); receipt.Position > 20 && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %d records, %v, want ErrDamaged", name, len(records), err)
		}
		records, err := collect(t, accepted, receipt.Position-1)
		if err != nil || len(records) != 1 || string(records[0].Data) != string(recognizable(21).Data) {
			t.Errorf("%s: got %v, %v, want the new record", name, records, err)
		}
	}
}

// TestFlippedBits flips bits anywhere in the block files. Each time, all records that are read must be right, and if
// they are not all there, Open or Next must say so.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	appendRecognizable(t, j, 1, 300)
	killed := copyOf(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for seed := range uint64(24) {
		from := dir
		if seed%2 == 0 {
			from = killed
		}
		flipped := copyOf(t, from)
		random := rand.New(rand.NewPCG(seed, 0))
		for range 1 + random.IntN(3) {
			edit(t, lastBlock(t, flipped), func(content []byte) []byte {
				content[random.IntN(len(content))] ^= 1 << random.IntN(8)
				return content
			})
		}
		seen[readFlipped(t, flipped, 300)]++
	}
	t.Log(seen)
	if seen["open"] == 0 || seen["read"] == 0 {
		t.Errorf("got %v, want damage to show in Open and in Next", seen)
	}
}

// readFlipped returns where the damage showed.
func readFlipped(t *testing.T, dir string, last int) string {
	t.Helper()
	j, err := openLocal(t.Context(), Config{Dir: dir})
	if errors.Is(err, ErrDamaged) {
		return "open"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if bounds, err := j.Bounds(t.Context()); err != nil || bounds.Earliest != 1 || bounds.Latest != uint64(last) {
		t.Fatalf("bounds: got %+v, %v", bounds, err)
	}
	checkFlippedSessions(t, j, last)
	err = checkRecognizable(t, j, 0, last)
	for damage := (*DamageError)(nil); errors.As(err, &damage); {
		err = checkRecognizable(t, j, damage.Last, last)
		if err == nil {
			return "read"
		}
	}
	return "nowhere"
}

// checkFlippedSessions wants each session to be whole or ErrDamaged.
func checkFlippedSessions(t *testing.T, j *local, last int) {
	t.Helper()
	for session := range 7 {
		want := (last - session + 7) / 7
		if session == 0 {
			want = last / 7
		}
		records, _, err := j.Session(t.Context(), "", fmt.Sprint(session), 0, last)
		if err == nil && len(records) != want {
			t.Fatalf("session %d: got %d records and no error, want %d", session, len(records), want)
		}
		for _, record := range records {
			n := int(record.Position)
			if n%7 != session || string(record.Data) != string(recognizable(n).Data) {
				t.Fatalf("session %d: got position %d, %q", session, n, record.Data)
			}
		}
	}
}

// TestDamagedBlockFiles damages a journal of three block files: what can be read is read, the rest is reported.
func TestDamagedBlockFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	fill(t, j, 20, 900<<10)
	checkBlocks(t, j, 3)
	killed := copyOf(t, dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	remove := func([]byte) []byte { return nil }
	flip := func(at int) func([]byte) []byte {
		return func(content []byte) []byte {
			content[at] ^= 4
			return content
		}
	}
	for name, test := range map[string]struct {
		from   string
		file   int
		damage func([]byte) []byte
	}{
		"closed, first emptied":          {dir, 0, remove},
		"closed, second emptied":         {dir, 1, remove},
		"killed, first emptied":          {killed, 0, remove},
		"closed, first position flipped": {dir, 0, flip(5)},
		"closed, length flipped":         {dir, 1, flip(1)},
		"killed, data flipped":           {killed, 1, flip(100_000)},
	} {
		damaged := copyOf(t, test.from)
		edit(t, blockPaths(t, damaged)[test.file], test.damage)
		j := openAt(t, damaged)
		var damage *DamageError
		if _, err := collect(t, j, 0); !errors.As(err, &damage) {
			t.Errorf("%s: got %v, want damage", name, err)
		} else if records, err := collect(t, j, damage.Last); err != nil || len(records) == 0 {
			t.Errorf("%s, behind %v: got %d records, %v", name, damage, len(records), err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMissingAndDamagedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	appendRecognizable(t, j, 1, 30)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	stream := filepath.Join(streamsDir, "jetstream", "$G", "streams", eventsStream)
	flip := func(content []byte) []byte {
		content[len(content)/2] ^= 1
		return content
	}
	empty := func([]byte) []byte { return nil }
	for path, damage := range map[string]func(content []byte) []byte{
		filepath.Join(stream, "msgs", "1.blk"): empty,
		checkpointFile:                         flip,
		settingsFile:                           empty,
		formatFile:                             empty,
	} {
		damaged := copyOf(t, dir)
		edit(t, filepath.Join(damaged, path), damage)
		if _, err := openLocal(t.Context(), Config{Dir: damaged}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s damaged: got %v, want ErrDamaged", path, err)
		}
	}
	for _, path := range []string{
		filepath.Join(stream, "msgs", "1.blk"), stream, streamsDir, formatFile,
	} {
		damaged := copyOf(t, dir)
		if err := os.RemoveAll(filepath.Join(damaged, path)); err != nil {
			t.Fatal(err)
		}
		if _, err := openLocal(t.Context(), Config{Dir: damaged}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s removed: got %v, want ErrDamaged", path, err)
		}
	}
	for path, damage := range map[string]func(content []byte) []byte{
		filepath.Join("msgs", "index.db"): flip,
		"meta.inf":                        flip,
		"meta.sum":                        empty,
	} {
		repaired := copyOf(t, dir)
		edit(t, filepath.Join(repaired, stream, path), damage)
		if err := checkRecognizable(t, openAt(t, repaired), 0, 30); err != nil {
			t.Errorf("%s damaged: %v", path, err)
		}
	}
}

// The log engine has one answer for what isn't there and for what it can't read, for instance for want of descriptors.
func TestUnreadableFilesAreNotTakenForNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	fill(t, j, 40, 900<<10)
	for range 20 {
		if _, err := j.Quarantine().Put(t.Context(), bytes.Repeat([]byte("x"), 900<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, err := openLocal(t.Context(), Config{Dir: dir, Retention: -1}) // has read nothing but the last files
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ago := time.Now().Add(-time.Hour)
	files := blockPaths(t, dir)
	hidden := slices.Concat(files[:len(files)-1], []string{j.directory.blocks(quarantineStream).path(1)})
	for _, path := range hidden {
		if err := os.Rename(path, path+".hidden"); err != nil {
			t.Fatal(err)
		}
	}
	for name, read := range map[string]func() error{
		"position at a time": func() error { _, err := j.PositionAt(t.Context(), ago); return err },
		"trim":               func() error { return j.trim(t.Context(), ago) },
		"session": func() error {
			records, _, err := j.Session(t.Context(), "", "1", 0, 50)
			return cmp.Or(err, fmt.Errorf("got %d records", len(records)))
		},
		"page of a session": func() error { _, _, err := j.Session(t.Context(), "", "1", 3, 1); return err },
		"record":            func() error { _, err := j.Record(t.Context(), 3); return err },
		"reader":            func() error { _, err := collect(t, j, 2); return err },
		"quarantine":        func() error { _, _, err := j.Quarantine().List(t.Context(), 0, 9); return err },
	} {
		if err := read(); !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %v, want ErrUnavailable or ErrDamaged", name, err)
		}
	}
	if floor := j.checkpoint.load().Floor; floor != 0 {
		t.Errorf("trimmed up to %d", floor)
	}
	for _, path := range hidden {
		if err := os.Rename(path+".hidden", path); err != nil {
			t.Fatal(err)
		}
	}
	if records, err := collect(t, j, 0); err != nil || len(records) != 40 {
		t.Errorf("afterwards: got %d records, %v", len(records), err)
	}
}

func TestRewoundEngineIsNoticed(t *testing.T) {
	t.Parallel()
	j := openAt(t, t.TempDir())
	appendRecognizable(t, j, 1, 2)
	j.publisher.highest = 10 // as if the engine had lost 3 to 10
	for n := 3; n < 5; n++ {
		if _, err := j.Append(t.Context(), recognizable(n)); !errors.Is(err, ErrDamaged) {
			t.Errorf("append: got %v, want ErrDamaged", err)
		}
	}
	if err := j.Ready(); !errors.Is(err, ErrDamaged) {
		t.Errorf("ready: got %v, want ErrDamaged", err)
	}
	_ = j.Close()
}

func TestPowerCutWithIntervalSync(t *testing.T) {
	t.Parallel()
	config := Config{Dir: t.TempDir(), Sync: SyncInterval}
	j, err := openLocal(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	appendRecognizable(t, j, 1, 5)
	crashed := copyOf(t, config.Dir)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openAt(t, config.Dir); again.Epoch() != j.Epoch() {
		t.Error("the epoch changed after an orderly end")
	}
	sameBoot := openAt(t, copyOf(t, crashed))
	if sameBoot.Epoch() != j.Epoch() {
		t.Error("the epoch changed after a crash of the process alone")
	}
	otherBoot(t, crashed)
	edit(t, lastBlock(t, crashed), func(content []byte) []byte { return content[:len(content)-10] })
	rebooted := openAt(t, crashed)
	if rebooted.Epoch() == j.Epoch() {
		t.Error("the epoch is the same after a power cut")
	}
	appendRecognizable(t, rebooted, 5, 6)
	if err := checkRecognizable(t, rebooted, 0, 6); err != nil {
		t.Error(err)
	}
}

// otherBoot makes a checkpoint say that it was written before the machine went down.
func otherBoot(t *testing.T, dir string) {
	t.Helper()
	c, err := openCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.load().Boot != bootID() {
		t.Fatalf("got boot %d, want this one", c.load().Boot)
	}
	if err := errors.Join(c.setBoot(1), c.close()); err != nil {
		t.Fatal(err)
	}
}
