package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestBlocksHoldWhatTheEngineWrote compares records of all sizes, in several files, with what the engine gives out.
func TestBlocksHoldWhatTheEngineWrote(t *testing.T) {
	t.Parallel()
	j := openAt(t, t.TempDir())
	for n, size := range []int{0, 1, 300, chunkBytes - 100, chunkBytes, MaxRecordBytes, 5, MaxRecordBytes, 7} {
		entry := Entry{
			AppID: "app", SessionID: fmt.Sprint("session ", n), DedupeKey: fmt.Sprint(n), Data: bytes.Repeat([]byte{byte(n)}, size),
		}
		if _, err := j.Append(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, j, 20, 900<<10)
	checkBlocks(t, j, 3)
	read, err := collect(t, j, 0)
	if err != nil || len(read) != 29 {
		t.Fatalf("got %d records, %v", len(read), err)
	}
	for _, got := range read {
		records, err := j.fetch(t.Context(), got.Position)
		if err != nil || len(records) != 1 {
			t.Fatalf("the engine gave %d records, %v", len(records), err)
		}
		want := records[0]
		if got.Position != want.Position || !got.StoreTime.Equal(want.StoreTime) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("position %d stored at %v with %d bytes, the engine has %d, %v, %d",
				got.Position, got.StoreTime, len(got.Data), want.Position, want.StoreTime, len(want.Data))
		}
	}
	for after := range 12 {
		if rest, err := collect(t, j, uint64(after)); err != nil || len(rest) != len(read)-after {
			t.Errorf("behind %d: got %d records, %v", after, len(rest), err)
		}
	}
}

// TestBlockReaderPassesTombstones: the engine marks by records without a message what it has removed.
func TestBlockReaderPassesTombstones(t *testing.T) {
	t.Parallel()
	dir, content := closedBlock(t, 10)
	hash := newBlockHash(eventsStream, 1)
	for _, mark := range []byte{0x40, 0x80} {
		tombstone := bytes.Clone(content[:blockRecordMin])
		copy(tombstone, []byte{blockRecordMin, 0, 0, 0})
		tombstone[11] |= mark
		tombstone[20], tombstone[21] = 0, 0
		hash.Reset()
		_, _ = hash.Write(tombstone[4:20])
		hash.Sum(tombstone[:blockRecordHead])
		length := blockRecord(content).length()
		marked := bytes.Join([][]byte{tombstone, content[:length], tombstone, content[length:], tombstone}, nil)
		if records, damage := readBlocks(t, blockOf(t, dir.stream(), marked), 0, 10); len(records) != 10 || damage != nil {
			t.Errorf("mark %x: got %d records, %v", mark, len(records), damage)
		}
		b := &blockReader{directory: blockOf(t, dir.stream(), marked)}
		if first := b.directory.firstIn(1); first != 1 {
			t.Errorf("mark %x: the file begins with position %d, want 1", mark, first)
		}
	}
}

// TestBlockReaderBeginsAnewAfterDamage: what is written behind the damage later is not taken for damaged.
func TestBlockReaderBeginsAnewAfterDamage(t *testing.T) {
	t.Parallel()
	dir, content := closedBlock(t, 10)
	fifth := len(content) / 10 * 5
	content[fifth-20] ^= 1
	damaged := blockOf(t, dir.stream(), content[:fifth+50])
	b := &blockReader{directory: damaged}
	defer func() { _ = b.close() }()
	records, err := b.read(0, 5)
	if err != nil || len(records) != 4 {
		t.Fatalf("got %d records, %v", len(records), err)
	}
	for _, through := range []uint64{5, 10} {
		var damage *DamageError
		if _, err := b.read(4, through); !errors.As(err, &damage) || *damage != (DamageError{5, 5}) {
			t.Errorf("up to %d: got %v, want damage of 5", through, err)
		}
		if err := os.WriteFile(damaged.path(1), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if records, err := b.read(5, 10); err != nil || len(records) != 5 {
		t.Errorf("behind the damage: got %d records, %v", len(records), err)
	}
}

// FuzzBlockReader changes a block file in any way. Whatever is read must be as it was written, and the rest reported.
func FuzzBlockReader(f *testing.F) {
	const last = 40
	dir, content := closedBlock(f, last)
	length := blockRecord(content).length()
	f.Add(uint(0), uint(0), []byte{})
	f.Add(uint(length), uint(1), []byte{0})                      // a length
	f.Add(uint(length+4), uint(1), []byte{1})                    // a position
	f.Add(uint(length+20), uint(1), []byte{0xff})                // the length of a subject
	f.Add(uint(length+100), uint(0), content[:length])           // a record again, within another
	f.Add(uint(0), uint(5*length), []byte{})                     // the beginning is lost
	f.Add(uint(len(content)-5), uint(100), []byte{})             // the end is lost
	f.Add(uint(len(content)), uint(0), content[len(content)-5:]) // a torn write
	f.Fuzz(func(t *testing.T, at, cut uint, put []byte) {
		at = min(at, uint(len(content)))
		cut = min(cut, uint(len(content))-at)
		changed := bytes.Join([][]byte{content[:at], put, content[at+cut:]}, nil)
		damaged := blockOf(t, dir.stream(), changed)
		for after := uint64(0); after < last; {
			records, damage := readBlocks(t, damaged, after, last)
			for _, r := range records {
				if after++; r.Position != after || string(r.Data) != string(recognizable(int(after)).Data) {
					t.Fatalf("got position %d, %q, want %d", r.Position, r.Data, after)
				}
			}
			if damage == nil {
				return
			}
			if damage.First != after+1 || damage.Last < damage.First || damage.Last > last {
				t.Fatalf("behind %d: %v", after, damage)
			}
			after = damage.Last
		}
	})
}

// closedBlock returns the block file of a journal that is closed.
func closedBlock(t testing.TB, last int) (blockDirectory, []byte) {
	t.Helper()
	home := t.TempDir()
	j, err := openLocal(t.Context(), Config{Dir: home})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= last; n++ {
		if _, err := j.Append(t.Context(), recognizable(n)); err != nil {
			t.Fatal(err)
		}
	}
	dir := j.directory.blocks(eventsStream)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(dir.path(1))
	if err != nil {
		t.Fatal(err)
	}
	return dir, content
}

// blockOf makes a directory with one block file.
func blockOf(t *testing.T, stream string, content []byte) blockDirectory {
	t.Helper()
	dir := blockDirectory(filepath.Join(t.TempDir(), stream, "msgs"))
	if err := errors.Join(os.MkdirAll(string(dir), 0o700), os.WriteFile(dir.path(1), content, 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readBlocks reads up to the end or the first damage.
func readBlocks(t *testing.T, dir blockDirectory, after, last uint64) (records []Record, damage *DamageError) {
	t.Helper()
	b := &blockReader{directory: dir}
	defer func() { _ = b.close() }()
	for after < last {
		batch, err := b.read(after, last)
		if errors.As(err, &damage) {
			return records, damage
		}
		if err != nil || len(batch) == 0 {
			t.Fatalf("behind %d: got %d records, %v", after, len(batch), err)
		}
		records = append(records, batch...)
		after = records[len(records)-1].Position
	}
	return records, nil
}
