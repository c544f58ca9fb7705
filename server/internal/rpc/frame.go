package rpc

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/deskbridge/deskbridge/server/internal/fanout"
)

// Field numbers of SubscribeResponse and EventBatch, for encoding by hand. A test holds them against the descriptor.
const (
	responseCursorField = 1
	responseEventsField = 3
)

// frame is an encoded SubscribeResponse. The bytes of its events are shared by all streams that send them.
type frame struct{ buffers mem.BufferSlice }

// newEventsFrame encodes a response of events: the head is this stream's own, the events are the shared bytes.
func newEventsFrame(cursor string, events []*fanout.Event) *frame {
	size := 0
	for i := range events {
		size += len(events[i].Wire)
	}
	head := make([]byte, 0, len(cursor)+16)
	head = protowire.AppendTag(head, responseCursorField, protowire.BytesType)
	head = protowire.AppendString(head, cursor)
	head = protowire.AppendTag(head, responseEventsField, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(size))

	buffers := make(mem.BufferSlice, 0, len(events)+1)
	buffers = append(buffers, mem.SliceBuffer(head))
	for i := range events {
		buffers = append(buffers, mem.SliceBuffer(events[i].Wire))
	}
	return &frame{buffers: buffers}
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
