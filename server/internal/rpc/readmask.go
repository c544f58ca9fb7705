package rpc

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// readMask selects fields of a SessionEvent. It works on encoded events: what it leaves out is skipped, not decoded.
type readMask struct {
	// key is the same for masks that select the same fields.
	key    string
	hash   uint64 // of key
	fields selection
}

// selection has what is taken of each field of a message, by number: nil stands for all of it.
type selection map[protowire.Number]selection

// maxMaskPaths is more than SessionEvent has fields.
const maxMaskPaths = 100

// compileReadMask checks every path against SessionEvent. A mask without paths selects everything: nil.
func compileReadMask(m *fieldmaskpb.FieldMask) (*readMask, error) {
	if len(m.GetPaths()) == 0 {
		return nil, nil //nolint:nilnil // no mask is a mask
	}
	if len(m.GetPaths()) > maxMaskPaths {
		return nil, invalid("read_mask.paths", "%d paths, want at most %d", len(m.GetPaths()), maxMaskPaths)
	}
	descriptor := (*deskbridgev1.SessionEvent)(nil).ProtoReflect().Descriptor()
	for i, path := range m.GetPaths() {
		if reason := checkPath(descriptor, path); reason != "" {
			return nil, invalid(fmt.Sprintf("read_mask.paths[%d]", i), "%s", reason)
		}
	}
	// The paths of a normal form are sorted, and none covers another.
	normal := &fieldmaskpb.FieldMask{Paths: append(slices.Clone(m.GetPaths()), "id", "position")}
	normal.Normalize()
	mask := &readMask{key: strings.Join(normal.Paths, ","), fields: selection{}}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(mask.key))
	mask.hash = hash.Sum64()
	for _, path := range normal.Paths {
		mask.fields.add(descriptor, path)
	}
	return mask, nil
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

// entry encodes an event as the mask shows it, in the form of fanout.Event.Wire.
func (m *readMask) entry(e *fanout.Event) ([]byte, error) {
	body, err := m.fields.appendTo(make([]byte, 0, len(e.Data)+positionRoom), e.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: position %d: %w", journal.ErrDamaged, e.Position, err)
	}
	body = protowire.AppendTag(body, eventPositionField, protowire.VarintType)
	body = protowire.AppendVarint(body, e.Position)
	entry := make([]byte, 0, len(body)+entryRoom)
	entry = protowire.AppendTag(entry, batchEventsField, protowire.BytesType)
	return protowire.AppendBytes(entry, body), nil
}

// Room for a position, and for what precedes an entry's body.
const (
	positionRoom = 1 + binary.MaxVarintLen64
	entryRoom    = 1 + binary.MaxVarintLen32
)

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
