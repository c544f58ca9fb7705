package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"time"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats.go/jetstream"
)

// The log engine keeps a message in a block file as
//
//	4 bytes  length of all of it; the highest bit tells that there are headers
//	8 bytes  position; the two highest bits mark what is no message any more
//	8 bytes  store time in nanoseconds since 1970
//	2 bytes  length of the subject
//	         subject
//	4 bytes  length of the headers, when there are any
//	         headers
//	         message
//	8 bytes  checksum of everything but the three lengths
//
// all integers with the lowest byte first. TestBlocksHoldWhatTheEngineWrote holds this against the engine.
const (
	blockRecordHead = 22
	blockRecordMin  = blockRecordHead + 8
	// maxBlockRecord is larger than any message with its subject and headers.
	maxBlockRecord = MaxRecordBytes + 1<<20

	headersBit   = 1 << 31
	positionBits = 1<<62 - 1
)

// blockRecord is one of them, still in the buffer it was read into.
type blockRecord []byte

func (r blockRecord) length() int        { return int(binary.LittleEndian.Uint32(r) &^ headersBit) }
func (r blockRecord) hasHeaders() bool   { return binary.LittleEndian.Uint32(r)&headersBit != 0 }
func (r blockRecord) position() uint64   { return binary.LittleEndian.Uint64(r[4:]) & positionBits }
func (r blockRecord) isMessage() bool    { return binary.LittleEndian.Uint64(r[4:]) == r.position() }
func (r blockRecord) subjectLength() int { return int(binary.LittleEndian.Uint16(r[20:])) }

func (r blockRecord) storeTime() time.Time {
	return time.Unix(0, int64(binary.LittleEndian.Uint64(r[12:])))
}

// plausible tells whether the length can be one.
func (r blockRecord) plausible() bool {
	return r.length() >= blockRecordMin && r.length() <= maxBlockRecord
}

// split returns the two parts that the checksum covers, not ok when the lengths inside contradict that of the whole.
func (r blockRecord) split() (subject, rest []byte, ok bool) {
	end := len(r) - 8
	from := blockRecordHead + r.subjectLength()
	next := from
	if r.hasHeaders() {
		next += 4
	}
	if next > end {
		return nil, nil, false
	}
	return r[blockRecordHead:from], r[next:end], true
}

// message returns the headers, and the message as it was published.
func (r blockRecord) message() (headers, data []byte, err error) {
	_, rest, ok := r.split()
	length := uint32(0)
	if ok && r.hasHeaders() {
		length = binary.LittleEndian.Uint32(r[blockRecordHead+r.subjectLength():])
	}
	if !ok || uint64(length) > uint64(len(rest)) {
		return nil, nil, fmt.Errorf("%w: wrong lengths", ErrDamaged)
	}
	return rest[:length], rest[length:], nil
}

var messageIDHeader = []byte("\r\n" + jetstream.MsgIDHeader + ":")

// id returns the message ID, not ok when there is none.
func (r blockRecord) id() (id []byte, ok bool) {
	headers, _, err := r.message()
	_, value, found := bytes.Cut(headers, messageIDHeader)
	value, _, ended := bytes.Cut(value, []byte("\r\n"))
	return bytes.TrimSpace(value), err == nil && found && ended
}

// record checks the message and returns it, sharing the buffer.
func (r blockRecord) record() (Record, error) {
	_, stored, err := r.message()
	if err != nil {
		return Record{}, err
	}
	data, err := unframe(stored)
	return Record{Position: r.position(), StoreTime: r.storeTime(), Data: data}, err
}

// blockHash is the engine's checksum, whose key is the file's own: a record that strays into another file has the wrong
// one. It is for one goroutine.
type blockHash struct {
	hash.Hash64
	sum [8]byte
}

func newBlockHash(stream string, index int) *blockHash {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index))
	h, err := highwayhash.New64(key[:])
	if err != nil {
		panic(err) // the key has the one length that is right
	}
	return &blockHash{Hash64: h}
}

// first returns the record at the front, when it is whole and as it was written.
func (h *blockHash) first(content []byte) (blockRecord, bool) {
	if len(content) < blockRecordMin || !blockRecord(content).plausible() || blockRecord(content).length() > len(content) {
		return nil, false
	}
	record := blockRecord(content[:blockRecord(content).length()])
	return record, h.matches(record)
}

// matches tells whether the record is as it was written.
func (h *blockHash) matches(r blockRecord) bool {
	subject, rest, ok := r.split()
	if !ok {
		return false
	}
	h.Reset()
	_, _ = h.Write(r[4:20])
	_, _ = h.Write(subject)
	_, _ = h.Write(rest)
	return string(h.Sum(h.sum[:0])) == string(r[len(r)-8:])
}
