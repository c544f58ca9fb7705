// Package server is the composition root: it builds the bridge from a Config and runs it. The daemon and the tests
// start the same thing. It holds no logic of its own.
package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/callback"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/gateway"
	"github.com/deskbridge/deskbridge/server/internal/journal"
	"github.com/deskbridge/deskbridge/server/internal/rpc"
)

// Server is a bridge whose listeners are open and whose journal is ready. Run serves; without it, call Close.
type Server struct {
	config          Config
	logger          *slog.Logger
	metrics         *prometheus.Registry
	authenticator   *callback.Authenticator
	certificates    *certificates // nil: no TLS
	access          *access.Control
	reloads         []*reload // of what is read again when it changes on disk
	handshakes      *handshakes
	journal         *journal.Journal
	hub             *fanout.Hub
	events          *rpc.SessionEvents
	callbacks       *rpc.Callbacks
	gateway         *gateway.Gateway
	probes          *probes
	tracing         *tracing // nil when off
	health          *health.Server
	grpc            *grpc.Server
	edge            *grpc.Server // for the HTTP edge alone
	http            *http.Server
	httpListener    net.Listener
	grpcListener    net.Listener
	metricsListener net.Listener // nil when the metrics are not served
	metricsHTTP     *http.Server
	loopback        *bufconn.Listener // joins the HTTP edge to its gRPC server
	loopbackConn    *grpc.ClientConn
}

