package callback

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Why Authenticator.Verify refuses a callback.
var (
	// ErrSignatureMissing: a token is configured and Sign or RequestTime is absent or empty.
	ErrSignatureMissing = errors.New("signature missing")
	// ErrSignatureInvalid: Sign does not belong to RequestTime and a configured token.
	ErrSignatureInvalid = errors.New("signature invalid")
	// ErrSignatureStale: RequestTime is too far from now.
	ErrSignatureStale = errors.New("signature stale")
	// ErrAppForeign: SdkAppid is none of the configured apps.
	ErrAppForeign = errors.New("app not configured")
)

// DefaultMaxSkew is the window that the vendor recommends.
const DefaultMaxSkew = time.Minute

// AuthConfig says which callbacks are accepted.
type AuthConfig struct {
	// Tokens that the vendor may sign with: two while one replaces the other, none to accept unsigned callbacks.
	Tokens []string
	// MaxSkew is how far RequestTime may lie from now, in either direction; DefaultMaxSkew when 0.
	MaxSkew time.Duration
	// AppIDs that are accepted, in decimal; none to accept every app.
	AppIDs []string
}

// Authenticator tells authentic callbacks. It is safe for concurrent use.
//
// The vendor's signature covers neither body nor URL: it proves that the sender knows the token, and whoever sees a
// signed URL can use it with another body until it is stale. So the transport must be private.
type Authenticator struct {
	tokens  atomic.Pointer[[]string]
	maxSkew time.Duration
	appIDs  []string
}

// NewAuthenticator checks the configuration. The error names the field at fault and holds no token.
func NewAuthenticator(config AuthConfig) (*Authenticator, error) {
	for i, app := range config.AppIDs {
		if app == "" || app != strings.TrimSpace(app) {
			return nil, fmt.Errorf("app id %d: empty, or white space at its ends", i+1)
		}
	}
	if config.MaxSkew < 0 {
		return nil, fmt.Errorf("callback max skew: want a positive duration, have %v", config.MaxSkew)
	}
	a := &Authenticator{maxSkew: cmp.Or(config.MaxSkew, DefaultMaxSkew), appIDs: slices.Clone(config.AppIDs)}
	return a, a.ReplaceTokens(config.Tokens)
}

// ReplaceTokens puts other tokens in force, or returns an error that holds none of them, and changes nothing.
func (a *Authenticator) ReplaceTokens(tokens []string) error {
	if len(tokens) > 2 {
		return fmt.Errorf("callback tokens: want at most 2, have %d", len(tokens))
	}
	for i, token := range tokens {
		if token == "" || token != strings.TrimSpace(token) {
			return fmt.Errorf("callback token %d: empty, or white space at its ends", i+1)
		}
	}
	tokens = slices.Clone(tokens)
	a.tokens.Store(&tokens)
	return nil
}

// Signed reports whether callbacks must be signed.
func (a *Authenticator) Signed() bool { return len(*a.tokens.Load()) > 0 }

// Verify returns nil for an authentic callback, else ErrSignatureMissing, ErrSignatureInvalid, ErrSignatureStale or
// ErrAppForeign. The signature is checked before the app, so that a stranger can't probe which apps are served.
func (a *Authenticator) Verify(q Query, now time.Time) error {
	if a.Signed() {
		if err := a.verifySignature(q, now); err != nil {
			return err
		}
	}
	if len(a.appIDs) > 0 && !slices.Contains(a.appIDs, q.SDKAppID) {
		return ErrAppForeign
	}
	return nil
}

func (a *Authenticator) verifySignature(q Query, now time.Time) error {
	if q.Sign == "" || q.RequestTime == "" {
		return ErrSignatureMissing
	}
	seconds, err := strconv.ParseUint(q.RequestTime, 10, 40)
	if err != nil || !a.signedBy(q) {
		return ErrSignatureInvalid
	}
	if now.Sub(time.Unix(int64(seconds), 0)).Abs() > a.maxSkew {
		return ErrSignatureStale
	}
	return nil
}

// signedBy compares in constant time, and with every token whichever fits.
func (a *Authenticator) signedBy(q Query) bool {
	var sign [sha256.Size]byte
	if len(q.Sign) != hex.EncodedLen(len(sign)) {
		return false
	}
	if _, err := hex.Decode(sign[:], []byte(q.Sign)); err != nil {
		return false
	}
	fits := 0
	for _, token := range *a.tokens.Load() {
		want := sha256.Sum256([]byte(token + q.RequestTime))
		fits |= subtle.ConstantTimeCompare(sign[:], want[:])
	}
	return fits == 1
}
