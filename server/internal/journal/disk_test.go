package journal

import (
	"errors"
	"math"
	"testing"
)

func TestNearlyFullDiskRefuses(t *testing.T) {
	t.Parallel()
	j, err := openLocal(t.Context(), Config{Dir: t.TempDir(), DiskReserve: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := j.Append(t.Context(), numbered(1)); !errors.Is(err, ErrFull) {
		t.Errorf("append: got %v, want ErrFull", err)
	}
	if _, err := j.Quarantine().Put(t.Context(), nil); !errors.Is(err, ErrFull) {
		t.Errorf("quarantine: got %v, want ErrFull", err)
	}
	if err := j.Ready(); !errors.Is(err, ErrFull) {
		t.Errorf("ready: got %v, want ErrFull", err)
	}
}

func TestDiskRecovers(t *testing.T) {
	t.Parallel()
	d := disk{path: t.TempDir(), reserve: math.MaxInt64}
	if err := d.check(); err != nil || !errors.Is(d.err(), ErrFull) {
		t.Errorf("full: got %v, %v", err, d.err())
	}
	d.reserve = 1
	if err := d.check(); err != nil || d.err() != nil {
		t.Errorf("with room: got %v, %v", err, d.err())
	}
}

func TestBurstLeavesTheReserve(t *testing.T) {
	t.Parallel()
	d := disk{path: t.TempDir(), reserve: 1}
	d.seen.Store(&DiskStats{Free: 10 << 20, Reserve: 4 << 20})
	admitted := 0
	for admitted < 20 && d.admit(1<<20) == nil {
		admitted++
	}
	if admitted < 6 || admitted > 7 {
		t.Errorf("took %d MiB with 6 MiB above the reserve", admitted)
	}
	for range 2 {
		if err := d.check(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.admit(1 << 20); err != nil {
		t.Errorf("with room: %v", err)
	}
}

func TestDefaultReserve(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]int64{100 << 20: 64 << 20, 10 << 30: 512 << 20, 1 << 40: 1 << 30} {
		if got := defaultReserve(size); got != want {
			t.Errorf("%d MiB: got %d MiB, want %d", size>>20, got>>20, want>>20)
		}
	}
}
