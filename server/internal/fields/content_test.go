package fields

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// TestEveryFieldIsOpenOrContent asks for a decision about each new field of the contract.
func TestEveryFieldIsOpenOrContent(t *testing.T) {
	t.Parallel()
	named := append(openPaths(), contentPaths()...)
	for _, path := range named {
		if reason := checkPath(eventDescriptor(), path); reason != "" {
			t.Errorf("%s: %s", path, reason)
		}
	}
	if slices.Sort(named); len(slices.Compact(named)) != len(openPaths())+len(contentPaths()) {
		t.Error("a path is named twice")
	}
	checkNamed(t, eventDescriptor(), "", named)
}

// checkNamed goes down to where a path is named: what lies below belongs to it.
func checkNamed(t *testing.T, message protoreflect.MessageDescriptor, prefix string, named []string) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		path := prefix + string(field.Name())
		below := slices.ContainsFunc(named, func(n string) bool { return strings.HasPrefix(n, path+".") })
		switch {
		case slices.Contains(named, path) && !below:
		case below && !slices.Contains(named, path) && field.Message() != nil && !field.IsList():
			checkNamed(t, field.Message(), path+".", named)
		default:
			t.Errorf("%s: say in content.go whether it is content, and nothing of what is below it twice", path)
		}
	}
}

const words = "what somebody wrote"

// fillIn sets every field of a message, down to a depth, texts to words.
func fillIn(m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		field := m.Descriptor().Fields().Get(i)
		switch {
		case field.Message() != nil && depth == 0:
		case field.IsList() && field.Message() != nil:
			fillIn(m.Mutable(field).List().AppendMutable().Message(), depth-1)
		case field.IsList():
			m.Mutable(field).List().Append(protoreflect.ValueOfString(words))
		case field.Message() != nil:
			fillIn(m.Mutable(field).Message(), depth-1)
		case field.Kind() == protoreflect.StringKind:
			m.Set(field, protoreflect.ValueOfString(words))
		}
	}
}

// TestOpenLeavesContentOut fills everything but the open fields with words.
func TestOpenLeavesContentOut(t *testing.T) {
	t.Parallel()
	event := &deskbridgev1.SessionEvent{}
	fillIn(event.ProtoReflect(), 6)
	event.ReceiveTime = &timestamppb.Timestamp{Seconds: 1735689600, Nanos: 5}
	open, err := CompileOpen(&fieldmaskpb.FieldMask{Paths: []string{"message", "callback", "session_id"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, mask := range map[string]*Mask{"all": Open(), "asked for": open} {
		data, err := proto.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		visible, err := mask.Append(nil, append(data, 0xfa, 0x3f, 1, 'x'), 7) // and a field of a newer contract
		if err != nil {
			t.Fatal(err)
		}
		got := &deskbridgev1.SessionEvent{}
		if err := proto.Unmarshal(visible, got); err != nil {
			t.Fatal(err)
		}
		if got.GetMessage().GetElements() != nil || got.CloudCustomData != nil || got.GetExtraJson() != "" ||
			got.GetCallback().GetClientIp() != "" || len(got.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("%s: content is left: %v", name, got)
		}
		if got.GetId() != "7-1735689600000000005" {
			t.Errorf("%s: id %q", name, got.GetId())
		}
		if got.GetMessage().GetKey() != words || got.GetCallback().GetPlatform() != words || got.GetSessionId() != words {
			t.Errorf("%s: open fields are missing: %v", name, got)
		}
	}
}

// TestMasksOfTheBlindAreTheirOwn: what is encoded for one mask is given to all with its key.
func TestMasksOfTheBlindAreTheirOwn(t *testing.T) {
	t.Parallel()
	asked := &fieldmaskpb.FieldMask{Paths: []string{"id", "session_id"}}
	seeing, err := Compile(asked)
	if err != nil {
		t.Fatal(err)
	}
	blind, err := CompileOpen(asked)
	if err != nil {
		t.Fatal(err)
	}
	if seeing.Key == blind.Key {
		t.Errorf("one who may not read content gets the id of one who may: both keys are %q", blind.Key)
	}
}

// TestFieldNumbersAreTheContracts holds the encoding by hand against the descriptors.
func TestFieldNumbersAreTheContracts(t *testing.T) {
	t.Parallel()
	for name, number := range map[protoreflect.Name]protoreflect.FieldNumber{
		"id": numberID, "receive_time": numberReceiveTime,
	} {
		if got := eventDescriptor().Fields().ByName(name).Number(); got != number {
			t.Errorf("%s is %d", name, got)
		}
	}
}

func TestContentIsRefusedByPath(t *testing.T) {
	t.Parallel()
	for _, path := range append(contentPaths(), "message.elements") {
		_, err := CompileOpen(&fieldmaskpb.FieldMask{Paths: []string{"id", path}})
		e, ok := err.(*Error) //nolint:errorlint // returned as it is
		if !ok || !e.Denied || e.Field != "read_mask.paths[1]" {
			t.Errorf("%s: %v", path, err)
		}
	}
}
