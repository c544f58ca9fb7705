package client_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/deskbridge/deskbridge/client"
)

// recordingStore remembers what it was asked to save, and can fail.
type recordingStore struct {
	client.MemoryCursorStore
	saved            []string
	loadErr, saveErr error
}

func (s *recordingStore) Load(ctx context.Context) (string, error) {
	if s.loadErr != nil {
		return "", s.loadErr
	}
	return s.MemoryCursorStore.Load(ctx)
}

func (s *recordingStore) Save(ctx context.Context, cursor string) error {
	if s.saveErr != nil {
		return s.saveErr
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.saved = append(s.saved, cursor)
	return s.MemoryCursorStore.Save(ctx, cursor)
}

// Behind events it is saved once a second; behind everything else, which is rare, at once.
func TestCursorIsSavedNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 9),
			batch(1), batch(2), heartbeat(5, 9), heartbeat(5, 9), batch(6), batch(7), batch(8), caughtUp(9))}}
		store := &recordingStore{}
		events := serveInMemory(t, bridge).Subscribe(t.Context(), batchRequest(), client.WithCursorStore(store))
		for _, err := range events {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if diff := cmp.Diff([]string{"e1:0", "e1:2", "e1:5", "e1:7", "e1:9"}, store.saved); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

// A store that syncs a disk must not be what a busy stream waits for.
func TestCursorIsNotSavedBehindEachBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 3), batch(1), batch(2), batch(3), caughtUp(3))}}
		store := &recordingStore{}
		if _, err := collect(t, serveInMemory(t, bridge), batchRequest(), client.WithCursorStore(store)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"e1:0", "e1:3"}, store.saved); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

func TestCursorIsSavedWithinALongBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{plays(nil, opened(0, 5), batch(1, 2, 3, 4, 5), caughtUp(5))}}
		store := &recordingStore{}
		events := serveInMemory(t, bridge).Subscribe(t.Context(), batchRequest(), client.WithCursorStore(store))
		for _, err := range events {
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(600 * time.Millisecond)
		}
		if diff := cmp.Diff([]string{"e1:0", "e1:2", "e1:4", "e1:5"}, store.saved); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

// The event that the loop was left with may not have been dealt with: it must come again.
func TestCursorStaysBeforeTheEventThatTheLoopWasLeftWith(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{
			stalls(opened(0, 3), heartbeat(1, 9), batch(2, 3, 4)),
			plays(nil, opened(2, 9), batch(3, 4), caughtUp(9)),
		}}
		c := serveInMemory(t, bridge)
		store := client.WithCursorStore(&client.MemoryCursorStore{})
		for event, err := range c.Subscribe(t.Context(), nil, store) {
			if err != nil {
				t.Fatal(err)
			}
			if event.GetPosition() == 3 {
				break
			}
		}
		again, err := collect(t, c, batchRequest(), store)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]uint64{3, 4}, again); diff != "" {
			t.Errorf("events of the second loop (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"", "e1:2"}, bridge.starts()); diff != "" {
			t.Errorf("streams opened after (-want +got):\n%s", diff)
		}
	})
}

func TestCursorStaysThereTooWhenTheLoopPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{stalls(opened(0, 3), batch(1, 2, 3))}}
		store := &recordingStore{}
		defer func() {
			if panicked := recover(); panicked != "loop" {
				t.Errorf("recovered %v", panicked)
			}
			if cursor, _ := store.MemoryCursorStore.Load(t.Context()); cursor != "e1:1" {
				t.Errorf("saved %q", cursor)
			}
		}()
		for event, err := range serveInMemory(t, bridge).Subscribe(t.Context(), nil, client.WithCursorStore(store)) {
			if err != nil {
				t.Fatal(err)
			}
			if event.GetPosition() == 2 {
				panic("loop")
			}
		}
	})
}

func TestCursorOfAFilteredStreamIsNotTakenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{stalls(opened(0, 90), heartbeat(70, 90), batch(80))}}
		store := &recordingStore{}
		for _, err := range serveInMemory(t, bridge).Subscribe(t.Context(), nil, client.WithCursorStore(store)) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if diff := cmp.Diff([]string{"e1:0", "e1:70"}, store.saved); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

func TestCursorIsSavedThoughTheContextEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bridge := &scriptedBridge{scripts: []script{stalls(opened(0, 3), batch(1, 2, 3))}}
		store := &recordingStore{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for event, err := range serveInMemory(t, bridge).Subscribe(ctx, nil, client.WithCursorStore(store)) {
			if last = err; err == nil && event.GetPosition() == 2 {
				cancel()
			}
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("ended with %v", last)
		}
		if cursor, _ := store.MemoryCursorStore.Load(t.Context()); cursor != "e1:2" {
			t.Errorf("saved %q", cursor)
		}
	})
}

func TestCursorStoreFailureEndsTheSubscription(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	tests := map[string]*recordingStore{"load": {loadErr: broken}, "save": {saveErr: broken}}
	for name, store := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bridge := &scriptedBridge{scripts: []script{stalls(opened(0, 1), batch(1))}}
				_, err := collect(t, serveInMemory(t, bridge), nil, client.WithCursorStore(store))
				if !errors.Is(err, broken) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestFileCursorStore(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path := filepath.Join(directory, "cursor")
	store := client.NewFileCursorStore(path)
	if err := os.WriteFile(path+".tmp", []byte("what a kill has left"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cursor, err := store.Load(t.Context()); cursor != "" || err != nil {
		t.Fatalf("without a file: %q, %v", cursor, err)
	}
	for _, want := range []string{"e1:7", "e1:12345678"} {
		if err := store.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := client.NewFileCursorStore(path).Load(t.Context())
		if err != nil || got != want {
			t.Errorf("loaded %q, %v; want %q", got, err, want)
		}
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("files left behind: %v", entries)
	}
}

func TestFileCursorStoreReportsFailures(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := client.NewFileCursorStore(filepath.Join(directory, "no", "cursor")).Save(t.Context(), "e1:1"); err == nil {
		t.Error("saved in a directory that doesn't exist")
	}
	if _, err := client.NewFileCursorStore(directory).Load(t.Context()); err == nil {
		t.Error("loaded a directory")
	}
	if err := client.NewFileCursorStore(directory).Save(t.Context(), "e1:1"); err == nil {
		t.Error("replaced a directory")
	}
	if entries, _ := filepath.Glob(directory + "*tmp"); len(entries) > 0 {
		t.Errorf("files left behind: %v", entries)
	}
}
