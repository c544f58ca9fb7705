package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/callback"
)

// vendorMarshaler plugs the vendor's form into the generated handler: a body passes through untouched, and an answer is
// the vendor's three members.
type vendorMarshaler struct{}

// ContentType implements runtime.Marshaler.
func (vendorMarshaler) ContentType(any) string { return "application/json" }

// answer spells the members of the vendor's answer; all are always there.
type answer struct {
	ActionStatus string
	ErrorInfo    string
	ErrorCode    int32
}

// Marshal implements runtime.Marshaler.
func (vendorMarshaler) Marshal(v any) ([]byte, error) {
	response, ok := v.(*deskbridgev1.NotifySessionEventResponse)
	if !ok {
		return nil, fmt.Errorf("%T is not an answer to a callback", v)
	}
	return json.Marshal(answer{response.GetActionStatus(), response.GetErrorInfo(), response.GetErrorCode()})
}

// Unmarshal implements runtime.Marshaler. The generated handler reads through NewDecoder only.
func (vendorMarshaler) Unmarshal([]byte, any) error { return errors.ErrUnsupported }

// NewEncoder implements runtime.Marshaler. The generated handler of a unary method writes through Marshal only.
func (vendorMarshaler) NewEncoder(io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(any) error { return errors.ErrUnsupported })
}

// NewDecoder implements runtime.Marshaler.
func (vendorMarshaler) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		target, ok := v.(*[]byte)
		if !ok {
			return fmt.Errorf("%T is not a callback's body", v)
		}
		if body, ok := r.(*bodyInMemory); ok {
			*target = body.bytes
			return nil
		}
		var err error
		*target, err = io.ReadAll(r)
		return err
	})
}

// queryForm is what the generated handler fills the request from: the parameters that are used behind the edge, under
// the contract's names.
func queryForm(query callback.Query) url.Values {
	values := []string{query.SDKAppID, query.Command, query.ClientIP, query.Platform, query.RequestID}
	return url.Values{
		"SdkAppid":        values[0:1],
		"CallbackCommand": values[1:2],
		"ClientIP":        values[2:3],
		"OptPlatform":     values[3:4],
		"RequestID":       values[4:5],
	}
}

// fillCallback is the inverse of queryForm.
func fillCallback(request *deskbridgev1.NotifySessionEventRequest, form url.Values) {
	request.SdkAppId = form.Get("SdkAppid")
	request.CallbackCommand = form.Get("CallbackCommand")
	request.ClientIp = form.Get("ClientIP")
	request.OptPlatform = form.Get("OptPlatform")
	request.RequestId = form.Get("RequestID")
}

// writeAnswer sends an answer that did not come from the generated handler.
func writeAnswer(w http.ResponseWriter, status int, response *deskbridgev1.NotifySessionEventResponse) {
	body, _ := vendorMarshaler{}.Marshal(response)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	if status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // fixed texts as JSON
}
