package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// strictQuery refuses a parameter that names no field. grpc-gateway ignores it, and a misspelt filter would then select
// everything.
type strictQuery struct{ runtime.DefaultQueryParser }

// beStrictOnce sets the parser. grpc-gateway has a single one for the process, and reads it without a lock.
var beStrictOnce = sync.OnceFunc(func() {
	runtime.NewServeMux(runtime.SetQueryParameterParser(&strictQuery{}))
})

// Parse implements runtime.QueryParameterParser.
func (q *strictQuery) Parse(message proto.Message, values url.Values, used *utilities.DoubleArray) error {
	if request, ok := message.(*deskbridgev1.NotifySessionEventRequest); ok {
		fillCallback(request, values) // the hot path, from a form that the edge has made
		return nil
	}
	for name := range values {
		if !namesField(message.ProtoReflect().Descriptor(), name) {
			return fmt.Errorf("query parameter %q: no such field", name)
		}
	}
	return q.DefaultQueryParser.Parse(message, values, used)
}

// textOnly refuses requests with values that can't be text of a message. gRPC would call that an internal error.
func textOnly(mux *runtime.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isText(r) {
			next.ServeHTTP(w, r)
			return
		}
		_, marshaler := runtime.MarshalerForRequest(mux, r)
		err := refuseQuery(errors.New("the URL, or the cursor in a header, is not UTF-8"))
		runtime.HTTPError(r.Context(), mux, marshaler, w, r, err)
	})
}

// isText leaves malformed escapes to those who read the query.
func isText(r *http.Request) bool {
	query, _ := url.QueryUnescape(r.URL.RawQuery)
	return utf8.ValidString(query) && utf8.ValidString(r.URL.Path) && utf8.ValidString(r.Header.Get(lastEventID))
}

// namesField follows a path of proto or JSON names, as in "filter.typeNames".
func namesField(message protoreflect.MessageDescriptor, path string) bool {
	name, rest, nested := strings.Cut(path, ".")
	field := message.Fields().ByJSONName(name)
	if field == nil {
		field = message.Fields().ByTextName(name)
	}
	switch {
	case field == nil:
		return false
	case !nested:
		return true
	default:
		return field.Message() != nil && namesField(field.Message(), rest)
	}
}
