package callback

import "google.golang.org/protobuf/types/known/timestamppb"

// field ties a member of a JSON object to a field of the message M, in both directions. A table of fields is sorted by
// name and drives both Decode and Encode.
type field[M any] struct {
	name string
	// decode reads the member's value into m, replacing what an earlier member of the name left there, and reports
	// whether m now holds the value exactly. If not, the value is read once more and kept as JSON text.
	decode func(d *decoder, m *M) (exact bool)
	// encode writes the member, unless m has none.
	encode func(w *writer, m *M)
}

func stringField[M any](name string, at func(*M) **string) field[M] {
	return field[M]{
		name:   name,
		decode: func(d *decoder, m *M) bool { return d.stringValue(at(m)) },
		encode: func(w *writer, m *M) { w.stringMember(name, *at(m)) },
	}
}

func intField[M any](name string, at func(*M) **int64) field[M] {
	return field[M]{
		name:   name,
		decode: func(d *decoder, m *M) bool { return d.intValue(at(m)) },
		encode: func(w *writer, m *M) { w.intMember(name, *at(m)) },
	}
}

func floatField[M any](name string, at func(*M) **float64) field[M] {
	return field[M]{
		name:   name,
		decode: func(d *decoder, m *M) bool { return d.floatValue(at(m)) },
		encode: func(w *writer, m *M) { w.floatMember(name, *at(m)) },
	}
}

// timeField is a time in units of which a second has perSecond.
func timeField[M any](name string, perSecond int64, at func(*M) **timestamppb.Timestamp) field[M] {
	return field[M]{
		name:   name,
		decode: func(d *decoder, m *M) bool { return d.timeValue(at(m), perSecond) },
		encode: func(w *writer, m *M) { w.timeMember(name, *at(m), perSecond) },
	}
}

// stringsField is an array of strings.
func stringsField[M any](name string, at func(*M) *[]string) field[M] {
	return field[M]{
		name:   name,
		decode: func(d *decoder, m *M) bool { return d.stringsValue(at(m)) },
		encode: func(w *writer, m *M) { w.stringsMember(name, *at(m)) },
	}
}

// entry is how an array's entries of type T are read and written.
type entry[T any] struct {
	// object reads the JSON object at the position.
	object func(d *decoder, m *T)
	// raw is where the JSON text of an entry goes that is no object.
	raw func(m *T) *string
	// encode writes an entry that is an object.
	encode func(w *writer, m *T)
}

// listField is an array of objects.
func listField[M, T any](name string, at func(*M) *[]*T, of func() entry[T]) field[M] {
	return field[M]{
		name:   name,
		decode: func(d *decoder, m *M) bool { return decodeList(d, at(m), of()) },
		encode: func(w *writer, m *M) { encodeList(w, name, *at(m), of()) },
	}
}

// indexOf finds the field of that name; -1 when there is none.
func indexOf[M any](fields []field[M], name string) int {
	for i := range fields {
		if fields[i].name == name {
			return i
		}
	}
	return -1
}
