package callback

import (
	"context"
	"strings"
)

// Origin is what the quarantine keeps of an HTTP request and the contract has no field for.
type Origin struct {
	// Query is the URL's, as it arrived: it may have Sign, which must not be kept.
	Query string
	// ContentType and UserAgent are the headers of those names.
	ContentType, UserAgent string
}

type originKey struct{}

// WithOrigin hands the origin on to the service behind the HTTP edge.
func WithOrigin(ctx context.Context, origin Origin) context.Context {
	return context.WithValue(ctx, originKey{}, origin)
}

// OriginOf returns what WithOrigin was given, nothing without.
func OriginOf(ctx context.Context) Origin {
	origin, _ := ctx.Value(originKey{}).(Origin)
	return origin
}

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
