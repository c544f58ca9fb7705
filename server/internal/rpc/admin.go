package rpc

import (
	"context"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// AdminOnly refuses calls of the administrators' services that don't come from this machine.
func AdminOnly(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	admin := strings.HasPrefix(info.FullMethod, "/"+deskbridgev1.QuarantineService_ServiceDesc.ServiceName+"/")
	if admin && !isLocal(ctx) {
		return nil, newError(deskbridgev1.ErrorReason_ERROR_REASON_PERMISSION_DENIED,
			"this method is for administrators, on the bridge's own machine")
	}
	return next(ctx, req)
}

func isLocal(ctx context.Context) bool {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	tcp, ok := caller.Addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
