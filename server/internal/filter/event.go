package filter

import (
	"fmt"
	"sync"
	"weak"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fields"
)

// Event is what filters look at in an encoded SessionEvent. After Read any number of goroutines may match it at once.
// It must not be copied.
type Event struct {
	kind, channel                                          int32
	typeName, sessionID, appID, userID, serviceID, agentID []byte // They share the encoded event.
	decoded                                                decoded
}

// Numbers of the fields in SessionEvent.
const (
	numberType      protowire.Number = 3
	numberTypeName  protowire.Number = 4
	numberSessionID protowire.Number = 5
	numberAppID     protowire.Number = 8
	numberChannel   protowire.Number = 9
	numberUserID    protowire.Number = 11
	numberServiceID protowire.Number = 12
	numberAgentID   protowire.Number = 13
)

// Read sets e to the event encoded in data, which stays shared and must not change while e is in use. It does not
// allocate. Where a field occurs twice the last one counts, as it does for a protobuf decoder.
func (e *Event) Read(position uint64, data []byte) error {
	*e = Event{decoded: decoded{position: position, data: data}}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: position %d: %w", ErrMalformed, position, protowire.ParseError(n))
		}
		data = data[n:]
		if n = e.readField(number, kind, data); n < 0 {
			return fmt.Errorf("%w: position %d: %w", ErrMalformed, position, protowire.ParseError(n))
		}
		data = data[n:]
	}
	return nil
}

// readField takes one field's value from the front of data and returns its length, or a negative protowire error.
func (e *Event) readField(number protowire.Number, kind protowire.Type, data []byte) int {
	switch kind {
	case protowire.BytesType:
		value, n := protowire.ConsumeBytes(data)
		if field := e.bytesField(number); field != nil && n >= 0 {
			*field = value
		}
		return n
	case protowire.VarintType:
		value, n := protowire.ConsumeVarint(data)
		if field := e.enumField(number); field != nil && n >= 0 {
			*field = int32(value)
		}
		return n
	default:
		return protowire.ConsumeFieldValue(number, kind, data)
	}
}

func (e *Event) bytesField(number protowire.Number) *[]byte {
	switch number {
	case numberTypeName:
		return &e.typeName
	case numberSessionID:
		return &e.sessionID
	case numberAppID:
		return &e.appID
	case numberUserID:
		return &e.userID
	case numberServiceID:
		return &e.serviceID
	case numberAgentID:
		return &e.agentID
	default:
		return nil
	}
}

func (e *Event) enumField(number protowire.Number) *int32 {
	switch number {
	case numberType:
		return &e.kind
	case numberChannel:
		return &e.channel
	default:
		return nil
	}
}

// decoded is the whole event, decoded when an expression first asks for it and shared by all that ask later.
//
// The references are weak because events wait in memory for slow readers: a decoded event takes several times the
// space of its bytes, which the bound on those bytes would not count.
type decoded struct {
	position uint64
	data     []byte
	mu       sync.Mutex
	whole    weak.Pointer[deskbridgev1.SessionEvent]
	open     weak.Pointer[deskbridgev1.SessionEvent] // without content
}

// get returns the event, or what is left of it without content.
func (d *decoded) get(content bool) (*deskbridgev1.SessionEvent, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := &d.whole
	if !content {
		kept = &d.open
	}
	if m := kept.Value(); m != nil {
		return m, nil
	}
	m, err := d.decode(content)
	if err != nil {
		return nil, fmt.Errorf("%w: position %d", ErrMalformed, d.position) // The cause may quote the event.
	}
	*kept = weak.Make(m)
	return m, nil
}

func (d *decoded) decode(content bool) (*deskbridgev1.SessionEvent, error) {
	data := d.data
	if !content {
		var err error
		if data, err = fields.Open().Append(nil, data, d.position); err != nil {
			return nil, err
		}
	}
	m := new(deskbridgev1.SessionEvent)
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, err
	}
	m.Position = d.position
	return m, nil
}
