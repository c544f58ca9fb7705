package server

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/deskbridge/deskbridge/server/internal/rpc"
)

// Settings of the gRPC transport, for streams that live for days.
//
// How much may be under way to a reader is its own side's setting, the flow-control window that it offers. The bridge's
// own windows are for requests, which are smaller than the default of 64 KiB or nearly so: they stay as they are.
const (
	// A half-open connection must be noticed within 30 s: a ping after 15 s of silence, and 10 s for its answer.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
	// Clients may ping too, also without a stream. The library's default of five minutes answers an ordinary client's
	// pings with GOAWAY "too_many_pings" and ends all of its streams.
	minClientPing = 5 * time.Second
	// A stream that was cut stays with its connection, and up to 80 KiB of what its reader did not take with it, until
	// that is read or the connection ends: this bounds them. A client waits without a word at the bound, for unary calls
	// as well, so it is more than ordinary ones ever have.
	connectionStreams = 1024
	// All of HTTP shares one connection within the process. It has room for all streams that the bridge admits and for
	// some calls, so that each stream above the limit gets an answer that says why.
	spareStreams = 1000
	// That connection's own end holds as much as this for a reader over HTTP that takes nothing, and does not grow it as
	// the library would. It takes no time to cross, so nothing is gained by more.
	edgeWindow     = 64 << 10
	edgeConnWindow = 1 << 20
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

func grpcOptions(connectionStreams int) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(rpc.NewCodec()),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: pingAfter, Timeout: pingTimeout,
			// Who answers pings could else hold a connection for ever, known or not, without making a call.
			MaxConnectionIdle: idleTimeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minClientPing, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(uint32(connectionStreams)),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.WriteBufferSize(writeBuffer),
		grpc.ReadBufferSize(readBuffer),
		grpc.WaitForHandlers(true),
	}
}
