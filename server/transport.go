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
	// A connection's streams are bounded, since each costs memory; the library's default is no bound.
	maxStreams = 10_000
	// Requests are small: filters of at most 8 fields with 1,000 values of at most 1 KiB.
	maxRequestBytes = 10 << 20
	// A stream's handler must be able to hand over a whole frame without waiting for the network.
	writeBuffer = 64 << 10
)

func grpcOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(rpc.NewCodec()),
		grpc.ChainUnaryInterceptor(rpc.AdminOnly),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minClientPing, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.WriteBufferSize(writeBuffer),
		grpc.WaitForHandlers(true),
	}
}
