package callback

import (
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// sampleBodies returns the bodies of the session events among the samples, and the same events in protobuf's JSON.
func sampleBodies(b *testing.B) (bodies, protobufs [][]byte) {
	b.Helper()
	for _, s := range samples(b) {
		event, err := Decode([]byte(s.Body))
		if err != nil {
			b.Fatal(err)
		}
		if event.GetCallbackCommand() != CommandSessionEvent {
			continue
		}
		text, err := protojson.Marshal(event)
		if err != nil {
			b.Fatal(err)
		}
		bodies, protobufs = append(bodies, []byte(s.Body)), append(protobufs, text)
	}
	return bodies, protobufs
}

// run decodes one body an operation, each in its turn. MB/s counts the vendor's bodies whatever is decoded.
func run(b *testing.B, bodies, inputs [][]byte, decode func([]byte) error) {
	b.Helper()
	size := 0
	for _, body := range bodies {
		size += len(body)
	}
	b.SetBytes(int64(size / len(bodies)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := decode(inputs[i%len(inputs)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode sets this package beside protojson, which reads the same events from protobuf's JSON, and beside
// encoding/json, which reads the bodies into a struct and loses what that has no field for.
func BenchmarkDecode(b *testing.B) {
	bodies, protobufs := sampleBodies(b)
	b.Run("deskbridge", func(b *testing.B) {
		run(b, bodies, bodies, func(data []byte) error {
			_, err := Decode(data)
			return err
		})
	})
	b.Run("protojson", func(b *testing.B) {
		run(b, bodies, protobufs, func(data []byte) error {
			return protojson.Unmarshal(data, new(deskbridgev1.SessionEvent))
		})
	})
	b.Run("encoding-json", func(b *testing.B) {
		run(b, bodies, bodies, func(data []byte) error {
			return json.Unmarshal(data, new(plainBody))
		})
	})
}

// plainBody is what one would write without this package.
type plainBody struct {
	CallbackCommand, SessionID, Event, ChannelType, ClientUserID, CustomerServiceID, AgentID, ForwardFromAgentID *string

	EventTime            *int64
	MsgKey               *string
	MsgBody              []plainElement
	CloudCustomData      *string
	IsContactUser        *bool
	SatisfactionSelected *int32
}

type plainElement struct {
	MsgType    *string
	MsgContent json.RawMessage
}

func BenchmarkEncode(b *testing.B) {
	bodies, _ := sampleBodies(b)
	var events []*deskbridgev1.SessionEvent
	for _, body := range bodies {
		event, err := Decode(body)
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, event)
	}
	i := 0
	run(b, bodies, bodies, func([]byte) error {
		_, err := Encode(events[i%len(events)])
		i++
		return err
	})
}

func BenchmarkID(b *testing.B) {
	bodies, _ := sampleBodies(b)
	event, err := Decode(bodies[0])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		ID(Query{SDKAppID: sampleApp}, event)
	}
}

func BenchmarkParseQuery(b *testing.B) {
	query := samples(b)[0].Query
	b.ReportAllocs()
	for b.Loop() {
		if ParseQuery(query) == (Query{}) {
			b.Fatal("nothing read")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	auth, err := NewAuthenticator(AuthConfig{Tokens: []string{"DeskToken2024", vectorToken}, AppIDs: []string{sampleApp}})
	if err != nil {
		b.Fatal(err)
	}
	q := Query{SDKAppID: sampleApp, Sign: vectorSign, RequestTime: vectorTime}
	b.ReportAllocs()
	for b.Loop() {
		if err := auth.Verify(q, vectorNow); err != nil {
			b.Fatal(err)
		}
	}
}
