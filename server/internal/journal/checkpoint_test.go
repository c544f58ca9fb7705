package journal

import (
	"errors"
	"os"
	"testing"
)

func TestCheckpointSurvives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := openCheckpoint(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: got %v", err)
	}
	c, err := createCheckpoint(dir, checkpointState{Floor: 1, Head: 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		c.raiseHead(9), c.raiseHead(7), c.raiseFloor(3), c.raiseFloor(2), c.setBoot(4), c.close(),
	); err != nil {
		t.Fatal(err)
	}
	again, err := openCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	want := checkpointState{Floor: 3, Head: 9, Boot: 4, File: c.load().File}
	if got := again.load(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCheckpointPromisesWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	c, err := createCheckpoint(t.TempDir(), checkpointState{Floor: 1, Head: 9})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.raiseFloor(5), c.raiseHead(10)); err == nil {
		t.Error("no error from a closed file")
	}
	if state := c.load(); state.Floor != 1 || state.Head != 9 {
		t.Errorf("got floor %d and head %d, which are not on disk", state.Floor, state.Head)
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(checkpointState{1, 2, 3, 4}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		var state checkpointState
		switch err := state.decode(content); {
		case err == nil && string(state.encode()) != string(content):
			t.Errorf("accepted %x as %+v", content, state)
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Error(err)
		}
	})
}
