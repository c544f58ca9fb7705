package callback

import (
	"cmp"
	"slices"
	"strings"
)

// composer writes objects in canonical form: it takes members in any order, and brings them into order, the last of
// each name only, when the object ends. Objects nest, so its buffers are stacks.
type composer struct {
	buf     []byte
	members []member
	spare   []byte
}

// member is `"name":value` at buf[start:end]. An empty one drops the members of that name before it.
type member struct {
	name       string
	start, end int
}

// level is where an object begins on the two stacks.
type level struct {
	buf, members int
}

func (c *composer) begin() level {
	l := level{buf: len(c.buf), members: len(c.members)}
	c.buf = append(c.buf, '{')
	return l
}

// key begins a member; its value is appended next, and then done called.
func (c *composer) key(name string) {
	if c.buf[len(c.buf)-1] != '{' {
		c.buf = append(c.buf, ',')
	}
	c.members = append(c.members, member{name: name, start: len(c.buf)})
	c.buf = append(c.buf, '"')
	c.buf = append(c.buf, name...)
	c.buf = append(c.buf, '"', ':')
}

func (c *composer) done() {
	c.members[len(c.members)-1].end = len(c.buf)
}

// drop takes back the members of that name that were written so far.
func (c *composer) drop(name string) {
	c.members = append(c.members, member{name: name, start: len(c.buf), end: len(c.buf)})
}

// finish ends the object.
func (c *composer) finish(l level) {
	members := c.members[l.members:]
	if !inOrder(members) {
		c.reorder(l, members)
	}
	c.buf = append(c.buf, '}')
	c.members = c.members[:l.members]
}

// take ends the object and returns it; "" for one without members. Nothing of it remains.
func (c *composer) take(l level) string {
	if len(c.members) == l.members {
		c.buf = c.buf[:l.buf]
		return ""
	}
	c.finish(l)
	text := string(c.buf[l.buf:])
	c.buf = c.buf[:l.buf]
	if text == "{}" {
		return ""
	}
	return text
}

// find returns the value of the object's member of that name so far.
func (c *composer) find(l level, name string) (value string, ok bool) {
	for _, m := range slices.Backward(c.members[l.members:]) {
		if m.name == name {
			return string(c.buf[min(m.start+len(name)+3, m.end):m.end]), m.start < m.end
		}
	}
	return "", false
}

func inOrder(members []member) bool {
	for i, m := range members {
		if m.start == m.end || i > 0 && members[i-1].name >= m.name {
			return false
		}
	}
	return true
}

func (c *composer) reorder(l level, members []member) {
	slices.SortFunc(members, compareMembers)
	sorted := c.spare[:0]
	for i, m := range members {
		last := i+1 == len(members) || members[i+1].name != m.name
		if !last || m.start == m.end {
			continue
		}
		if len(sorted) > 0 {
			sorted = append(sorted, ',')
		}
		sorted = append(sorted, c.buf[m.start:m.end]...)
	}
	c.buf = append(c.buf[:l.buf+1], sorted...)
	c.spare = sorted
}

// compareMembers orders by name, and members of the same name by age. One that drops has the start of the one after it.
func compareMembers(a, b member) int {
	if order := strings.Compare(a.name, b.name); order != 0 {
		return order
	}
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
}

// canonical reads a value of any kind and appends its canonical form. Numbers keep their literal: their digits count.
func (c *composer) canonical(s *scanner) {
	switch b := s.peek(); {
	case b == '{':
		c.canonicalObject(s)
	case b == '[':
		c.canonicalArray(s)
	case b == '"':
		c.canonicalString(s)
	case isNumberStart(b):
		literal, _ := s.number()
		c.buf = append(c.buf, literal...)
	default:
		c.buf = append(c.buf, s.word()...)
	}
}

func (c *composer) canonicalObject(s *scanner) {
	l := c.begin()
	c.copyMembers(s)
	c.finish(l)
}

// copyMembers reads an object and adds its members to the object being written.
func (c *composer) copyMembers(s *scanner) {
	for more := s.open('}'); more; more = s.next('}') {
		c.copyMember(s, s.name())
	}
}

// copyMember reads a value and adds it as a member to the object being written.
func (c *composer) copyMember(s *scanner, name string) {
	c.key(name)
	c.canonical(s)
	c.done()
}

func (c *composer) canonicalArray(s *scanner) {
	c.buf = append(c.buf, '[')
	for more := s.open(']'); more; more = s.next(']') {
		if c.buf[len(c.buf)-1] != '[' {
			c.buf = append(c.buf, ',')
		}
		c.canonical(s)
	}
	c.buf = append(c.buf, ']')
}

func (c *composer) canonicalString(s *scanner) {
	raw, escaped := s.literal()
	c.buf = append(c.buf, '"')
	if escaped {
		c.buf = appendCanonical(c.buf, raw)
	} else {
		c.buf = append(c.buf, raw...)
	}
	c.buf = append(c.buf, '"')
}
