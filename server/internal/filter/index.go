package filter

// Index finds, among many filters, those whose fields select an event, at a cost that grows with how many there are of
// them and not with how many are in the index. Each filter is entered under one field, the most selective it has.
//
// T names a filter's owner. All use of an index must be serialized, lookups included.
type Index[T comparable] struct {
	sessions, users, agents, services, apps values[T]
	kinds                                   kindTable[T]
	channels                                enums[T]
	count                                   int
}

// NewIndex returns an empty index.
func NewIndex[T comparable]() *Index[T] {
	return &Index[T]{
		sessions: values[T]{}, users: values[T]{}, agents: values[T]{}, services: values[T]{}, apps: values[T]{},
		kinds: kindTable[T]{resolved: map[kind]*group[T]{}}, channels: enums[T]{},
	}
}

// Len returns the number of filters.
func (x *Index[T]) Len() int { return x.count }

// Add enters a filter and its owner. The filter must have fields (see Filter.HasFields), and the owner no other filter.
func (x *Index[T]) Add(f *Filter, owner T) {
	x.table(f).add(f, owner)
	x.count++
}

// Remove undoes Add.
func (x *Index[T]) Remove(f *Filter, owner T) {
	x.table(f).remove(f, owner)
	x.count--
}

// AppendMatches appends to owners each one whose filter's fields select e, once, and returns the extended slice.
// Expressions are not evaluated.
func (x *Index[T]) AppendMatches(owners []T, e *Event) []T {
	if x.count == 0 {
		return owners
	}
	owners = x.sessions.find(e.sessionID).appendMatches(owners, e)
	owners = x.users.find(e.userID).appendMatches(owners, e)
	owners = x.agents.find(e.agentID).appendMatches(owners, e)
	owners = x.services.find(e.serviceID).appendMatches(owners, e)
	owners = x.apps.find(e.appID).appendMatches(owners, e)
	owners = x.channels[e.channel].appendMatches(owners, e)
	return x.kinds.find(e).appendMatches(owners, e)
}

// table is the filters entered under one field.
type table[T comparable] interface {
	add(f *Filter, owner T)
	remove(f *Filter, owner T)
}

// table returns where f is entered. The type comes before account and app: there are some 17 types, but many bridges
// serve a single app.
func (x *Index[T]) table(f *Filter) table[T] {
	switch {
	case !f.sessions.empty():
		return field[T]{x.sessions, &f.sessions}
	case !f.users.empty():
		return field[T]{x.users, &f.users}
	case !f.agents.empty():
		return field[T]{x.agents, &f.agents}
	case !f.kinds.all():
		return &x.kinds
	case !f.services.empty():
		return field[T]{x.services, &f.services}
	case !f.apps.empty():
		return field[T]{x.apps, &f.apps}
	default:
		return x.channels
	}
}

// values holds filters under each value they name.
type values[T comparable] map[string]*group[T]

func (v values[T]) find(value []byte) *group[T] {
	if len(v) == 0 {
		return nil
	}
	return v[string(value)]
}

// field is values together with the values that one filter names.
type field[T comparable] struct {
	values values[T]
	named  *stringSet
}

func (t field[T]) add(f *Filter, owner T) {
	t.named.each(func(value string) { addTo(t.values, value, f, owner) })
}

func (t field[T]) remove(_ *Filter, owner T) {
	t.named.each(func(value string) { removeFrom(t.values, value, owner) })
}

// enums holds filters under each channel they name.
type enums[T comparable] map[int32]*group[T]

func (t enums[T]) add(f *Filter, owner T) {
	f.channels.each(func(n int32) { addTo(t, n, f, owner) })
}

func (t enums[T]) remove(f *Filter, owner T) {
	f.channels.each(func(n int32) { removeFrom(t, n, owner) })
}

func addTo[K, T comparable](groups map[K]*group[T], key K, f *Filter, owner T) {
	if groups[key] == nil {
		groups[key] = new(group[T])
	}
	groups[key].add(f, owner)
}

func removeFrom[K, T comparable](groups map[K]*group[T], key K, owner T) {
	groups[key].remove(owner)
	if len(groups[key].entries) == 0 {
		delete(groups, key)
	}
}

// kind is what `types` and `type_names` select on.
type kind struct {
	number int32
	name   string
}

// maxKinds bounds how many types are remembered: their names come from the callbacks.
const maxKinds = 256

// kindTable holds filters by type. As prefixes can't be looked up, it works out who wants a type when it sees the type
// first, and keeps the answer up to date from then on.
type kindTable[T comparable] struct {
	all      group[T]
	resolved map[kind]*group[T]
}

func (t *kindTable[T]) add(f *Filter, owner T) {
	t.all.add(f, owner)
	for k, g := range t.resolved {
		if f.kinds.passes(k.number, []byte(k.name)) {
			g.add(f, owner)
		}
	}
}

func (t *kindTable[T]) remove(f *Filter, owner T) {
	t.all.remove(owner)
	for k, g := range t.resolved {
		if f.kinds.passes(k.number, []byte(k.name)) {
			g.remove(owner)
		}
	}
}

func (t *kindTable[T]) find(e *Event) *group[T] {
	if len(t.all.entries) == 0 {
		return nil
	}
	if g, ok := t.resolved[kind{e.kind, string(e.typeName)}]; ok {
		return g
	}
	return t.resolve(e)
}

func (t *kindTable[T]) resolve(e *Event) *group[T] {
	if len(t.resolved) == maxKinds {
		clear(t.resolved)
	}
	g := new(group[T])
	for _, entry := range t.all.entries {
		if entry.filter.kinds.passes(e.kind, e.typeName) {
			g.add(entry.filter, entry.owner)
		}
	}
	t.resolved[kind{e.kind, string(e.typeName)}] = g
	return g
}
