package callback

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// writer rebuilds a body. The first error sticks.
type writer struct {
	composer
	err error
}

func newWriter() *writer {
	return &writer{composer: composer{buf: make([]byte, 0, 1024), members: make([]member, 0, 32)}}
}

func encodeObject[M any](w *writer, m *M, fields []field[M], extra string) {
	l := w.begin()
	encodeFields(w, m, fields)
	w.extra(extra)
	w.finish(l)
}

func encodeFields[M any](w *writer, m *M, fields []field[M]) {
	for i := range fields {
		fields[i].encode(w, m)
	}
}

func encodeList[T any](w *writer, name string, list []*T, of entry[T]) {
	if len(list) == 0 {
		return
	}
	w.key(name)
	w.buf = append(w.buf, '[')
	for i, m := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		if m == nil {
			m = new(T)
		}
		if raw := *of.raw(m); raw != "" {
			w.raw("raw_json", raw)
		} else {
			of.encode(w, m)
		}
	}
	w.buf = append(w.buf, ']')
	w.done()
}

// extra adds the members of an extra_json, which override those written before.
func (w *writer) extra(text string) {
	if text == "" {
		return
	}
	s := scanner{text: text}
	s.space()
	if s.peek() != '{' {
		s.fail("want an object")
	}
	if s.err == nil {
		w.copyMembers(&s)
		s.end()
	}
	w.check("extra_json", s.err)
}

// raw writes a value that the event has as JSON text.
func (w *writer) raw(field, text string) {
	s := scanner{text: text}
	s.space()
	w.canonical(&s)
	s.end()
	w.check(field, s.err)
}

func (w *writer) check(field string, err error) {
	var malformed *DecodeError
	if w.err == nil && errors.As(err, &malformed) {
		w.err = fmt.Errorf("session event: %s: %s at byte %d", field, malformed.Reason, malformed.Offset)
	}
}

// lookup returns the value of the member of that name in an extra_json.
func lookup(extra, name string) (value string, ok bool) {
	if extra == "" {
		return "", false
	}
	s := scanner{text: extra}
	for more := s.open('}'); more; more = s.next('}') {
		found := s.name() == name
		start := s.pos
		s.skip()
		if found && s.err == nil {
			value, ok = s.text[start:s.pos], true
		}
	}
	return value, ok
}

func (c *composer) stringMember(name string, v *string) {
	if v == nil {
		return
	}
	c.key(name)
	c.quoted(*v)
	c.done()
}

func (c *composer) quoted(v string) {
	c.buf = append(c.buf, '"')
	c.buf = appendText(c.buf, v)
	c.buf = append(c.buf, '"')
}

func (c *composer) stringsMember(name string, list []string) {
	if len(list) == 0 {
		return
	}
	c.key(name)
	c.buf = append(c.buf, '[')
	for i, v := range list {
		if i > 0 {
			c.buf = append(c.buf, ',')
		}
		c.quoted(v)
	}
	c.buf = append(c.buf, ']')
	c.done()
}

func (c *composer) intMember(name string, v *int64) {
	if v == nil {
		return
	}
	c.key(name)
	c.buf = strconv.AppendInt(c.buf, *v, 10)
	c.done()
}

func (c *composer) int32Member(name string, v *int32) {
	if v != nil {
		c.intMember(name, new(int64(*v)))
	}
}

func (c *composer) boolMember(name string, v *bool) {
	if v == nil {
		return
	}
	c.key(name)
	c.buf = strconv.AppendBool(c.buf, *v)
	c.done()
}

func (c *composer) floatMember(name string, v *float64) {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return
	}
	c.key(name)
	c.buf = appendFloat(c.buf, *v)
	c.done()
}

// appendFloat appends the shortest decimal text of v; very small and large ones with an exponent.
func appendFloat(dst []byte, v float64) []byte {
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

func (c *composer) timeMember(name string, v *timestamppb.Timestamp, perSecond int64) {
	if v != nil {
		c.intMember(name, new(v.GetSeconds()*perSecond+int64(v.GetNanos())/(1e9/perSecond)))
	}
}
