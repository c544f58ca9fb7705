package callback

import deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"

type element = deskbridgev1.MessageElement

var elementFields = []field[element]{
	{name: "MsgContent", decode: decodeContent, encode: encodeContent},
	stringField("MsgType", func(m *element) **string { return &m.TypeName }),
}

func elementEntry() entry[element] {
	return entry[element]{
		object: decodeElement,
		raw:    func(m *element) *string { return &m.RawJson },
		encode: func(w *writer, m *element) { encodeObject(w, m, elementFields, m.GetExtraJson()) },
	}
}

// contentMark is where the MsgContent of the element around the position begins, and how it was read. The zero mark
// says that there is none.
type contentMark struct {
	pos  int
	kind *contentKind
	read bool
}

func decodeElement(d *decoder, m *element) {
	outer := d.content
	d.content = contentMark{}
	l := decodeObject(d, m, elementFields)
	m.ExtraJson = d.take(l)
	d.settleContent(m)
	d.content = outer
}

// decodeContent reads a MsgContent, whose type is not known yet when MsgType comes behind it.
func decodeContent(d *decoder, m *element) (exact bool) {
	m.Content = nil
	d.content = contentMark{}
	if d.peek() == 'n' {
		return false // null: no content
	}
	d.content.pos = d.pos
	if m.TypeName == nil {
		d.skip()
		return true
	}
	d.readContent(m)
	return true
}

// settleContent reads the content again where MsgType, or the last of several, has proved that it was not read as what
// it is. At most one of the two readings can be that of a relay, so that nested elements are not read 2^n times.
func (d *decoder) settleContent(m *element) {
	mark := d.content
	if mark.pos == 0 || d.err != nil || mark.read && mark.kind == kindOf(m.GetTypeName()) {
		return
	}
	pos := d.pos
	d.pos = mark.pos
	d.readContent(m)
	d.pos = pos
}

// readContent reads the content at the position by the type that m has so far.
func (d *decoder) readContent(m *element) {
	kind := kindOf(m.GetTypeName())
	d.content.kind, d.content.read = kind, true
	if kind != nil && d.peek() == '{' {
		kind.decode(d, m)
		return
	}
	m.Content = &deskbridgev1.MessageElement_Other{
		Other: &deskbridgev1.OtherElement{ContentJson: d.canonicalText()},
	}
}

func encodeContent(w *writer, m *element) {
	if m.GetContent() == nil {
		return
	}
	w.key("MsgContent")
	if other := m.GetOther(); other != nil {
		w.raw("content_json", other.GetContentJson())
	}
	for i := range contentKinds {
		if contentKinds[i].encode(w, m) {
			break
		}
	}
	w.done()
}

// contentKind is how the MsgContent of one MsgType is read and written.
type contentKind struct {
	typeName string
	// decode reads the object at the position into m's content.
	decode func(d *decoder, m *element)
	// encode writes m's content, if it is of this kind.
	encode func(w *writer, m *element) bool
}

// kindOf returns nil for a type that the contract does not know.
func kindOf(typeName string) *contentKind {
	for i := range contentKinds {
		if contentKinds[i].typeName == typeName {
			return &contentKinds[i]
		}
	}
	return nil
}

// contentOf makes the kind of the content C, of which get and set are the oneof case, and extra the extra_json.
func contentOf[C any](
	typeName string, fields []field[C],
	get func(*element) *C, set func(*element, *C), extra func(*C) *string,
) contentKind {
	return contentKind{
		typeName: typeName,
		decode: func(d *decoder, m *element) {
			c := new(C)
			set(m, c)
			l := decodeObject(d, c, fields)
			*extra(c) = d.take(l)
		},
		encode: func(w *writer, m *element) bool {
			c := get(m)
			if c != nil {
				encodeObject(w, c, fields, *extra(c))
			}
			return c != nil
		},
	}
}
