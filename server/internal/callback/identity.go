package callback

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// idBytes of the hash are enough that nobody can find two callbacks with the same id.
const idBytes = 20

// ID returns the identity of a callback, which a repeat of it shares: a hash in hex over the app, the RequestID and the
// body. The body counts although a RequestID is said to be unique: where one comes again with another body, no event
// may be taken for a repeat and forgotten. It is hashed in canonical form, so that white space and the order of members
// make no difference. The event must come from Decode; only what the body says of it counts.
//
// The hash must stay the same over releases, and does so while Encode's form stays the same, whatever members become
// fields.
func ID(q Query, event *deskbridgev1.SessionEvent) string {
	w := newWriter()
	w.buf = appendLengthPrefixed(w.buf, q.SDKAppID, q.RequestID)
	w.event(event)
	sum := sha256.Sum256(w.buf)
	return hex.EncodeToString(sum[:idBytes])
}

// appendLengthPrefixed joins parts so that no two lists of parts give the same bytes.
func appendLengthPrefixed(joined []byte, parts ...string) []byte {
	for _, part := range parts {
		joined = binary.AppendUvarint(joined, uint64(len(part)))
		joined = append(joined, part...)
	}
	return joined
}
