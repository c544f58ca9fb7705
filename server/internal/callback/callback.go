// Package callback is the vendor's protocol: the body of a Desk.SessionEventNotify callback in both directions, the
// URL's query, the signature, the identity of a callback, and what its command asks for. It is pure: it must not do
// I/O, read a clock, log, or know how a callback came in and where an event goes.
//
// Decode and Encode are inverses: Encode(Decode(body)) equals body as JSON, down to the digits of every number. Encode
// writes the canonical form (members sorted by name at every level, no white space, no needless escape), so white
// space, the order of members and the spelling of escapes are not kept; JSON gives them no meaning. What JSON does give
// a meaning and is still not kept is this, the whole list of normalisations:
//
//   - A byte order mark before the body is dropped.
//   - Of members with the same name in one object, the last one is kept.
//
// Limits: a body nested deeper than 512 levels is an error. Relayed messages are typed to 16 levels and the entries of
// all arrays together to 4,096; what goes beyond is kept as JSON text in the extra_json of its holder. Time and memory
// are proportional to the body's size within these limits.
package callback

import (
	"fmt"
	"strings"
	"unicode/utf8"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// DecodeError says where and why a body can't be decoded. It holds nothing of the body's text.
type DecodeError struct {
	// Offset in bytes from the start of the body.
	Offset int64
	// Reason in words.
	Reason string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("callback body: %s at byte %d", e.Reason, e.Offset)
}

// ByteOrderMark may stand before a body.
const ByteOrderMark = "\ufeff"

// Decode turns a callback's body into an event. It sets all that comes from the body; id, position, receive_time,
// sdk_app_id and callback are left to the caller. The event does not refer to body.
//
// Any JSON object in UTF-8 decodes, whatever its members: missing, unknown and malformed ones are no error. The error
// is a *DecodeError.
func Decode(body []byte) (*deskbridgev1.SessionEvent, error) {
	d := newDecoder(string(body))
	if !utf8.ValidString(d.text) {
		d.pos = invalidUTF8(d.text)
		d.fail("invalid UTF-8")
		return nil, d.err
	}
	if strings.HasPrefix(d.text, ByteOrderMark) {
		d.pos = len(ByteOrderMark)
	}
	event := d.event()
	if d.err != nil {
		return nil, d.err
	}
	return event, nil
}

// Encode rebuilds the body of the callback that event was decoded from, in canonical form. The error says which JSON
// text in the event is malformed; there is none for an event that comes from Decode.
func Encode(event *deskbridgev1.SessionEvent) ([]byte, error) {
	w := newWriter()
	w.event(event)
	if w.err != nil {
		return nil, w.err
	}
	return w.buf, nil
}

func invalidUTF8(text string) int {
	for i, r := range text {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
			return i
		}
	}
	return len(text)
}
