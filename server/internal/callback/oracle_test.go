package callback

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// fataler is a test, or the draw of a property.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// normalised is the meaning of a body with the documented normalisations.
func normalised(t fataler, body []byte) any {
	t.Helper()
	return meaning(t, bytes.TrimPrefix(body, []byte(ByteOrderMark)))
}

// meaning parses JSON with encoding/json, numbers as their literals.
func meaning(t fataler, body []byte) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(markSurrogates(string(body))))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	return value
}

// markSurrogates replaces the escapes of lone surrogates, which encoding/json would make all the same.
func markSurrogates(body string) string {
	var marked strings.Builder
	for i := 0; i < len(body); {
		if body[i] != '\\' || i+1 == len(body) {
			marked.WriteByte(body[i])
			i++
			continue
		}
		n := 2
		if unit, ok := hexUnit(body[i:]); ok {
			n = 6
			low, _ := hexUnit(body[i+6:])
			switch {
			case utf16.DecodeRune(unit, low) != utf8.RuneError:
				n = 12
			case utf16.IsSurrogate(unit):
				fmt.Fprintf(&marked, "<lone %04x>", unit)
				i += n
				continue
			}
		}
		marked.WriteString(body[i:min(i+n, len(body))])
		i += n
	}
	return marked.String()
}

// throughWire returns the event as a subscriber gets it.
func throughWire(t fataler, event *deskbridgev1.SessionEvent) *deskbridgev1.SessionEvent {
	t.Helper()
	data, err := proto.Marshal(event)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	received := new(deskbridgev1.SessionEvent)
	if err := proto.Unmarshal(data, received); err != nil {
		t.Fatalf("unmarshal: %v", err)
	}
	if _, err := protojson.Marshal(received); err != nil {
		t.Fatalf("protojson: %v", err)
	}
	return received
}

// checkLossless checks that body decodes, and comes back whole from the event.
func checkLossless(t fataler, body []byte) *deskbridgev1.SessionEvent {
	t.Helper()
	event, err := Decode(body)
	if err != nil {
		t.Fatalf("Decode(%q): %v", body, err)
	}
	encoded, err := Encode(throughWire(t, event))
	if err != nil {
		t.Fatalf("Encode: %v\nbody %q\nevent %v", err, body, event)
	}
	if want, got := normalised(t, body), meaning(t, encoded); !reflect.DeepEqual(want, got) {
		t.Fatalf("Encode(Decode(body)) differs:\nbody %.4096q\nencoded %.4096q", body, encoded)
	}
	again, err := Decode(encoded)
	if err != nil {
		t.Fatalf("Decode(Encode): %v\nencoded %q", err, encoded)
	}
	// Entries of members that are overridden later count against the limit, so that only in a long body with
	// duplicates the canonical form may have more of them typed.
	if len(body) < 2*maxEntries && !proto.Equal(event, again) {
		t.Fatalf("canonical body decodes to another event:\n%v\n%v\nbody %q", event, again, body)
	}
	if twice, err := Encode(again); err != nil || !bytes.Equal(encoded, twice) {
		t.Fatalf("canonical form is not stable: %v\n%q\n%q", err, encoded, twice)
	}
	return event
}
