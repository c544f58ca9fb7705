package filter

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// checkView compares the view of encoded bytes with what a protobuf decoder makes of them.
func checkView(t *testing.T, data []byte) {
	t.Helper()
	m := new(deskbridgev1.SessionEvent)
	if proto.Unmarshal(data, m) != nil {
		return // What the decoder refuses need not be refused here: it also looks into fields that no filter needs.
	}
	e := new(Event)
	if err := e.Read(1, data); err != nil {
		t.Fatalf("Read: %v, but it decodes", err)
	}
	same := e.kind == int32(m.GetType()) && e.channel == int32(m.GetChannel()) &&
		string(e.typeName) == m.GetTypeName() && string(e.sessionID) == m.GetSessionId() &&
		string(e.appID) == m.GetSdkAppId() && string(e.userID) == m.GetClientUserId() &&
		string(e.serviceID) == m.GetCustomerServiceId() && string(e.agentID) == m.GetAgentId()
	if !same {
		t.Fatalf("view %+v of %v", e, m)
	}
}

func TestReadTakesTheLastOfRepeatedFields(t *testing.T) {
	t.Parallel()
	first, err := proto.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	other := sample()
	other.SessionId, other.Type = proto.String("session-2"), 3
	second, err := proto.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	checkView(t, append(first, second...))
}

func TestReadSkipsOtherWireTypes(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	data = protowire.AppendTag(data, numberSessionID, protowire.Fixed32Type)
	data = protowire.AppendFixed32(data, 1)
	data = protowire.AppendTag(data, numberType, protowire.StartGroupType)
	data = protowire.AppendTag(data, numberType, protowire.EndGroupType)
	checkView(t, data)
}

func TestReadRefusesWhatIsCutOff(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(&deskbridgev1.SessionEvent{SessionId: proto.String("session-1")})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(data); n++ {
		if err := new(Event).Read(1, data[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("Read of %d bytes: %v, want ErrMalformed", n, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	data, err := proto.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		checkView(t, data)
		e := new(Event)
		if e.Read(1, data) != nil {
			return
		}
		compiled := compile(t, &deskbridgev1.EventFilter{Expression: "event.session_id == 'x'"})
		if _, err := compiled.Match(e); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
	})
}

// FuzzCompile compiles any filter and matches it with the sample: mistakes must be reported as such.
func FuzzCompile(f *testing.F) {
	for _, c := range matchCases() {
		data, err := proto.Marshal(c.filter)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(deskbridgev1.EventFilter)
		if proto.Unmarshal(data, m) != nil {
			return
		}
		var mistake *Error
		compiled, err := Compile(m)
		if err != nil && !errors.As(err, &mistake) {
			t.Fatalf("Compile: %v", err)
		}
		if err != nil {
			return
		}
		if _, err := compiled.Match(read(t, sample())); err != nil && !errors.As(err, &mistake) {
			t.Fatalf("Match: %v", err)
		}
	})
}
