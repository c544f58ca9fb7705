package filter

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func BenchmarkRead(b *testing.B) {
	data, err := proto.Marshal(sample())
	if err != nil {
		b.Fatal(err)
	}
	e := new(Event)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Read(1, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	many := make([]string, MaxValues)
	for i := range many {
		many[i] = fmt.Sprint("session-", i)
	}
	type f = deskbridgev1.EventFilter
	for name, filter := range map[string]*f{
		"everything":    nil,
		"type":          {Types: []deskbridgev1.SessionEventType{2, 17}},
		"prefix":        {TypeNames: []string{"Human.*", "ChatBot.*"}},
		"session":       {SessionIds: []string{"session-1"}},
		"1000 sessions": {SessionIds: many},
		"three fields":  {SessionIds: []string{"session-1"}, AgentIds: []string{"agent@example.com"}, TypeNames: []string{"ChatBot.*"}},
	} {
		b.Run(name, func(b *testing.B) {
			compiled, e := compile(b, filter), read(b, sample())
			b.ReportAllocs()
			for b.Loop() {
				if !compiled.MatchFields(e) {
					b.Fatal("no match")
				}
			}
		})
	}
}

// BenchmarkExpression includes decoding the event in "first", which is what the first of an event's expressions costs.
func BenchmarkExpression(b *testing.B) {
	data, err := proto.Marshal(sample())
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{
		"comparison": "event.satisfaction_rating > 0 && event.satisfaction_rating <= 2",
		"text":       `event.message.elements.exists(e, e.text.text.contains("refund"))`,
	} {
		compiled := compile(b, &deskbridgev1.EventFilter{Expression: text})
		b.Run(name+"/first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e := new(Event)
				if err := e.Read(1, data); err != nil {
					b.Fatal(err)
				}
				mustMatch(b, compiled, e)
			}
		})
		b.Run(name+"/again", func(b *testing.B) {
			e := read(b, sample())
			m, err := e.decoded.get(true) // Keeps it from being collected.
			b.ReportAllocs()
			for b.Loop() {
				mustMatch(b, compiled, e)
			}
			if m == nil || err != nil {
				b.Fatal(err)
			}
		})
	}
}

func mustMatch(b *testing.B, f *Filter, e *Event) {
	b.Helper()
	if ok, err := f.Match(e); !ok || err != nil {
		b.Fatal(ok, err)
	}
}

// BenchmarkIndex looks events up of which one filter out of many matches.
func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(n, " sessions"), func(b *testing.B) {
			x := NewIndex[int]()
			for i := range n {
				x.Add(compile(b, &deskbridgev1.EventFilter{SessionIds: []string{fmt.Sprint("session-", i)}}), i)
			}
			benchmarkIndex(b, x)
		})
		b.Run(fmt.Sprint(n, " sessions and types"), func(b *testing.B) {
			x := NewIndex[int]()
			for i := range n {
				f := &deskbridgev1.EventFilter{SessionIds: []string{fmt.Sprint("session-", i)}}
				if i%2 == 0 {
					f = &deskbridgev1.EventFilter{TypeNames: []string{"SessionEnd"}}
				}
				x.Add(compile(b, f), i)
			}
			benchmarkIndex(b, x)
		})
	}
}

func benchmarkIndex(b *testing.B, x *Index[int]) {
	e := read(b, sample())
	var owners []int
	b.ReportAllocs()
	for b.Loop() {
		if owners = x.AppendMatches(owners[:0], e); len(owners) != 1 {
			b.Fatalf("%d match", len(owners))
		}
	}
}
