package access

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// tokenHash is what is kept of a token. A token is as good as random, so a fast hash can't be reversed, and as only
// hashes are compared, the time that a comparison takes says nothing about a token.
type tokenHash [sha256.Size]byte

// maxTokenBytes bounds what is hashed.
const maxTokenBytes = 512

// parseBearer returns the token of the Authorization header, whose values are given; empty without a header.
func parseBearer(values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", fmt.Errorf("%w: %d authorization headers, want one", ErrUnauthenticated, len(values))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", fmt.Errorf("%w: the authorization header's scheme is not Bearer", ErrUnauthenticated)
	case token == "" || len(token) > maxTokenBytes || strings.ContainsFunc(token, notInToken):
		return "", fmt.Errorf("%w: the authorization header holds no bearer token", ErrUnauthenticated)
	}
	return token, nil
}

// notInToken tells characters apart that a token, as RFC 6750 has it, can't hold.
func notInToken(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	default:
		return !strings.ContainsRune("-._~+/=", r)
	}
}
