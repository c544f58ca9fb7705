package filter

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// manyValues are different in each filter.
func manyValues(filter, count, width int) []string {
	values := make([]string, count)
	for i := range values {
		values[i] = fmt.Sprintf("%d-%0*d", filter, width, i)
	}
	return values
}

// repeated is an expression of a part as often as it fits.
func repeated(part, operator string) string {
	return strings.TrimSuffix(strings.Repeat(part+operator, MaxExpressionBytes/len(part+operator)), operator)
}

// TestSizeIsNotTooSmall holds the estimate against what the heap grows by, for filters that are made to be large. It
// runs alone, as the heap is everyone's.
func TestSizeIsNotTooSmall(t *testing.T) { //nolint:paralleltest // see above
	for name, build := range map[string]func(i int) *deskbridgev1.EventFilter{
		"one value": func(i int) *deskbridgev1.EventFilter {
			return &deskbridgev1.EventFilter{SessionIds: manyValues(i, 1, 1)}
		},
		"long values": func(i int) *deskbridgev1.EventFilter {
			return &deskbridgev1.EventFilter{SessionIds: manyValues(i, 1000, 250)}
		},
		"short values": func(i int) *deskbridgev1.EventFilter {
			return &deskbridgev1.EventFilter{ClientUserIds: manyValues(i, 1000, 4)}
		},
		"type names": func(i int) *deskbridgev1.EventFilter {
			return &deskbridgev1.EventFilter{TypeNames: manyValues(i, 1000, 100)}
		},
		"comparisons":   expressed(repeated("event.id==''", "||")),
		"a short one":   expressed("event.id == 'x'"),
		"a long list":   expressed("1 in [" + strings.Repeat("1,", 2000) + "1]"),
		"macros":        expressed(repeated("[1].all(x,x>0)", "&&")),
		"sums":          expressed("1" + strings.Repeat("+1", 200) + ">0"),
		"patterns":      expressed(repeated("event.id.matches('a{900}')", "||")),
		"short pattern": expressed(repeated("''.matches('')", "||")),
	} {
		const count = 20
		index, kept := NewIndex[int](), []any{}
		before, estimated := heapInUse(), 0
		for i := range count {
			request := build(i)
			f, err := Compile(request)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if f.HasFields() {
				index.Add(f, i)
			}
			estimated += f.Size()
			kept = append(kept, request, f)
		}
		grown := heapInUse() - before
		runtime.KeepAlive(kept)
		runtime.KeepAlive(index)
		t.Logf("%s: %d bytes, estimated %d", name, grown/count, estimated/count)
		if grown > estimated {
			t.Errorf("%s: takes %d bytes, estimated %d", name, grown/count, estimated/count)
		}
	}
}

func expressed(text string) func(int) *deskbridgev1.EventFilter {
	return func(int) *deskbridgev1.EventFilter { return &deskbridgev1.EventFilter{Expression: text} }
}

func heapInUse() int {
	runtime.GC()
	runtime.GC() // the first frees what finalizers held
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
