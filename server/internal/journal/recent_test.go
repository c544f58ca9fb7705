package journal

import (
	"context"
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
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, e := range publish(gone, 1, 2) {
		if e.result.err == nil {
			t.Fatal("there is an answer")
		}
	}
	awaitStored(t, j, 2)
	for n, e := range publish(t.Context(), 2, 3, 1) {
		want := result{receipt: []Receipt{{Position: 2, Duplicate: true}, {Position: 3}, {Position: 1, Duplicate: true}}[n]}
		if e.result != want {
			t.Errorf("entry %d: got %+v, want %+v", n, e.result, want)
		}
	}
	again, err := j.newPublisher(j.events, 3, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(p.recent.positions, again.recent.positions) || len(again.recent.positions) != 3 {
		t.Errorf("remembered are %v, in the files %v", p.recent.positions, again.recent.positions)
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
