package callback

import "strings"

// Keys of the metadata with which the HTTP edge hands on what a request has no field for; the quarantine keeps it.
const (
	// MetadataQuery is the URL's query as it arrived, but for Sign.
	MetadataQuery = "callback-query"
	// MetadataContentType and MetadataUserAgent are the headers of those names.
	MetadataContentType = "callback-content-type"
	MetadataUserAgent   = "callback-user-agent"
)

// WithoutSign takes the signature off a query, which is as good as the token for a minute.
func WithoutSign(raw string) string {
	kept := make([]byte, 0, len(raw))
	for parameter := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(parameter, "=")
		if strings.EqualFold(unescapeQuery(name), "Sign") {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, '&')
		}
		kept = append(kept, parameter...)
	}
	return string(kept)
}
