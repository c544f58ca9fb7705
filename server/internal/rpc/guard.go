package rpc

import (
	"context"
	"log/slog"
	"net"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/deskbridge/deskbridge/server/internal/access"
)

// EdgeNetwork is the network of the connection by which the HTTP listener reaches the gRPC server.
const EdgeNetwork = "bufconn"

// Guard stands before every method. A call is admitted when its head has arrived, and one that is not gets its answer
// before any of its request is read. All refusals, those of the methods as well, are counted and logged by it.
type Guard struct {
	access  *access.Control
	logger  *slog.Logger
	refused *prometheus.CounterVec
	// lines bounds what is logged of refusals: they are a stranger's to cause.
	lines *rate.Limiter
}

// NewGuard returns a Guard. Its parts belong into the server's options together.
func NewGuard(control *access.Control, logger *slog.Logger, metrics prometheus.Registerer) *Guard {
	g := &Guard{
		access: control, logger: logger, lines: rate.NewLimiter(10, 200),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_calls_refused_total",
			Help: "Calls over gRPC and HTTP that were refused or ended for lack of rights or over a limit, by reason.",
		}, []string{"reason"}),
	}
	metrics.MustRegister(g.refused)
	// A series that begins with its first refusal has no increase that an alert could see.
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.ResourceExhausted} {
		g.refused.WithLabelValues(refusalOf(code))
	}
	return g
}

// Options returns what a gRPC server needs to be guarded. Its services must be registered through Registrar.
func (g *Guard) Options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(g.tap),
		grpc.StreamInterceptor(g.guard),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return status.Error(codes.Unimplemented, "there is no such method here")
		}),
	}
}

// Registrar returns the way to register services with a guarded server. It makes streams of their unary methods, as an
// interceptor of unary calls comes only behind the request: who is refused could send it without end.
func (g *Guard) Registrar(server grpc.ServiceRegistrar) grpc.ServiceRegistrar {
	return registrar{server, g}
}

type registrar struct {
	grpc.ServiceRegistrar

	guard *Guard
}

// RegisterService implements grpc.ServiceRegistrar.
func (r registrar) RegisterService(desc *grpc.ServiceDesc, service any) {
	guarded := *desc
	guarded.Methods, guarded.Streams = nil, slices.Clone(desc.Streams)
	for _, method := range desc.Methods {
		guarded.Streams = append(guarded.Streams, grpc.StreamDesc{
			StreamName: method.MethodName,
			Handler:    r.guard.unary("/"+desc.ServiceName+"/"+method.MethodName, method.Handler),
		})
	}
	r.ServiceRegistrar.RegisterService(&guarded, service)
}

// unary serves a method in the form of a stream. One without streaming in its description passes no interceptor.
func (g *Guard) unary(method string, handler grpc.MethodHandler) grpc.StreamHandler {
	info := &grpc.StreamServerInfo{FullMethod: method}
	return func(service any, stream grpc.ServerStream) error {
		return g.guard(service, stream, info, func(service any, stream grpc.ServerStream) error {
			response, err := handler(service, stream.Context(), stream.RecvMsg, nil)
			if err != nil {
				return err
			}
			return stream.SendMsg(response)
		})
	}
}

// tap admits a call. Its context is the one that the transport works with, so that the end of an admission interrupts
// all the call does. It must refuse nothing by itself: grpc-go would never free the timer of the deadline that the
// client has chosen.
func (g *Guard) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	caller, remote := callerOf(ctx, info)
	ctx = context.WithValue(ctx, remoteKey{}, remote)
	admitted, err := g.access.Admit(ctx, info.FullMethodName, caller)
	if err != nil {
		return context.WithValue(ctx, refusalKey{}, classify(err)), nil
	}
	return admitted, nil
}

// remoteKey and refusalKey are those of the caller's address, and of the error of a call that was not admitted.
type (
	remoteKey  struct{}
	refusalKey struct{}
)

// guard answers a call that was not admitted, says why one was ended that can't say so itself, and notes what is
// refused.
func (g *Guard) guard(
	service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler,
) error {
	err, refused := stream.Context().Value(refusalKey{}).(error)
	if !refused {
		err = next(service, stream)
	}
	if cause := access.Ended(stream.Context()); cause != nil && status.Code(err) == codes.Canceled {
		err = classify(cause)
	}
	g.note(stream.Context(), info.FullMethod, err)
	return err
}

// callerOf says how a call presents itself, and where it comes from.
func callerOf(ctx context.Context, info *tap.Info) (caller access.Caller, remote string) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller, ""
	}
	if p.Addr.Network() == EdgeNetwork {
		return access.EdgeCaller(info.Header)
	}
	caller.Authorization = info.Header["authorization"]
	if transport, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		caller.Certificates = access.VerifiedCertificates(&transport.State)
	}
	tcp, ok := p.Addr.(*net.TCPAddr)
	caller.Local = ok && tcp.IP.IsLoopback()
	return caller, p.Addr.String()
}

// note counts and logs a refusal, and no other error. The message is ours: it holds nothing that the caller sent.
func (g *Guard) note(ctx context.Context, method string, err error) {
	s := status.Convert(err)
	reason := refusalOf(s.Code())
	if reason == "" {
		return
	}
	g.refused.WithLabelValues(reason).Inc()
	if g.lines.Allow() {
		remote, _ := ctx.Value(remoteKey{}).(string)
		g.logger.WarnContext(ctx, "call refused", "method", method, "remote", remote,
			"principal", access.PrincipalOf(ctx).Name, "reason", reason, "message", s.Message())
	}
}

// refusalOf names the codes that are refusals, as the contract's reasons do.
func refusalOf(code codes.Code) string {
	switch code {
	case codes.Unauthenticated:
		return "UNAUTHENTICATED"
	case codes.PermissionDenied:
		return "PERMISSION_DENIED"
	case codes.ResourceExhausted:
		return "LIMIT_EXCEEDED"
	default:
		return ""
	}
}
