package fanout

import (
	"bytes"
	"testing"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestSegments(t *testing.T) {
	t.Parallel()
	records := make([]journal.Record, 6)
	for i := range records {
		records[i] = journal.Record{Position: uint64(i + 1), Data: bytes.Repeat([]byte{byte(i)}, i)}
	}
	_, size := itemPrefix(records[:4])
	first := encode(make([]byte, 0, size), records[:4])
	_, size = itemPrefix(records[4:])
	second := encode(make([]byte, 0, size), records[4:])
	var shared arenas
	third := encode(shared.take(size), records[4:])
	fourth := encode(shared.take(size), records[4:])
	large := encode(shared.take(ArenaBytes), records[4:])

	for name, tt := range map[string]struct {
		events   []*Event
		segments int
	}{
		"none":              {nil, 0},
		"one buffer":        {first, 1},
		"two buffers":       {append(append([]*Event{}, first...), second...), 2},
		"one arena":         {append(append([]*Event{}, third...), fourth...), 1},
		"no room in it":     {append(append([]*Event{}, fourth...), large...), 2},
		"one left out":      {[]*Event{first[0], first[1], first[3]}, 2},
		"in another order":  {[]*Event{first[1], first[0]}, 2},
		"each for itself":   {[]*Event{first[0], first[2], second[1]}, 3},
		"the end of a part": {first[2:], 1},
	} {
		var want []byte
		for _, e := range tt.events {
			want = append(want, e.Wire...)
		}
		segments := Segments(tt.events)
		if got := bytes.Join(segments, nil); !bytes.Equal(got, want) || len(segments) != tt.segments {
			t.Errorf("%s: %d segments, want %d; %x, want %x", name, len(segments), tt.segments, got, want)
		}
	}
}
