package callback

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

const (
	hashPrefix     = "sha256-"
	maxIDLength    = 128
	requestHashing = "request"
	contentHashing = "content"
)

// ID returns the identity of a callback, which a repeat of it shares: the RequestID where it can serve as one, that is
// 1 to 128 characters of printable ASCII without a space and not in the form of a hash; else "sha256-" and a hash in
// hex, of the RequestID or, where there is none, of the content.
//
// The hash of the content must stay the same over releases, and does so while Encode's form stays the same, whatever
// members become fields.
func ID(q Query, event *deskbridgev1.SessionEvent) string {
	switch {
	case q.RequestID == "":
		sum := ContentHash(q, event)
		return hashPrefix + hex.EncodeToString(sum[:])
	case isID(q.RequestID):
		return q.RequestID
	default:
		sum := sha256.Sum256(lengthPrefixed(requestHashing, q.RequestID))
		return hashPrefix + hex.EncodeToString(sum[:])
	}
}

// ContentHash returns a hash of the app and the body without regard to the RequestID: it is the same for a repeat, and
// tells a repeat from another callback under a used RequestID. The body holds session, event, time and message key. It
// is hashed in canonical form, so that white space and the order of members make no difference. The event must come
// from Decode; only what the body says of it counts.
func ContentHash(q Query, event *deskbridgev1.SessionEvent) [sha256.Size]byte {
	w := newWriter()
	w.buf = append(w.buf, lengthPrefixed(contentHashing, q.SDKAppID)...)
	w.event(event)
	return sha256.Sum256(w.buf)
}

// lengthPrefixed joins parts so that no two lists of parts give the same bytes.
func lengthPrefixed(parts ...string) []byte {
	var joined []byte
	for _, part := range parts {
		joined = binary.AppendUvarint(joined, uint64(len(part)))
		joined = append(joined, part...)
	}
	return joined
}

func isID(text string) bool {
	if text == "" || len(text) > maxIDLength || strings.HasPrefix(text, hashPrefix) {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