// New opens the journal and the listeners. On an error nothing is left open.
func New(ctx context.Context, config Config, logger *slog.Logger) (_ *Server, err error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	logger = slog.New(gateway.LogRequestIDs(logger.Handler()))
	s := &Server{config: config, logger: logger, metrics: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.secure(); err != nil {
		return nil, err
	}
	if s.tracing, err = newTracing(ctx, config.TracesEndpoint); err != nil {
		return nil, err
	}
	if err := s.openJournal(ctx); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	s.buildGRPC()
	s.buildMetrics()
	return s, s.buildHTTP()
}

func (s *Server) openJournal(ctx context.Context) error {
	var err error
	s.journal, err = journal.Open(ctx, journal.Config{
		Dir:          s.config.DataDir,
		Sync:         journal.Sync(s.config.Sync),
		DedupeWindow: s.config.DedupeWindow,
		AckTimeout:   s.config.AckTimeout,
		Retention:    s.config.retention(),
		MaxBytes:     s.config.MaxBytes,
		SpoolBytes:   s.config.SpoolMaxBytes,
		Cluster: journal.Cluster{
			URLs:            s.config.NATSURL,
			CredentialsFile: s.config.NATSCredentials,
			CAFile:          s.config.NATSCA,
			CertFile:        s.config.NATSCert,
			KeyFile:         s.config.NATSKey,
			Replicas:        s.config.Replicas,
		},
		Logger: s.logger,
	})
	return err
}

func (s *Server) listen(ctx context.Context) error {
	listen := newListenConfig(s.config.SendTimeout)
	limit := newConnectionLimit(s.config.MaxConns, s.metrics)
	var err error
	if s.httpListener, err = listen.Listen(ctx, "tcp", s.config.HTTPAddr); err != nil {
		return fmt.Errorf("--http-addr: %w", err)
	}
	s.httpListener = limit.listener("http", noticeVanished(s.httpListener))
	if s.grpcListener, err = listen.Listen(ctx, "tcp", s.config.GRPCAddr); err != nil {
		return fmt.Errorf("--grpc-addr: %w", err)
	}
	s.grpcListener = limit.listener("grpc", s.grpcListener)
	if s.config.MetricsAddr != "" {
		if s.metricsListener, err = listen.Listen(ctx, "tcp", s.config.MetricsAddr); err != nil {
			return fmt.Errorf("--metrics-addr: %w", err)
		}
	}
	s.loopback = bufconn.Listen(loopbackBuffer)
	s.loopbackConn, err = grpc.NewClient("passthrough:///deskbridge",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.loopback.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(edgeWindow), grpc.WithStaticConnWindowSize(edgeConnWindow),
	)
	return err
}

func (s *Server) buildGRPC() {
	s.hub = fanout.New(fanout.Config{
		Journal: fanout.From(s.journal), Logger: s.logger, WindowBytes: int(s.config.WindowBytes),
	})
	s.events = rpc.NewSessionEvents(rpc.SessionEventsConfig{
		Journal: s.journal, Hub: s.hub, Logger: s.logger,
		Tracer:     s.tracing.tracer(),
		MaxStreams: s.config.MaxStreams, MaxStreamAge: s.config.MaxStreamAge,
		SendTimeout: s.config.SendTimeout, DrainSpread: s.config.DrainSpread,
		PartTimeout: s.config.DrainTimeout / 4, // a reader that was cut has the rest of it to learn why
	})
	s.callbacks = rpc.NewCallbacks(rpc.CallbacksConfig{
		Journal: s.journal, Logger: s.logger, Metrics: s.metrics,
		Signed: s.authenticator.Signed(), Decode: callback.Decode,
	})
	s.health = health.NewServer()
	s.probes = &probes{journal: s.journal, hub: s.hub}
	guard := rpc.NewGuard(s.access, s.logger, s.metrics)
	s.grpc = s.newGRPC(guard, s.grpcCredentials(), connectionStreams)
	s.edge = s.newGRPC(guard, insecure.NewCredentials(), s.config.MaxStreams+spareStreams)
	registrar := guard.Registrar(s.grpc)
	deskbridgev1.RegisterQuarantineServiceServer(registrar, s.callbacks)
	deskbridgev1.RegisterSubscriptionServiceServer(registrar, rpc.NewSubscriptions(s.events))
	healthv1.RegisterHealthServer(registrar, s.health)
	reflection.Register(s.grpc)
}

func (s *Server) newGRPC(guard *rpc.Guard, creds credentials.TransportCredentials, streams int) *grpc.Server {
	options := append(grpcOptions(streams), grpc.Creds(creds))
	options = append(options, s.tracing.grpcOptions()...)
	server := grpc.NewServer(append(options, guard.Options()...)...)
	deskbridgev1.RegisterSessionEventServiceServer(guard.Registrar(server), s.events)
	return server
}

// ownServices are the names of the contract's services on the gRPC port.
func (s *Server) ownServices() (names []string) {
	for name := range s.grpc.GetServiceInfo() {
		if strings.HasPrefix(name, string(deskbridgev1.File_deskbridge_v1_session_event_proto.Package())) {
			names = append(names, name)
		}
	}
	return names
}

func (s *Server) buildHTTP() error {
	var err error
	s.gateway, err = gateway.New(gateway.Config{
		Callbacks:     s.callbacks,
		Events:        s.loopbackConn,
		Authenticator: s.authenticator,
		Logger:        s.logger,
		Metrics:       s.metrics,
		Traces:        s.tracing.tracerProvider(),
		MaxBodyBytes:  s.config.CallbackBody,
		BodyTimeout:   s.config.CallbackTimeout,
		MaxCallbacks:  s.config.CallbackLimit,
		SendTimeout:   s.config.SendTimeout,
	})
	if err != nil {
		return err
	}
	s.http = &http.Server{
		Handler:           gateway.Bodiless(s.partWhenClosing(s.probes.handle(s.gateway))),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(s.handshakes, "", 0),
	}
	if s.certificates != nil {
		s.http.TLSConfig = s.certificates.config("h2", "http/1.1")
	}
	return nil
}

func (s *Server) serveHTTP() error {
	if s.certificates != nil {
		return s.http.ServeTLS(s.httpListener, "", "")
	}
	return s.http.Serve(s.httpListener)
}

func (s *Server) buildMetrics() {
	s.metrics.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.metrics.MustRegister(s.events, newJournalCollector(s.journal, s.hub, s.probes))
	metrics := promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	s.metricsHTTP = &http.Server{
		Handler:           gateway.Bodiless(s.probes.handle(metrics)),
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          log.New(s.handshakes, "", 0),
	}
}

// HTTPAddr is the address that the HTTP listener got.
func (s *Server) HTTPAddr() string { return s.httpListener.Addr().String() }

// GRPCAddr is the address that the gRPC listener got.
func (s *Server) GRPCAddr() string { return s.grpcListener.Addr().String() }

// MetricsAddr is the address that the metrics listener got; empty without one.
func (s *Server) MetricsAddr() string {
	if s.metricsListener == nil {
		return ""
	}
	return s.metricsListener.Addr().String()
}

// Run serves until ctx ends or a part fails, then shuts down and closes everything. It returns nil after a clean end.
func (s *Server) Run(ctx context.Context) error {
	lastCtx, stopLast := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLast()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.hub.Run(lastCtx) })
	group.Go(func() error { s.probes.report(lastCtx, s.health, s.ownServices()); return nil })
	group.Go(func() error { return ignoreClosed(s.edge.Serve(s.loopback)) })
	group.Go(func() error { return ignoreClosed(s.grpc.Serve(s.grpcListener)) })
	group.Go(func() error { return ignoreClosed(s.serveHTTP()) })
	group.Go(func() error { return s.keepReloading(lastCtx) })
	if s.metricsListener != nil {
		group.Go(func() error { return ignoreClosed(s.metricsHTTP.Serve(s.metricsListener)) })
	}
	group.Go(func() error {
		<-ctx.Done()
		return s.shutdown(stopLast)
	})
	for _, missing := range s.config.missingSecurity() {
		s.logger.Warn("INSECURE, as --insecure allows", "why", missing)
	}
	s.logger.Info("deskbridge is ready", "http", s.HTTPAddr(), "grpc", s.GRPCAddr(),
		"tls", s.certificates != nil, "access_file", s.config.Access != "",
		"callbacks", s.config.callbackMode(s.authenticator.Signed()))
	err := group.Wait()
	return errors.Join(err, s.Close())
}

