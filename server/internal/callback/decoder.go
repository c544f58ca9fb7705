package callback

import (
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// maxEntries bounds the array entries that become messages or strings of their own. An entry takes two bytes of a
// body but some hundred in memory; a real message, which has at most 12 KB, comes nowhere near.
const maxEntries = 4096

// decoder reads a body in one pass. Members that the typed fields don't hold exactly are collected in the composer.
type decoder struct {
	scanner
	composer
	entries int // array entries read so far
	relays  int // relayed messages around the position
	content contentMark

	frame *frame

	// Values whose addresses become optional fields; allocated some at a time.
	strings []string
	ints    []int64
	times   []timestamppb.Timestamp

	small [64]byte // the composer's first buffer
}

// frame is what nearly every event has, in one allocation.
type frame struct {
	event   event
	message deskbridgev1.Message
	times   [1]timestamppb.Timestamp
	strings [12]string
}

func newDecoder(text string) *decoder {
	d := &decoder{scanner: scanner{text: text}}
	d.buf = d.small[:0]
	return d
}

// decodeObject reads the object at the position into m. What m does not hold exactly is the object at the returned
// level of the composer, to be taken from there.
func decodeObject[M any](d *decoder, m *M, fields []field[M]) level {
	l := d.begin()
	var inexact uint64 // bit i: what an earlier member of field i left in the composer
	for more := d.open('}'); more; more = d.next('}') {
		name := d.name()
		i := indexOf(fields, name)
		if i < 0 {
			d.copyMember(&d.scanner, name)
			continue
		}
		bit := uint64(1) << i
		if !decodeField(d, m, &fields[i]) {
			inexact |= bit
		} else if inexact&bit != 0 {
			d.drop(name)
		}
	}
	return l
}

// decodeField reads a value into its field, and keeps it as JSON text as well where the field can't hold it exactly.
func decodeField[M any](d *decoder, m *M, f *field[M]) (exact bool) {
	pos, depth := d.pos, d.depth
	if f.decode(d, m) || d.err != nil {
		return true
	}
	d.pos, d.depth = pos, depth
	d.copyMember(&d.scanner, f.name)
	return false
}

// decodeList reads the array at the position, if it is one. An empty array is not exact, because protobuf does not
// tell it from none.
func decodeList[T any](d *decoder, list *[]*T, of entry[T]) (exact bool) {
	*list = nil
	if d.peek() != '[' {
		return false
	}
	for more := d.open(']'); more; more = d.next(']') {
		if !d.another() {
			*list = nil
			return false
		}
		m := new(T)
		if d.peek() == '{' {
			of.object(d, m)
		} else {
			*of.raw(m) = d.canonicalText()
		}
		*list = append(*list, m)
	}
	return len(*list) > 0
}

func (d *decoder) another() bool {
	d.entries++
	return d.entries <= maxEntries
}

// canonicalText reads a value of any kind.
func (d *decoder) canonicalText() string {
	start := len(d.buf)
	d.canonical(&d.scanner)
	text := string(d.buf[start:])
	d.buf = d.buf[:start]
	return text
}

// unquoted reads a string.
func (d *decoder) unquoted() (text string, exact bool) {
	raw, escaped := d.literal()
	if !escaped {
		return raw, true
	}
	return unescape(raw)
}

// stringValue understands strings, and numbers as their literal.
func (d *decoder) stringValue(p **string) (exact bool) {
	*p = nil
	var text string
	switch c := d.peek(); {
	case c == '"':
		text, exact = d.unquoted()
	case isNumberStart(c):
		text, _ = d.number()
	default:
		return false
	}
	*p = d.newString(text)
	return exact
}

func (d *decoder) stringsValue(p *[]string) (exact bool) {
	*p = nil
	if d.peek() != '[' {
		return false
	}
	exact = true
	for more := d.open(']'); more; more = d.next(']') {
		if !d.another() {
			*p = nil
			return false
		}
		if d.peek() != '"' {
			d.skip()
			exact = false
			continue
		}
		text, ok := d.unquoted()
		exact = exact && ok
		*p = append(*p, text)
	}
	return exact && len(*p) > 0
}

// integer understands whole numbers, also as a string or with a fraction of zero. Exact is a number whose literal is
// what Encode writes for v.
func (d *decoder) integer() (v int64, understood, exact bool) {
	switch c := d.peek(); {
	case c == '"':
		text, _ := d.unquoted()
		v, understood = parseInteger(text)
		return v, understood, false
	case isNumberStart(c):
		literal, integer := d.number()
		v, understood = parseInteger(literal)
		return v, understood, understood && integer && literal != "-0"
	}
	return 0, false, false
}

func parseInteger(text string) (v int64, ok bool) {
	n, integer := numberLength(text)
	if n == 0 || n != len(text) {
		return 0, false
	}
	if integer {
		v, err := strconv.ParseInt(text, 10, 64)
		return v, err == nil
	}
	const maxExact = 1 << 53
	f, err := strconv.ParseFloat(text, 64)
	return int64(f), err == nil && f == math.Trunc(f) && math.Abs(f) <= maxExact
}

func (d *decoder) intValue(p **int64) (exact bool) {
	*p = nil
	v, understood, exact := d.integer()
	if understood {
		*p = d.newInt(v)
	}
	return exact
}

func (d *decoder) int32Value(p **int32) (exact bool) {
	*p = nil
	v, understood, exact := d.integer()
	if !understood || v < math.MinInt32 || v > math.MaxInt32 {
		return false
	}
	*p = new(int32(v))
	return exact
}

// boolValue understands true and false, 1 and 0, and each of them as a string.
func (d *decoder) boolValue(p **bool) (exact bool) {
	*p = nil
	var text string
	switch c := d.peek(); {
	case c == '"':
		text, _ = d.unquoted()
	case isNumberStart(c):
		text, _ = d.number()
	case c == 't' || c == 'f':
		text, exact = d.word(), true
	}
	if v, ok := parseBool(text); ok {
		*p = new(v)
	}
	return exact
}

func parseBool(text string) (v, ok bool) {
	switch {
	case text == "1" || strings.EqualFold(text, "true"):
		return true, true
	case text == "0" || strings.EqualFold(text, "false"):
		return false, true
	}
	return false, false
}

// floatValue is exact when the shortest text of the value is the literal. Minus zero is not: few readers keep its sign.
func (d *decoder) floatValue(p **float64) (exact bool) {
	*p = nil
	var literal string
	switch c := d.peek(); {
	case c == '"':
		literal, _ = d.unquoted()
		if n, _ := numberLength(literal); n == 0 || n != len(literal) {
			return false
		}
	case isNumberStart(c):
		literal, _ = d.number()
		exact = true
	default:
		return false
	}
	v, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return false
	}
	*p = &v
	var buf [32]byte
	return exact && literal != "-0" && string(appendFloat(buf[:0], v)) == literal
}

