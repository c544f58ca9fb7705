package journal

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"
)

// TestWindowIsLongerThanTheEngines repeats an entry when the log engine has forgotten it.
func TestWindowIsLongerThanTheEngines(t *testing.T) {
	t.Parallel()
	config := Config{Dir: t.TempDir(), AckTimeout: 100 * time.Millisecond}
	j, err := openLocal(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	appendUntilStored(t, j, numbered(1))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ack, err := j.writer.PublishMsg(t.Context(), newPending(numbered(1), deadline).message)
		if err == nil && !ack.Duplicate {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the engine still remembers it: %v", err)
		}
	}
	for _, when := range []string{"before", "after"} {
		if receipt := appendUntilStored(t, j, numbered(1)); !receipt.Duplicate {
			t.Errorf("%s a restart: stored again at %d", when, receipt.Position)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if j, err = openLocal(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// appendUntilStored is for a journal whose AckTimeout is short.
func appendUntilStored(t *testing.T, j *local, entry Entry) Receipt {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		receipt, err := j.Append(t.Context(), entry)
		if err == nil {
			return receipt
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestUnansweredIsLearned has a message stored whose acknowledgement nobody has seen.
func TestUnansweredIsLearned(t *testing.T) {
	t.Parallel()
	j := openAt(t, t.TempDir())
	p, err := j.newPublisher(j.events, 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	publish := func(ctx context.Context, numbers ...int) []*pending {
		var group []*pending
		for _, n := range numbers {
			group = append(group, newPending(numbered(n), deadline))
		}
		if err := p.publish(ctx, group); err != nil {
			t.Fatal(err)
		}
		return group
	}
	publish(t.Context(), 4)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, e := range publish(gone, 1, 2) {
		if e.result.err == nil {
			t.Fatal("there is an answer")
		}
	}
	awaitStored(t, j, 3)
	for n, e := range publish(t.Context(), 2, 3, 1) {
		want := result{receipt: []Receipt{{Position: 3, Duplicate: true}, {Position: 4}, {Position: 2, Duplicate: true}}[n]}
		if e.result != want {
			t.Errorf("entry %d: got %+v, want %+v", n, e.result, want)
		}
	}
	again, err := j.newPublisher(j.events, 4, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(p.recent.positions, again.recent.positions) || len(again.recent.positions) != 4 {
		t.Errorf("remembered are %v, in the files %v", p.recent.positions, again.recent.positions)
	}
}

// TestRewindIsNoticedWhileUnsure has an engine whose stream ends before what was acknowledged.
func TestRewindIsNoticedWhileUnsure(t *testing.T) {
	t.Parallel()
	j := openAt(t, t.TempDir())
	fill(t, j, 2, 10)
	p, err := j.newPublisher(j.events, 3, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	e := newPending(numbered(1), time.Now().Add(time.Minute))
	if err := p.publish(t.Context(), []*pending{e}); !errors.Is(err, errRewound) || !errors.Is(e.result.err, errRewound) {
		t.Errorf("got %v, for the entry %v, want errRewound", err, e.result.err)
	}
}

// TestDamagedRecordIsForgotten: nobody can receive it, so its repeat must be stored.
func TestDamagedRecordIsForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	appendRecognizable(t, j, 1, 5)
	damaged := copyOf(t, dir)
	edit(t, lastBlock(t, damaged), func(content []byte) []byte {
		first := blockRecord(content[:blockRecord(content).length()])
		content[blockRecordHead+first.subjectLength()] ^= 1 // of the headers' length, which the engine doesn't check
		content[first.length()+100] ^= 1
		return content
	})
	recent, err := openRecent((&directory{path: damaged}).blocks(eventsStream), time.Hour, time.Now())
	if err != nil || len(recent.positions) != 3 {
		t.Errorf("%d records are remembered, %v, want 3", len(recent.positions), err)
	}
}

func TestForgettingTakesTurns(t *testing.T) {
	t.Parallel()
	r := &recent{window: time.Minute, positions: map[key]uint64{}}
	const count = 2*forgetLimit + 1
	now := time.Now()
	for n := range uint64(count) {
		r.add(stored{keyOf([]byte{byte(n), byte(n >> 8), byte(n >> 16)}), n, now.UnixNano()})
	}
	if more := r.forget(now.Add(time.Minute)); more || len(r.byTime) != count {
		t.Errorf("within the window %d are left", len(r.byTime))
	}
	for left := count; left > 0; {
		left = max(left-forgetLimit, 0)
		more := r.forget(now.Add(time.Hour))
		if more != (left > 0) || len(r.byTime) != left || len(r.positions) != left {
			t.Fatalf("%d are left, %d to look up, want %d", len(r.byTime), len(r.positions), left)
		}
	}
}

func TestRecentIsReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openAt(t, dir)
	fill(t, j, 30, 900<<10)
	blocks := j.directory.blocks(eventsStream)
	records, err := collect(t, j, 0)
	if err != nil {
		t.Fatal(err)
	}
	last := records[29].StoreTime
	for _, c := range []struct {
		window time.Duration
		want   int
	}{{time.Hour, 30}, {last.Sub(records[19].StoreTime), 11}, {0, 1}} {
		recent, err := openRecent(blocks, c.window, last)
		if err != nil || len(recent.positions) != c.want || len(recent.byTime) != c.want {
			t.Errorf("%s: got %d in order and %d to look up, %v, want %d",
				c.window, len(recent.byTime), len(recent.positions), err, c.want)
		}
	}
	for _, after := range []uint64{0, 15, 29, 30} {
		recent, err := openRecent(blocks, time.Hour, last)
		if err != nil {
			t.Fatal(err)
		}
		clear(recent.positions)
		if err := recent.catchUp(after); err != nil || len(recent.positions) != int(30-after) {
			t.Errorf("behind %d: got %d, %v", after, len(recent.positions), err)
		}
	}
}
