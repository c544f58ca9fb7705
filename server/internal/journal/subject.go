package journal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

const (
	eventsStream     = "events"
	eventsPrefix     = "event."
	quarantineStream = "quarantine"

	// tokenLimit bounds an id inside a subject; longer ones are hashed.
	tokenLimit = 96
	// dedupeKeyLimit bounds a key that is stored as it is; longer ones are hashed.
	dedupeKeyLimit = 128
)

// eventSubject addresses an event. The session comes first: the index is a prefix tree, and a session is asked for
// without its app more often than the other way round.
func eventSubject(appID, sessionID string) string {
	return eventsPrefix + subjectToken(sessionID) + "." + subjectToken(appID)
}

// sessionFilter matches one session, of any app when appID is "".
func sessionFilter(appID, sessionID string) string {
	if appID == "" {
		return eventsPrefix + subjectToken(sessionID) + ".*"
	}
	return eventSubject(appID, sessionID)
}

// subjectToken maps an id to a subject token, no two ids to the same one: harmless ids stay readable, others are
// encoded behind "=", long ones hashed behind "#".
func subjectToken(id string) string {
	switch {
	case len(id) > tokenLimit:
		sum := sha256.Sum256([]byte(id))
		return "#" + base64.RawURLEncoding.EncodeToString(sum[:])
	case isPlain(id, "-_@:/+"):
		return id
	default:
		return "=" + base64.RawURLEncoding.EncodeToString([]byte(id))
	}
}

// messageID maps a dedupe key to a header value, no two keys to the same one.
func messageID(key string) string {
	if len(key) <= dedupeKeyLimit && isPlain(key, "-_@:/+.") {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "#" + hex.EncodeToString(sum[:])
}

// isPlain: not empty, and nothing but ASCII letters, digits and the extra characters.
func isPlain(text, extra string) bool {
	for i := range len(text) {
		c := text[i]
		letter, digit := 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9'
		if !letter && !digit && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return text != ""
}
