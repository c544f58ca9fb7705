package fields

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Every field of a SessionEvent is in one of the two lists, or below a path of one. A new field that is in neither is
// content to this package, as what is open is named and not what is closed; a test asks for the decision.

// openPaths hold what a reader may see who has no right to content: what happened, when, in which session, and who took
// part, by their account names. In place of the id it sees another one.
func openPaths() []string {
	return []string{
		"id", "position", "type", "type_name", "session_id", "event_time", "receive_time", "sdk_app_id", "channel",
		"channel_name", "client_user_id", "customer_service_id", "agent_id", "forward_from_agent_id", "message.key",
		"is_contact_user", "satisfaction_rating", "callback.platform", "callback.request_id", "traceparent",
		"callback_command",
	}
}

// contentPaths hold people's words, whatever an app has attached to them, JSON of unknown meaning, and the addresses of
// people's devices.
func contentPaths() []string {
	return []string{"message.elements", "cloud_custom_data", "callback.client_ip", "extra_json"}
}

var openMask = sync.OnceValue(func() *Mask { return compile(openPaths(), true) })

// Open returns the mask of everything but content.
func Open() *Mask { return openMask() }

// CompileOpen is Compile for a reader without a right to content: what a path holds of it is left out. A path that
// holds nothing else is refused.
func CompileOpen(m *fieldmaskpb.FieldMask) (*Mask, error) {
	asked, err := Compile(m)
	if err != nil {
		return nil, err
	}
	if asked == nil {
		return Open(), nil
	}
	for i, path := range m.GetPaths() {
		if !holdsOpen(path) {
			return nil, pathError(i, path+" is message content, which this caller may not read", true)
		}
	}
	return compile(fieldmaskpb.Intersect(m, &fieldmaskpb.FieldMask{Paths: openPaths()}).GetPaths(), true), nil
}

// blindID stands for an event's id where there is no right to content. The id itself is a hash over the content, and
// nothing of it is secret: who can guess a short text learns from it whether the guess is right. This one is made of
// what the reader may know anyway. The position alone would not do: after the loss of a journal, another event may have
// it.
func blindID(event []byte, position uint64) (string, error) {
	received, err := receiveTime(event)
	return fmt.Sprintf("%d-%d", position, received.AsTime().UnixNano()), err
}

// receiveTime reads that field of an encoded event, the last one if there are several.
func receiveTime(event []byte) (*timestamppb.Timestamp, error) {
	received := &timestamppb.Timestamp{}
	for len(event) > 0 {
		number, kind, size := protowire.ConsumeField(event)
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		if number == numberReceiveTime && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(event[protowire.SizeTag(number):])
			if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(value, received); err != nil {
				return nil, err
			}
		}
		event = event[size:]
	}
	return received, nil
}

// holdsOpen tells whether anything that a path selects is open.
func holdsOpen(path string) bool {
	return slices.ContainsFunc(openPaths(), func(open string) bool { return covers(path, open) || covers(open, path) })
}

// covers tells whether path selects all that other does.
func covers(path, other string) bool { return path == other || strings.HasPrefix(other, path+".") }

// ContentNames are the names of the content fields, without the messages that they are in.
func ContentNames() []string {
	names := contentPaths()
	for i, path := range names {
		names[i] = path[strings.LastIndexByte(path, '.')+1:]
	}
	return names
}
