package server

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/deskbridge/deskbridge/server/internal/rpc"
)

// Settings of the gRPC transport, for streams that live for days.
const (
	// A half-open connection must be noticed within 30 s: a ping after 15 s of silence, and 10 s for its answer.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
	// Clients may ping too, also without a stream. The library's default of five minutes answers an ordinary client's
	// pings with GOAWAY "too_many_pings" and ends all of its streams.
	minClientPing = 5 * time.Second
	// The streams of one connection are bounded above all streams that the bridge admits. At a connection's own bound
	// its client would wait without a word, for unary calls as well; above it, each gets an answer that says why. All of
	// HTTP shares one connection.
	spareStreams = 1000
	// Requests are small: the values of a filter take at most 256 KiB.
	maxRequestBytes = 1 << 20
	// A connection must have shaken hands by then.
	handshakeTimeout = 10 * time.Second
	// One write to the network takes a whole frame. The buffer is shared: a connection has one only while it writes.
	writeBuffer = 64 << 10
	// A connection brings a request, and then only pings and window updates; the default of 32 KiB for each connection
	// would be the largest part of what an idle reader costs.
	readBuffer = 4 << 10
)

func grpcOptions(maxStreams int) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(rpc.NewCodec()),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minClientPing, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(uint32(maxStreams + spareStreams)),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.WriteBufferSize(writeBuffer),
		grpc.ReadBufferSize(readBuffer),
		grpc.WaitForHandlers(true),
	}
}
