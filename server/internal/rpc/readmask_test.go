package rpc

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/fields"
)

func TestReadMaskErrorsNameThePath(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		paths         []string
		field, reason string
	}{
		"unknown":            {[]string{"id", "nonsense"}, "read_mask.paths[1]", `SessionEvent has no field "nonsense"`},
		"JSON name":          {[]string{"sessionId"}, "read_mask.paths[0]", `SessionEvent has no field "sessionId"`},
		"empty":              {[]string{""}, "read_mask.paths[0]", `SessionEvent has no field ""`},
		"trailing dot":       {[]string{"message."}, "read_mask.paths[0]", `Message has no field ""`},
		"below a scalar":     {[]string{"session_id.x"}, "read_mask.paths[0]", "SessionEvent.session_id has no fields"},
		"within a repeated":  {[]string{"message.elements.text"}, "read_mask.paths[0]", "Message.elements is repeated"},
		"unknown in message": {[]string{"callback.ip"}, "read_mask.paths[0]", `CallbackMetadata has no field "ip"`},
		"too many":           {slices.Repeat([]string{"id"}, 101), "read_mask.paths", "101 paths"},
	} {
		_, err := fields.Compile(&fieldmaskpb.FieldMask{Paths: tt.paths})
		e, ok := err.(*fields.Error) //nolint:errorlint // returned as it is
		if !ok || e.Field != tt.field || !strings.Contains(e.Reason, tt.reason) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// allPaths are the paths that a mask may have.
func allPaths(message protoreflect.MessageDescriptor, prefix string) (paths []string) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		paths = append(paths, prefix+string(field.Name()))
		if field.Message() != nil && !field.IsList() {
			paths = append(paths, allPaths(field.Message(), prefix+string(field.Name())+".")...)
		}
	}
	return paths
}

// TestReadMaskTakesWhatItNames holds the encoded form against one by way of reflection.
func TestReadMaskTakesWhatItNames(t *testing.T) {
	t.Parallel()
	paths := allPaths((*deskbridgev1.SessionEvent)(nil).ProtoReflect().Descriptor(), "")
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.SampledFrom(paths), 1, 8).Draw(t, "paths")
		mask, err := fields.Compile(&fieldmaskpb.FieldMask{Paths: drawn})
		if err != nil {
			t.Fatal(err)
		}
		event := drawEvent(t)
		data, err := proto.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		data = protowire.AppendTag(data, 9999, protowire.BytesType) // of a newer contract
		data = protowire.AppendString(data, "new")
		entry, err := maskedEntry(mask, &fanout.Event{Position: 77, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		batch := &deskbridgev1.EventBatch{}
		if err := proto.Unmarshal(entry, batch); err != nil || len(batch.GetEvents()) != 1 {
			t.Fatalf("%v, %v", batch, err)
		}
		event.Position = 77
		prune(event.ProtoReflect(), append([]string{"id", "position"}, drawn...))
		if !proto.Equal(event, batch.GetEvents()[0]) {
			t.Fatalf("mask %v\ngot  %v\nwant %v", drawn, batch.GetEvents()[0], event)
		}
	})
}

func prune(m protoreflect.Message, paths []string) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		var below []string
		for _, path := range paths {
			if path == string(field.Name()) {
				return true
			}
			if rest, ok := strings.CutPrefix(path, string(field.Name())+"."); ok {
				below = append(below, rest)
			}
		}
		if below == nil {
			m.Clear(field)
		} else {
			prune(value.Message(), below)
		}
		return true
	})
}

