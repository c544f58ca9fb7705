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

// frame is an encoded SubscribeResponse. The bytes of its events are shared by all streams that send them.
type frame struct {
	buffers mem.BufferSlice
	size    int
}

// newEventsFrame encodes a response of events: the head is this stream's own, the entries may be shared. It keeps them.
func newEventsFrame(cursor string, entries []mem.SliceBuffer) *frame {
	size := 0
	for i := range entries {
		size += len(entries[i])
	}
	head := make([]byte, 0, len(cursor)+16)
	head = protowire.AppendTag(head, responseCursorField, protowire.BytesType)
	head = protowire.AppendString(head, cursor)
	head = protowire.AppendTag(head, responseEventsField, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(size))

	buffers := make(mem.BufferSlice, 0, len(entries)+1)
	buffers = append(buffers, mem.SliceBuffer(head))
	for i := range entries {
		buffers = append(buffers, &entries[i]) // a pointer, as a slice header in an interface is an allocation
	}
	return &frame{buffers: buffers, size: len(head) + size}
}

// wireEntries are the events of an item as all streams without a read mask share them.
func wireEntries(item *fanout.Item) []mem.SliceBuffer {
	segments := fanout.Segments(item.Events)
	entries := make([]mem.SliceBuffer, len(segments))
	for i, segment := range segments {
		entries[i] = segment
	}
	return entries
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
