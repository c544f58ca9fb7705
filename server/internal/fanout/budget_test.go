package fanout

import (
	"errors"
	"strings"
	"testing"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/filter"
)

// TestFiltersAreBounded subscribes with large filters up to the bound of one owner, and up to that of all.
func TestFiltersAreBounded(t *testing.T) {
	t.Parallel()
	large, err := filter.Compile(&deskbridgev1.EventFilter{
		Expression: strings.TrimSuffix(strings.Repeat("event.id.matches('a{900}')||", 140), "||"),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := New(Config{})
	var all []*Subscription
	fill := func(owner string) (count int) {
		for ; count <= maxFilterBytes/large.Size(); count++ {
			s, err := h.Subscribe(Options{Filter: large, Owner: owner})
			if err != nil {
				if !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
				return count
			}
			all = append(all, s)
		}
		return count
	}
	if got, want := fill("a"), maxFilterBytesOwner/large.Size(); got != want {
		t.Errorf("an owner has %d, want %d", got, want)
	}
	small, err := filter.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := h.Subscribe(Options{Filter: small, Owner: "b"}); err != nil {
		t.Errorf("another owner has no room: %v", err)
	} else {
		s.Close()
	}
	fill("")
	if got, want := len(all), maxFilterBytes/large.Size(); got != want {
		t.Errorf("all have %d, want %d", got, want)
	}
	for _, s := range all {
		s.Close()
		s.Close() // twice is fine
	}
	if h.filters.used != 0 || len(h.filters.owners) != 0 {
		t.Errorf("%d bytes are in use by none, %v", h.filters.used, h.filters.owners)
	}
}
