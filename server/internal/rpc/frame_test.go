package rpc

import (
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

func TestFrameSharesLongEntriesOnly(t *testing.T) {
	t.Parallel()
	const long = minShared
	for name, tt := range map[string]struct {
		lengths         []int
		buffers, shared int
	}{
		"one short":    {[]int{400}, 1, 0},
		"many short":   {[]int{400, long - 20, 10, 400}, 1, 0},
		"one long":     {[]int{long}, 2, 1},
		"long, short":  {[]int{long, 400}, 3, 1},
		"alternating":  {[]int{400, long, 300, 300, long}, 4, 2},
		"several long": {[]int{long, long, long + 1}, 4, 3},
	} {
		batch, entries := batchOf(t, tt.lengths)
		f := newEventsFrame("e:1", entries)
		data := f.buffers.Materialize()
		got := &deskbridgev1.SubscribeResponse{}
		if err := proto.Unmarshal(data, got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(data) != f.size || got.GetCursor() != "e:1" || !proto.Equal(got.GetEvents(), batch) {
			t.Errorf("%s: %d bytes, said to be %d: %v", name, len(data), f.size, got)
		}
		if shared := countShared(f, entries); shared != tt.shared || len(f.buffers) != tt.buffers {
			t.Errorf("%s: %d entries shared in %d buffers, want %d in %d", name, shared, len(f.buffers), tt.shared, tt.buffers)
		}
	}
}

// batchOf makes events of about these lengths, together and each as an entry.
func batchOf(t *testing.T, lengths []int) (*deskbridgev1.EventBatch, [][]byte) {
	t.Helper()
	all, entries := &deskbridgev1.EventBatch{}, make([][]byte, len(lengths))
	for i, length := range lengths {
		one := &deskbridgev1.EventBatch{Events: []*deskbridgev1.SessionEvent{{Id: strings.Repeat("x", length)}}}
		all.Events = append(all.Events, one.GetEvents()...)
		var err error
		if entries[i], err = proto.Marshal(one); err != nil {
			t.Fatal(err)
		}
	}
	return all, entries
}

func countShared(f *frame, entries [][]byte) (shared int) {
	for _, entry := range entries {
		for _, buffer := range f.buffers {
			if &buffer.ReadOnlyData()[0] == &entry[0] {
				shared++
			}
		}
	}
	return shared
}

// TestStalledReaderKeepsItsOwnBytesOnly has a reader of a few short events that stops to read: what lies beside them in
// the window must not stay in memory with them.
func TestStalledReaderKeepsItsOwnBytesOnly(t *testing.T) {
	const events, each, size = 6500, 13, 20 << 10 // one that is wanted in 256 KiB
	service := startService(t, journal.Config{Sync: journal.SyncInterval}, fanout.Config{WindowBytes: 1 << 20},
		SessionEventsConfig{})
	client := deskbridgev1.NewSessionEventServiceClient(connect(t, serve(t, service), smallWindow()))
	stream, err := client.Subscribe(t.Context(), &deskbridgev1.SubscribeRequest{
		Filter: &deskbridgev1.EventFilter{SessionIds: []string{"wanted"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // opened, caught_up
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	store(t, service, 0, events, func(n int) journal.Entry {
		if n%each == 0 {
			return makeEntry("wanted", n, "x")
		}
		return makeEntry("other", n, strings.Repeat("x", size))
	})
	after := heap()
	t.Logf("heap: %d KiB before, %d KiB after", before>>10, after>>10)
	if limit := before + 20<<20; after > limit {
		t.Errorf("the heap has %d bytes, want at most %d", after, limit)
	}
	runtime.KeepAlive(stream)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
