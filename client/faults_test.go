package client_test

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// fault is how one stream goes wrong.
type fault struct {
	// after is how many responses are sent before.
	after int
	// kind: what happens then.
	kind string
	// batch is how many events a response holds at most.
	batch int
	// repeat is how many positions before the start the stream begins.
	repeat uint64
}

var faultKinds = []string{"cut", "end", "silence", "drain", "slow reader", "refuse", "none"}

func drawFaults(t *rapid.T) []fault {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fault {
		return fault{
			after:  rapid.IntRange(0, 6).Draw(t, "after"),
			kind:   rapid.SampledFrom(faultKinds).Draw(t, "kind"),
			batch:  rapid.IntRange(1, 5).Draw(t, "batch"),
			repeat: rapid.Uint64Range(0, 5).Draw(t, "repeat"),
		}
	}), 0, 12).Draw(t, "faults")
}

// journal is the matching positions, below a head that need not match.
type journal struct {
	positions []uint64
	head      uint64
}

func drawJournal(t *rapid.T) journal {
	var j journal
	for _, step := range rapid.SliceOfN(rapid.Uint64Range(1, 4), 0, 40).Draw(t, "steps") {
		j.head += step
		j.positions = append(j.positions, j.head)
	}
	j.head += rapid.Uint64Range(0, 3).Draw(t, "tail")
	return j
}

// plays serves the journal with a fault.
func (j journal) plays(f fault) script {
	return func(request *subscribeRequest, stream serverStream) error {
		start := uint64(0)
		if cursor := request.GetAfterCursor(); cursor != "" {
			for at(start) != cursor {
				start++
			}
		}
		if f.kind == "refuse" {
			return unavailable()
		}
		for i, response := range j.responses(start, f) {
			if i == f.after && f.kind != "none" {
				return f.happen(stream, response.GetCursor())
			}
			if err := stream.Send(response); err != nil {
				return err
			}
		}
		return nil
	}
}

// responses are those of a stream that goes well.
func (j journal) responses(start uint64, f fault) []*subscribeResponse {
	responses := []*subscribeResponse{opened(start, j.head)}
	begin := start - min(start, f.repeat)
	first := slices.IndexFunc(j.positions, func(p uint64) bool { return p > begin })
	if first >= 0 {
		for chunk := range slices.Chunk(j.positions[first:], f.batch) {
			responses = append(responses, batch(chunk...))
		}
	}
	return append(responses, heartbeat(j.head, j.head), caughtUp(j.head))
}

func (f fault) happen(stream serverStream, next string) error {
	switch f.kind {
	case "cut":
		return unavailable()
	case "silence":
		<-stream.Context().Done()
		return stream.Context().Err()
	case "drain":
		return stream.Send(&subscribeResponse{Kind: &deskbridgev1.SubscribeResponse_Draining{
			Draining: &deskbridgev1.Draining{ReconnectDelay: durationpb.New(time.Second)},
		}})
	case "slow reader":
		return failure(codes.Aborted, &deskbridgev1.ErrorDetail{
			Reason: deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER, ResumeCursor: next,
		})
	default:
		return nil
	}
}

// However streams go wrong, a loop sees each matching event once and in order. A loop that is left and entered again
// sees the event again that it was left with, and nothing else.
func TestSubscribeIsCompleteAndUniqueUnderFaults(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		j, faults := drawJournal(rt), drawFaults(rt)
		leaveAfter := rapid.SliceOfN(rapid.IntRange(1, 15), 0, 3).Draw(rt, "leave after")
		bridge := &scriptedBridge{}
		for _, f := range faults {
			bridge.scripts = append(bridge.scripts, j.plays(f))
		}
		bridge.scripts = append(bridge.scripts, j.plays(fault{kind: "none", batch: 3}))

		var loops [][]uint64
		var end error
		synctest.Test(t, func(t *testing.T) { loops, end = enterAndLeave(t, bridge, leaveAfter) })
		if end != nil {
			rt.Fatalf("ended with %v", end)
		}
		checkLoops(rt, j.positions, loops)
	})
}

// enterAndLeave ranges again and again with one store, until all events are consumed. It returns what each loop saw.
func enterAndLeave(t *testing.T, bridge *scriptedBridge, leaveAfter []int) (loops [][]uint64, end error) {
	t.Helper()
	c := serveInMemory(t, bridge)
	store := &client.MemoryCursorStore{}
	for _, limit := range append(slices.Clone(leaveAfter), math.MaxInt) {
		var seen []uint64
		for event, err := range c.Subscribe(t.Context(), batchRequest(), client.WithCursorStore(store)) {
			if err != nil {
				return loops, err
			}
			if seen = append(seen, event.GetPosition()); len(seen) == limit {
				break
			}
		}
		loops = append(loops, seen)
	}
	return loops, nil
}

func checkLoops(t *rapid.T, want []uint64, loops [][]uint64) {
	t.Helper()
	var got []uint64
	for i, seen := range loops {
		if last := len(got) - 1; i > 0 && last >= 0 && len(seen) > 0 && seen[0] == got[last] {
			got = got[:last]
		}
		got = append(got, seen...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("loops saw %v, want %v", loops, want)
	}
}
