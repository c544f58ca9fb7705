package rpc

import (
	"context"
	"log/slog"
	"net"

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

// Guard stands before every method. Tap admits a call before anything is spent on it: without a goroutine, and without
// its request being read. All refusals, those of the methods as well, are counted and logged by it.
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
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.ResourceExhausted} {
		g.refused.WithLabelValues(refusalOf(code)) // 0 until there is one
	}
	// A series that begins with its first refusal has no increase that an alert could see.
	for _, code := range []codes.Code{codes.Unauthenticated, codes.PermissionDenied, codes.ResourceExhausted} {
		g.refused.WithLabelValues(refusalOf(code))
	}
	return g
}

// Options returns what a gRPC server needs to be guarded.
func (g *Guard) Options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.InTapHandle(g.tap),
		grpc.ChainUnaryInterceptor(g.unary),
		grpc.ChainStreamInterceptor(g.stream),
	}
}

func (g *Guard) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	caller, remote := callerOf(ctx, info)
	admitted, err := g.access.Admit(ctx, info.FullMethodName, caller)
	if err != nil {
		err = classify(err)
		g.note(ctx, info.FullMethodName, remote, err)
		return ctx, err
	}
	return context.WithValue(admitted, remoteKey{}, remote), nil
}

type remoteKey struct{}

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
		caller.Certificate = access.VerifiedCertificate(&transport.State)
	}
	tcp, ok := p.Addr.(*net.TCPAddr)
	caller.Local = ok && tcp.IP.IsLoopback()
	return caller, p.Addr.String()
}

func (g *Guard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	response, err := next(ctx, req)
	g.noteFrom(ctx, info.FullMethod, err)
	return response, err
}

func (g *Guard) stream(
	service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler,
) error {
	err := next(service, stream)
	g.noteFrom(stream.Context(), info.FullMethod, err)
	return err
}

func (g *Guard) noteFrom(ctx context.Context, method string, err error) {
	if err != nil {
		remote, _ := ctx.Value(remoteKey{}).(string)
		g.note(ctx, method, remote, err)
	}
}

// note counts and logs a refusal, and no other error. The message is ours: it holds nothing that the caller sent.
func (g *Guard) note(ctx context.Context, method, remote string, err error) {
	s := status.Convert(err)
	reason := refusalOf(s.Code())
	if reason == "" {
		return
	}
	g.refused.WithLabelValues(reason).Inc()
	if g.lines.Allow() {
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
