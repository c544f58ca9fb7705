// Package fields selects fields of session events: those a reader asks for, and those that a reader may see who has no
// right to what people wrote. It works on encoded events: what is left out is skipped, not decoded.
//
// The package is pure: it must not do I/O, and must not know who asks.
package fields

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// Mask selects fields of a SessionEvent. It is immutable.
type Mask struct {
	// Key is the same for masks that select the same fields.
	Key string
	// Hash is one of Key.
	Hash   uint64
	fields selection
	blind  bool // for a reader without a right to content
}

// selection has what is taken of each field of a message, by number: nil stands for all of it.
type selection map[protowire.Number]selection

// maxPaths is more than SessionEvent has fields.
const maxPaths = 100

// Error is a mistake in a read mask.
type Error struct {
	// Field in the request, such as "read_mask.paths[2]".
	Field string
	// Reason says what is wrong with it.
	Reason string
	// Denied: there is nothing wrong with it, but the caller may not read it.
	Denied bool
}

// Error implements error.
func (e *Error) Error() string { return e.Field + ": " + e.Reason }

func pathError(i int, reason string, denied bool) error {
	return &Error{Field: fmt.Sprintf("read_mask.paths[%d]", i), Reason: reason, Denied: denied}
}

// Compile checks every path of m against SessionEvent. A mask without paths selects everything: nil. `id` and
// `position` always come. A mistake comes back as an *Error.
func Compile(m *fieldmaskpb.FieldMask) (*Mask, error) {
	if len(m.GetPaths()) == 0 {
		return nil, nil //nolint:nilnil // no mask is a mask
	}
	if len(m.GetPaths()) > maxPaths {
		return nil, &Error{
			Field:  "read_mask.paths",
			Reason: fmt.Sprintf("%d paths, want at most %d", len(m.GetPaths()), maxPaths),
		}
	}
	for i, path := range m.GetPaths() {
		if reason := checkPath(eventDescriptor(), path); reason != "" {
			return nil, pathError(i, reason, false)
		}
	}
	return compile(m.GetPaths(), false), nil
}

func eventDescriptor() protoreflect.MessageDescriptor {
	return (*deskbridgev1.SessionEvent)(nil).ProtoReflect().Descriptor()
}

// compile takes paths that are known to be good.
func compile(paths []string, blind bool) *Mask {
	// The paths of a normal form are sorted, and none covers another.
	normal := &fieldmaskpb.FieldMask{Paths: append(slices.Clone(paths), "id", "position")}
	normal.Normalize()
	mask := &Mask{Key: fmt.Sprint(blind, normal.Paths), fields: selection{}, blind: blind}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(mask.Key))
	mask.Hash = hash.Sum64()
	for _, path := range normal.Paths {
		mask.fields.add(eventDescriptor(), path)
	}
	if blind {
		delete(mask.fields, numberID)
	}
	return mask
}

// checkPath says what is wrong with a path; nothing when it is empty. Paths follow the rules of FieldMask: names as in
// the contract, and a repeated field only at the end.
func checkPath(message protoreflect.MessageDescriptor, path string) (reason string) {
	for {
		name, rest, more := strings.Cut(path, ".")
		field := message.Fields().ByName(protoreflect.Name(name))
		switch {
		case field == nil:
			return fmt.Sprintf("%s has no field %q", message.Name(), name)
		case !more:
			return ""
		case field.IsList() || field.IsMap():
			return fmt.Sprintf("%s.%s is repeated: its parts can't be selected", message.Name(), name)
		case field.Message() == nil:
			return fmt.Sprintf("%s.%s has no fields", message.Name(), name)
		}
		message, path = field.Message(), rest
	}
}

func (s selection) add(message protoreflect.MessageDescriptor, path string) {
	name, rest, more := strings.Cut(path, ".")
	field := message.Fields().ByName(protoreflect.Name(name))
	if !more {
		s[field.Number()] = nil
		return
	}
	if s[field.Number()] == nil {
		s[field.Number()] = selection{}
	}
	s[field.Number()].add(field.Message(), rest)
}

// Numbers of the fields in SessionEvent.
const (
	numberID          protowire.Number = 1
	numberReceiveTime protowire.Number = 7
)

// Append appends what the mask takes of the encoded event at a position. The error says that the bytes are no encoded
// event.
func (m *Mask) Append(out, event []byte, position uint64) ([]byte, error) {
	out, err := m.fields.appendTo(out, event)
	if err != nil || !m.blind {
		return out, err
	}
	id, err := blindID(event, position)
	return protowire.AppendString(protowire.AppendTag(out, numberID, protowire.BytesType), id), err
}

// appendTo appends what the selection takes of an encoded message.
func (s selection) appendTo(out, message []byte) ([]byte, error) {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeField(message)
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		part, selected := s[number]
		switch {
		case !selected:
		case part == nil:
			out = append(out, message[:size]...)
		default:
			var err error
			if out, err = part.appendField(out, number, kind, message[:size]); err != nil {
				return nil, err
			}
		}
		message = message[size:]
	}
	return out, nil
}

// appendField appends a field that holds a message with what the selection takes of it.
func (s selection) appendField(
	out []byte, number protowire.Number, kind protowire.Type, field []byte,
) ([]byte, error) {
	if kind != protowire.BytesType {
		return nil, fmt.Errorf("field %d is not a message", number)
	}
	message, _ := protowire.ConsumeBytes(field[protowire.SizeTag(number):])
	part, err := s.appendTo(nil, message)
	if err != nil {
		return nil, err
	}
	return protowire.AppendBytes(protowire.AppendTag(out, number, kind), part), nil
}
