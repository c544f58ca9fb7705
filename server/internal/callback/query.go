package callback

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ErrQueryMalformed says that the URL's query holds a malformed percent escape.
var ErrQueryMalformed = errors.New("malformed query")

// Query is what the URL of a callback says. A field is empty when the parameter is empty or absent.
type Query struct {
	// SDKAppID is SdkAppid, the app.
	SDKAppID string
	// Command is CallbackCommand.
	Command string
	// ContentType is contenttype: "json" in some case.
	ContentType string
	// ClientIP is the address of the client that caused the callback.
	ClientIP string
	// Platform is OptPlatform.
	Platform string
	// RequestID is the same when the vendor repeats a callback.
	RequestID string
	// Sign and RequestTime authenticate the sender.
	Sign, RequestTime string
}

// ParseQuery reads the query of a URL, without its question mark. The names of parameters are compared without regard
// to case, an "=" may be missing, and unknown parameters are ignored. Of several of the same name the last one counts,
// because the vendor appends its own to the configured URL. Text that is not UTF-8 gets U+FFFD in its place. The error
// wraps ErrQueryMalformed.
func ParseQuery(raw string) (Query, error) {
	var q Query
	for position := 1; raw != ""; position++ {
		var parameter string
		parameter, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(parameter, "=")
		name, nameErr := unescapeQuery(name)
		value, valueErr := unescapeQuery(value)
		if nameErr != nil || valueErr != nil {
			return Query{}, fmt.Errorf("%w: escape in parameter %d", ErrQueryMalformed, position)
		}
		if field := q.field(name); field != nil {
			*field = value
		}
	}
	return q, nil
}

// unescapeQuery returns text itself, without an allocation, where it has nothing to unescape.
func unescapeQuery(text string) (string, error) {
	text, err := url.QueryUnescape(text)
	return strings.ToValidUTF8(text, "\ufffd"), err
}

// field returns the field of a parameter, nil for an unknown one.
func (q *Query) field(name string) *string {
	for _, known := range [...]struct {
		name  string
		field *string
	}{
		{"SdkAppid", &q.SDKAppID},
		{"CallbackCommand", &q.Command},
		{"contenttype", &q.ContentType},
		{"ClientIP", &q.ClientIP},
		{"OptPlatform", &q.Platform},
		{"RequestID", &q.RequestID},
		{"Sign", &q.Sign},
		{"RequestTime", &q.RequestTime},
	} {
		// The lengths differ where a letter folds to ASCII from outside of it.
		if len(name) == len(known.name) && strings.EqualFold(name, known.name) {
			return known.field
		}
	}
	return nil
}
