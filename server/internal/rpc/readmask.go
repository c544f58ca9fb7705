package rpc

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/fields"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// compileReadMask returns the mask of what a caller asks for and may see; nil for whole events.
func compileReadMask(m *fieldmaskpb.FieldMask, caller *access.Principal) (*fields.Mask, error) {
	if caller.Content {
		return fields.Compile(m)
	}
	return fields.CompileOpen(m)
}

// maskedEntry encodes an event as a mask shows it, in the form of fanout.Event.Wire.
func maskedEntry(m *fields.Mask, e *fanout.Event) ([]byte, error) {
	body, err := m.Append(make([]byte, 0, len(e.Data)+positionRoom), e.Data, e.Position)
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
