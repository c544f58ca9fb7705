package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// backUp copies a data directory file by file, the checkpoint last. It may belong to an open journal: a file may grow
// meanwhile, or be gone.
func backUp(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "backup")
	for _, part := range []string{formatFile, settingsFile, streamsDir, checkpointFile} {
		err := filepath.WalkDir(filepath.Join(dir, part), func(path string, entry os.DirEntry, err error) error {
			target := filepath.Join(to, strings.TrimPrefix(path, dir))
			if err == nil && entry.IsDir() {
				return os.MkdirAll(target, 0o700)
			}
			content, readErr := os.ReadFile(path)
			if errors.Is(errors.Join(err, readErr), os.ErrNotExist) {
				return nil
			}
			return errors.Join(err, readErr, os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, content, 0o600))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// TestBackupGoesOnInAnotherEpoch: the original and the backup both give positions 21 and up, for other records.
func TestBackupGoesOnInAnotherEpoch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	original := openAt(t, dir)
	appendRecognizable(t, original, 1, 20)
	backup := backUp(t, dir)
	appendRecognizable(t, original, 21, 30)

	restored := openAt(t, backup)
	checkEnds(t, restored, map[string]uint64{restored.Epoch(): 20, original.Epoch(): 20})
	if restored.Epoch() == original.Epoch() {
		t.Error("the epoch is the same")
	}
	appendRecognizable(t, restored, 21, 25)
	if err := checkRecognizable(t, restored, 0, 25); err != nil {
		t.Error(err)
	}
	checkEnds(t, restored, map[string]uint64{restored.Epoch(): 25, original.Epoch(): 20})

	if err := restored.Close(); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, backup)
	checkEnds(t, again, map[string]uint64{restored.Epoch(): 25, original.Epoch(): 20})
	if again.Epoch() != restored.Epoch() {
		t.Error("a restart changed the epoch")
	}
}

// TestBackupOfABackup: an older one of the same line shortens the epochs before it.
func TestBackupOfABackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := openAt(t, dir)
	appendRecognizable(t, first, 1, 10)
	second := openAt(t, backUp(t, dir))
	appendRecognizable(t, second, 11, 15)
	third := openAt(t, backUp(t, second.config.Dir))
	checkEnds(t, third, map[string]uint64{first.Epoch(): 10, second.Epoch(): 15, third.Epoch(): 15, "other": 0})
}

// checkEnds wants an epoch with the end 0 to be unknown.
func checkEnds(t *testing.T, l *local, want map[string]uint64) {
	t.Helper()
	bounds, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for epoch, end := range want {
		if got, ok := bounds.End(epoch); got != end || ok != (end > 0) {
			t.Errorf("epoch %s ends at %d, %t, want %d", epoch, got, ok, end)
		}
	}
}

func TestMovedDirectoryIsNoCopy(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	original := openAt(t, dir)
	appendRecognizable(t, original, 1, 3)
	if err := original.Close(); err != nil {
		t.Fatal(err)
	}
	moved := dir + "-moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if again := openAt(t, moved); again.Epoch() != original.Epoch() {
		t.Error("the epoch changed")
	}
}

// TestRestoreInPlace writes the files anew where they were, where the filesystem may give their inodes' numbers again.
func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	original := openAt(t, dir)
	appendRecognizable(t, original, 1, 3)
	if err := original.Close(); err != nil {
		t.Fatal(err)
	}
	backup := backUp(t, dir)
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(backup))); err != nil {
		t.Fatal(err)
	}
	if again := openAt(t, dir); again.Epoch() == original.Epoch() {
		t.Error("the epoch is the same")
	}
}

// TestBackupUnderLoad: a backup of a journal that is being written and trimmed holds, without a gap, at least what was
// acknowledged before.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	var acknowledged atomic.Int64
	stop, done := make(chan struct{}), make(chan error)
	go func() { done <- appendUntil(j, stop, &acknowledged) }()
	for round := range int64(6) {
		awaitAcknowledged(t, &acknowledged, (round+1)*400)
		before := acknowledged.Load()
		restored := openAt(t, backUp(t, dir))
		bounds, err := restored.Bounds(t.Context())
		if err != nil || int64(bounds.Latest) < before {
			t.Fatalf("got %+v, %v, want all up to %d", bounds, err, before)
		}
		records, err := collect(t, restored, bounds.Earliest-1)
		if err != nil || len(records) != int(bounds.Count) {
			t.Errorf("round %d, %+v: got %d records, %v", round, bounds, len(records), err)
		}
		for i, record := range records {
			n := int(bounds.Earliest) + i
			if int(record.Position) != n || !bytes.HasPrefix(record.Data, recognizable(n).Data) {
				t.Fatalf("round %d: got position %d, want %d: %.20q", round, record.Position, n, record.Data)
			}
		}
		if err := j.checkpoint.raiseFloor(uint64(before / 2)); err != nil {
			t.Fatal(err)
		}
		if err := j.trim(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func appendUntil(j *local, stop <-chan struct{}, acknowledged *atomic.Int64) error {
	for n := 1; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		entry := recognizable(n)
		entry.Data = slices.Repeat(entry.Data, 40) // some block files
		if _, err := j.Append(context.Background(), entry); err != nil {
			return err
		}
		acknowledged.Store(int64(n))
	}
}

func awaitAcknowledged(t *testing.T, acknowledged *atomic.Int64, count int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); acknowledged.Load() < count; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d acknowledged, want %d", acknowledged.Load(), count)
		}
	}
}
