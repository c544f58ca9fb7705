package filter

// group is a set of filters and their owners, quick to walk through and to remove from at any size. Nil is empty.
type group[T comparable] struct {
	entries []entry[T]
	places  map[T]int // Where an owner's entry is; only in a group that outgrew smallGroup.
}

type entry[T comparable] struct {
	filter *Filter
	owner  T
}

// smallGroup is how many entries are searched one by one. Most groups hold the one subscription of a session.
const smallGroup = 16

func (g *group[T]) add(f *Filter, owner T) {
	g.entries = append(g.entries, entry[T]{f, owner})
	switch {
	case g.places != nil:
		g.places[owner] = len(g.entries) - 1
	case len(g.entries) > smallGroup:
		g.places = make(map[T]int, len(g.entries))
		for i, e := range g.entries {
			g.places[e.owner] = i
		}
	}
}

func (g *group[T]) remove(owner T) {
	i := g.place(owner)
	last := len(g.entries) - 1
	g.entries[i] = g.entries[last]
	g.entries[last] = entry[T]{}
	g.entries = g.entries[:last]
	if g.places == nil {
		return
	}
	if i < last {
		g.places[g.entries[i].owner] = i
	}
	delete(g.places, owner)
}

func (g *group[T]) place(owner T) int {
	if g.places != nil {
		return g.places[owner]
	}
	for i := range g.entries {
		if g.entries[i].owner == owner {
			return i
		}
	}
	panic("filter: removed from an index it is not in")
}

func (g *group[T]) appendMatches(owners []T, e *Event) []T {
	if g == nil {
		return owners
	}
	for i := range g.entries {
		if g.entries[i].filter.MatchFields(e) {
			owners = append(owners, g.entries[i].owner)
		}
	}
	return owners
}
