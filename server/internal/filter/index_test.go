package filter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// randomFilter makes a filter with one to three fields over few values, so that many events match.
func randomFilter(r *rand.Rand) *deskbridgev1.EventFilter {
	some := func(prefix string) (values []string) {
		for range 1 + r.IntN(6) {
			values = append(values, fmt.Sprint(prefix, r.IntN(8)))
		}
		return values
	}
	f := new(deskbridgev1.EventFilter)
	for range 1 + r.IntN(3) {
		switch r.IntN(8) {
		case 0:
			f.SessionIds = some("session-")
		case 1:
			f.ClientUserIds = some("user-")
		case 2:
			f.AgentIds = some("agent-")
		case 3:
			f.CustomerServiceIds = some("@desk-")
		case 4:
			f.SdkAppIds = some("app-")
		case 5:
			f.Channels = append(f.Channels, deskbridgev1.Channel(1+r.IntN(2)))
		case 6:
			f.Types = append(f.Types, deskbridgev1.SessionEventType(1+r.IntN(17)))
		case 7:
			f.TypeNames = append(f.TypeNames, []string{"ChatBot.*", "Session*", "SessionEnd", "New.*", "*"}[r.IntN(5)])
		}
	}
	return f
}

func randomEvent(r *rand.Rand) *deskbridgev1.SessionEvent {
	m := &deskbridgev1.SessionEvent{
		SessionId:         proto.String(fmt.Sprint("session-", r.IntN(8))),
		ClientUserId:      proto.String(fmt.Sprint("user-", r.IntN(8))),
		AgentId:           proto.String(fmt.Sprint("agent-", r.IntN(8))),
		CustomerServiceId: proto.String(fmt.Sprint("@desk-", r.IntN(8))),
		SdkAppId:          fmt.Sprint("app-", r.IntN(8)),
		Channel:           deskbridgev1.Channel(r.IntN(3)),
		Type:              deskbridgev1.SessionEventType(r.IntN(18)),
	}
	m.TypeName = proto.String(fmt.Sprint("New.", r.IntN(500))) // More than the index remembers.
	if m.Type > 0 {
		m.TypeName = proto.String(typeNames()[m.Type-1])
	}
	return m
}

// TestIndexFindsWhatMatches lets filters come and go and compares the index with asking each filter.
func TestIndexFindsWhatMatches(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	x := NewIndex[int]()
	filters := map[int]*Filter{}
	for step := range 5000 {
		switch f := compile(t, randomFilter(r)); {
		case r.IntN(3) == 0 && len(filters) < 300 && f.HasFields():
			filters[step] = f
			x.Add(f, step)
		case r.IntN(6) == 0:
			for owner, f := range filters {
				x.Remove(f, owner)
				delete(filters, owner)
				break
			}
		}
		checkIndex(t, x, filters, read(t, randomEvent(r)))
	}
	for owner, f := range filters {
		x.Remove(f, owner)
	}
	if n := x.Len() + len(x.sessions) + len(x.users) + len(x.agents) + len(x.services) + len(x.apps) +
		len(x.channels) + len(x.kinds.all.entries); n != 0 {
		t.Errorf("%d entries left in the empty index", n)
	}
}

func checkIndex(t *testing.T, x *Index[int], filters map[int]*Filter, e *Event) {
	t.Helper()
	var want []int
	for owner, f := range filters {
		if f.MatchFields(e) {
			want = append(want, owner)
		}
	}
	got := x.AppendMatches(nil, e)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	if x.Len() != len(filters) {
		t.Fatalf("Len = %d, want %d", x.Len(), len(filters))
	}
}
