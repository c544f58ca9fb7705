package journal

import (
	"bytes"
	"errors"
	"testing"
)

func TestFrameKeepsData(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{nil, {0}, []byte("data"), bytes.Repeat([]byte{255}, 5000)} {
		got, err := unframe(frame(data))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: got %d bytes, %v", len(data), len(got), err)
		}
		if len(got) != cap(got) {
			t.Errorf("%d bytes: appending would overwrite the checksum", len(data))
		}
	}
}

// FuzzUnframe wants any change of a stored message to be noticed.
func FuzzUnframe(f *testing.F) {
	f.Add([]byte("data"), []byte("date"))
	f.Add([]byte{}, []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data, other []byte) {
		if got, err := unframe(other); err == nil && !bytes.Equal(frame(got), other) {
			t.Errorf("accepted %q, which is not what is stored for %q", other, got)
		}
		stored := frame(data)
		for i := range stored {
			stored[i] ^= 16
			if _, err := unframe(stored); !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d changed: got %v", i, err)
			}
			stored[i] ^= 16
		}
	})
}