// shutdown ends everything that serves, in the order that loses nothing.
//
//  1. Readiness is off, over HTTP and gRPC, for ShutdownDelay: balancers look elsewhere while all is still served. Each
//     answer over HTTP closes its connection, at its end, so that the sender takes a new one to another bridge.
//  2. The HTTP listener closes, and connections without a request; callbacks under way are answered. A callback that
//     is sent at the very moment its connection closes was not read: no byte of an answer comes, and sending it again
//     is right. The delay is what makes that rare: a connection in use is never closed under its sender.
//  3. Streams are told to drain and end, over gRPC and HTTP; one whose reader takes nothing is cut after a quarter of
//     DrainTimeout. What they have not had by then waits in the journal.
//  4. The gRPC listener closes, and streams of the health service end, which have told of step 1, and of reflection;
//     calls under way are answered, what is left then is cut.
//  5. The tail stops, and the metrics, which have shown all of this.
//
// The journal closes last, in Close: until then a callback can be stored and a reader served. Steps 2 to 4 together are
// bounded by DrainTimeout. That readers had to be cut then is logged, and no failure: they lose nothing. Callbacks are
// another matter.
func (s *Server) shutdown(stopLast context.CancelFunc) error {
	s.logger.Info("deskbridge is shutting down", "delay", s.config.ShutdownDelay)
	s.probes.off.Store(true)
	s.health.Shutdown()
	time.Sleep(s.config.ShutdownDelay)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.stopHTTP(ctx) }()
	answered := s.gateway.AwaitCallbacks(ctx)
	drained := s.events.Drain(ctx)
	httpStopped := <-stopped
	s.access.Close()
	stopGRPC(ctx, s.edge)
	stopGRPC(ctx, s.grpc)
	stopLast()
	_ = s.metricsHTTP.Close()
	if cut := errors.Join(wrap("drain the streams", drained), wrap("close the HTTP listener", httpStopped)); cut != nil {
		s.logger.Warn("connections had to be cut", "error", cut)
	}
	return wrap("finish the callbacks", answered)
}

// stopHTTP returns when all requests have been answered, or cuts them when ctx ends.
func (s *Server) stopHTTP(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	return err
}

// partWhenClosing makes connections end with the answer from the beginning of a shutdown on. To close those that look
// idle instead, as net/http would, loses the callbacks that are on their way through them.
func (s *Server) partWhenClosing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.probes.off.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// stopGRPC stops gracefully until ctx ends: GracefulStop alone would wait for ever for a reader that doesn't go.
func stopGRPC(ctx context.Context, server *grpc.Server) {
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	server.GracefulStop()
}

// Close releases what New opened, the journal last. Run calls it.
func (s *Server) Close() error {
	var errs []error
	s.tracing.close()
	if s.loopbackConn != nil {
		errs = append(errs, s.loopbackConn.Close())
	}
	if s.loopback != nil {
		errs = append(errs, s.loopback.Close())
	}
	for _, listener := range []net.Listener{s.httpListener, s.grpcListener, s.metricsListener} {
		if listener != nil {
			errs = append(errs, ignoreClosed(listener.Close()))
		}
	}
	if s.journal != nil {
		errs = append(errs, wrap("close the journal", s.journal.Close()))
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, grpc.ErrServerStopped) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Bounds of the HTTP listener. There is no read or write timeout for a whole request: it would cut event streams.
const (
	headerTimeout  = 5 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
	loopbackBuffer = 1 << 20
)