func drawEvent(t *rapid.T) *deskbridgev1.SessionEvent {
	text, number := rapid.String(), rapid.Int64Range(0, 1<<40)
	event := &deskbridgev1.SessionEvent{
		Id:       text.Draw(t, "id"),
		Type:     deskbridgev1.SessionEventType(rapid.IntRange(0, 20).Draw(t, "type")),
		SdkAppId: text.Draw(t, "app"),
	}
	if rapid.Bool().Draw(t, "with text") {
		event.SessionId, event.TypeName = proto.String(text.Draw(t, "session")), proto.String("")
		event.EventTime = &timestamppb.Timestamp{Seconds: number.Draw(t, "s"), Nanos: 5}
	}
	if rapid.Bool().Draw(t, "with message") {
		event.Message = &deskbridgev1.Message{Key: proto.String(text.Draw(t, "key"))}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			event.Message.Elements = append(event.Message.Elements, &deskbridgev1.MessageElement{
				TypeName: proto.String("TIMTextElem"),
				Content: &deskbridgev1.MessageElement_Text{
					Text: &deskbridgev1.TextElement{Text: proto.String(text.Draw(t, "text"))},
				},
			})
		}
	}
	if rapid.Bool().Draw(t, "with callback") {
		event.Callback = &deskbridgev1.CallbackMetadata{ClientIp: text.Draw(t, "ip"), Platform: "Web"}
		event.SatisfactionRating, event.IsContactUser = proto.Int32(0), proto.Bool(false)
	}
	return event
}

func FuzzReadMaskOnAnyBytes(f *testing.F) {
	f.Add([]byte{0x7a, 0x02, 0x0a, 0x00}, "message.key")
	f.Add([]byte{0x7b, 0x7c}, "message.key")
	f.Add([]byte{0x78, 0x01}, "message.key,callback.client_ip")
	f.Fuzz(func(t *testing.T, data []byte, paths string) {
		mask, err := fields.Compile(&fieldmaskpb.FieldMask{Paths: strings.Split(paths, ",")})
		if err != nil {
			return
		}
		entry, err := maskedEntry(mask, &fanout.Event{Position: 1, Data: data})
		if err != nil {
			return
		}
		if _, _, size := protowire.ConsumeField(entry); size != len(entry) {
			t.Errorf("%x of %x is not one field", entry, data)
		}
	})
}

func TestMaskedEventsAreShared(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(&deskbridgev1.SessionEvent{Id: "x", SessionId: proto.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	compile := func(paths ...string) *fields.Mask {
		mask, err := fields.Compile(&fieldmaskpb.FieldMask{Paths: paths})
		if err != nil {
			t.Fatal(err)
		}
		return mask
	}
	var cache maskedEvents
	first := func(mask *fields.Mask, position, head uint64) *byte {
		item := &fanout.Item{Head: head, Events: []*fanout.Event{{Position: position, Data: data}}}
		entries, err := cache.entries(item, mask)
		if err != nil {
			t.Fatal(err)
		}
		return &entries[0][0]
	}
	shared := first(compile("session_id", "type"), 5000, 5000)
	if first(compile("type", "session_id", "id"), 5000, 5100) != shared {
		t.Error("masks of the same fields don't share")
	}
	if first(compile("session_id"), 5000, 5000) == shared || first(compile("session_id", "type"), 5001, 5001) == shared {
		t.Error("different masks or events share")
	}
	old := first(compile("session_id", "type"), 100, 5000)
	if first(compile("session_id", "type"), 100, 5000) == old {
		t.Error("an event far behind the head is kept")
	}
}

// TestFieldNumbersAreTheContracts holds the encoding by hand against the descriptors.
func TestFieldNumbersAreTheContracts(t *testing.T) {
	t.Parallel()
	for number, field := range map[protowire.Number]protoreflect.FieldDescriptor{
		responseCursorField: field(&deskbridgev1.SubscribeResponse{}, "cursor"),
		responseEventsField: field(&deskbridgev1.SubscribeResponse{}, "events"),
	} {
		if field.Number() != number {
			t.Errorf("%s is not %d", field.FullName(), number)
		}
	}
	if field(&deskbridgev1.SessionEvent{}, "traceparent").Number() != traceparentField ||
		field(&deskbridgev1.EventBatch{}, "events").Number() != batchEventsField ||
		field(&deskbridgev1.SessionEvent{}, "position").Number() != eventPositionField {
		t.Error("the entries' field numbers are not the contract's")
	}
}

func field(message proto.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	return message.ProtoReflect().Descriptor().Fields().ByName(name)
}
