package rpc

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/deskbridge/deskbridge/server/internal/fanout"
)

// Field numbers of the contract, for encoding by hand. A test holds them against the descriptors.
const (
	responseCursorField = 1 // SubscribeResponse.cursor
	responseEventsField = 3 // SubscribeResponse.events
	batchEventsField    = 1 // EventBatch.events
	eventPositionField  = 2 // SessionEvent.position
)

// frame is an encoded SubscribeResponse. The bytes of its long entries are shared by all streams that send them.
type frame struct {
	buffers mem.BufferSlice
	size    int
}

// minShared is the least length of an entry that a frame shares. Shorter ones are copied: they lie in arenas of up to
// fanout.ArenaBytes, and the frames that wait for a slow reader would keep one in memory for every few hundred bytes.
// As it is, that is eight bytes for each that waits. To copy costs no more than another slice for the transport would.
const minShared = fanout.ArenaBytes / 8

// newEventsFrame encodes a response of events.
func newEventsFrame(cursor string, entries [][]byte) *frame {
	size, own := 0, len(cursor)+16
	for _, entry := range entries {
		size += len(entry)
		if len(entry) < minShared {
			own += len(entry)
		}
	}
	head := make([]byte, 0, own)
	head = protowire.AppendTag(head, responseCursorField, protowire.BytesType)
	head = protowire.AppendString(head, cursor)
	head = protowire.AppendTag(head, responseEventsField, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(size))
	return &frame{buffers: joined(head, entries), size: len(head) + size}
}

// joined returns head and entries as they go out, where the short entries go behind head, which has room for them.
func joined(head []byte, entries [][]byte) (buffers mem.BufferSlice) {
	for _, entry := range entries {
		if len(entry) < minShared {
			head = append(head, entry...)
			continue
		}
		buffers = append(appendBuffer(buffers, head), mem.SliceBuffer(entry))
		head = head[len(head):]
	}
	return appendBuffer(buffers, head)
}

func appendBuffer(buffers mem.BufferSlice, data []byte) mem.BufferSlice {
	if len(data) == 0 {
		return buffers
	}
	return append(buffers, mem.SliceBuffer(data))
}

// codec is grpc-go's protobuf codec, except that a frame passes as it is.
type codec struct{ encoding.CodecV2 }

// NewCodec returns the codec that a server of SessionEventService must be forced to use.
func NewCodec() encoding.CodecV2 {
	return codec{CodecV2: encoding.GetCodecV2(proto.Name)}
}

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return f.buffers, nil
	}
	return c.CodecV2.Marshal(v)
}
