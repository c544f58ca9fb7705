package callback

import (
	"net/url"
	"strings"
)

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
// because the vendor appends its own to the configured URL. A name or value with a malformed percent escape is taken as
// it stands, and text that is not UTF-8 gets U+FFFD in its place: a stray "%" must not cost an event.
func ParseQuery(raw string) (q Query) {
	for raw != "" {
		var parameter string
		parameter, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(parameter, "=")
		if field := q.field(unescapeQuery(name)); field != nil {
			*field = unescapeQuery(value)
		}
	}
	return q
}

// unescapeQuery returns text itself, without an allocation, where it has nothing to unescape.
func unescapeQuery(text string) string {
	if unescaped, err := url.QueryUnescape(text); err == nil {
		text = unescaped
	}
	return strings.ToValidUTF8(text, "\ufffd")
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
