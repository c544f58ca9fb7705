package gateway

import (
	"bytes"
	"fmt"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// jsonLines is a line of JSON for each response, as grpc-gateway has it: {"result": …}, or {"error": …} as the last.
type jsonLines struct{}

func (jsonLines) contentType() string { return "application/x-ndjson" }

func (jsonLines) appendResponse(out []byte, response *deskbridgev1.SubscribeResponse) ([]byte, error) {
	out, err := appendJSON(append(out, `{"result":`...), response)
	return append(out, '}', '\n'), err
}

func (jsonLines) appendError(out []byte, s *status.Status) []byte {
	return append(appendStatus(append(out, `{"error":`...), s), '}', '\n')
}

func (jsonLines) appendEnd(out []byte) []byte { return out }

func (jsonLines) appendRefusal([]byte, *status.Status) []byte { return nil }

// appendJSON appends a message on one line.
func appendJSON(out []byte, message proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{}.Marshal(message)
	return append(out, escapeBreaks(text)...), err
}

// escapeBreaks escapes what JSON has as it is, but ends a line for some readers, Python's splitlines among them. JSON
// has it in strings only.
func escapeBreaks(text []byte) []byte {
	for _, r := range "\u0085\u2028\u2029" {
		if raw := []byte(string(r)); bytes.Contains(text, raw) {
			text = bytes.ReplaceAll(text, raw, fmt.Appendf(nil, `\u%04x`, r))
		}
	}
	return text
}

// appendStatus appends an error as google.rpc.Status. Details that are of unknown types are left out.
func appendStatus(out []byte, s *status.Status) []byte {
	all, err := appendJSON(out, s.Proto())
	if err == nil {
		return all
	}
	bare, _ := appendJSON(out, status.New(s.Code(), s.Message()).Proto())
	return bare
}
