package main

import (
	"bytes"
	"strconv"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// glance is the codec of readers that want to know when which event came. It reads nothing else of an event: the load
// has the processors in common with what it measures, and to decode an event a hundred times takes longer than all that
// a bridge does for it.
type glance struct{ encoding.CodecV2 }

func newGlance() glance { return glance{encoding.GetCodecV2(proto.Name)} }

// requestPrefix begins the RequestID of a callback of the load, its number follows.
const requestPrefix = "bench-"

// Unmarshal implements encoding.CodecV2.
func (g glance) Unmarshal(data mem.BufferSlice, v any) error {
	response, ok := v.(*deskbridgev1.SubscribeResponse)
	if !ok {
		return g.CodecV2.Unmarshal(data, v)
	}
	text := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer text.Free()
	batch := &deskbridgev1.EventBatch{}
	for _, number := range requestNumbers(text.ReadOnlyData()) {
		batch.Events = append(batch.Events, &deskbridgev1.SessionEvent{Position: number})
	}
	if len(batch.GetEvents()) == 0 {
		return g.CodecV2.Unmarshal(data, v)
	}
	response.Kind = &deskbridgev1.SubscribeResponse_Events{Events: batch}
	return nil
}

// requestNumbers finds the numbers of the callbacks in a response.
func requestNumbers(text []byte) (numbers []uint64) {
	for {
		_, rest, found := bytes.Cut(text, []byte(requestPrefix))
		if !found {
			return numbers
		}
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if number, err := strconv.ParseUint(string(rest[:digits]), 10, 64); err == nil {
			numbers = append(numbers, number)
		}
		text = rest[digits:]
	}
}