// The years 0001 to 9999, in Unix seconds: what a Timestamp may hold.
const (
	minSeconds = -62135596800
	maxSeconds = 253402300799
)

func (d *decoder) timeValue(p **timestamppb.Timestamp, perSecond int64) (exact bool) {
	*p = nil
	v, understood, exact := d.integer()
	seconds, rest := v/perSecond, v%perSecond
	if rest < 0 {
		seconds, rest = seconds-1, rest+perSecond
	}
	if !understood || seconds < minSeconds || seconds > maxSeconds {
		return false
	}
	*p = d.newTime(seconds, int32(rest*(1e9/perSecond)))
	return exact
}

func (d *decoder) newString(v string) *string {
	if len(d.strings) == cap(d.strings) {
		d.strings = make([]string, 0, 12)
	}
	d.strings = append(d.strings, v)
	return &d.strings[len(d.strings)-1]
}

func (d *decoder) newInt(v int64) *int64 {
	if len(d.ints) == cap(d.ints) {
		d.ints = make([]int64, 0, 8)
	}
	d.ints = append(d.ints, v)
	return &d.ints[len(d.ints)-1]
}

func (d *decoder) newTime(seconds int64, nanos int32) *timestamppb.Timestamp {
	if len(d.times) == cap(d.times) {
		d.times = make([]timestamppb.Timestamp, 0, 1)
	}
	d.times = append(d.times, timestamppb.Timestamp{Seconds: seconds, Nanos: nanos})
	return &d.times[len(d.times)-1]
}
