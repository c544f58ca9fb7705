package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// probes tell supervisors whether to restart the bridge, and balancers whether to send it work. Their answers reach
// anybody who can connect, so they are fixed texts; the log has the causes. All methods may be called concurrently.
//
// A NATS cluster that is away leaves the bridge ready, as its spool takes callbacks: were all bridges to say otherwise,
// nobody would take them. Only the event service's gRPC health says that there is nothing to read.
type probes struct {
	journal *journal.Journal
	hub     *fanout.Hub
	off     atomic.Bool // the shutdown has begun
}

// Paths of the probes, on the HTTP listener and on that of the metrics.
const (
	livePath  = "/livez"
	readyPath = "/readyz"
)

// handle puts the probes in front of what else a listener serves.
func (p *probes) handle(rest http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+livePath, func(w http.ResponseWriter, _ *http.Request) { answerProbe(w, p.faults()) })
	mux.HandleFunc("GET "+readyPath, func(w http.ResponseWriter, _ *http.Request) { answerProbe(w, p.obstacles()) })
	mux.Handle("/", rest)
	return mux
}

// answerProbe says "ok", or what is wrong: a line each.
func answerProbe(w http.ResponseWriter, wrong []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok"
	if len(wrong) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = strings.Join(wrong, "\n")
	}
	_, _ = fmt.Fprintln(w, text)
}

// faults are those that only a restart mends.
func (p *probes) faults() []string {
	if errors.Is(p.journal.Accepts(), journal.ErrBroken) {
		return []string{"journal: it must be opened anew"}
	}
	return nil
}

// obstacles are the reasons not to send callbacks here.
func (p *probes) obstacles() (all []string) {
	if p.off.Load() {
		all = append(all, "shutting down")
	}
	if reason := whyRefused(p.journal.Accepts()); reason != "" {
		all = append(all, "journal: "+reason)
	}
	if !p.hub.Stats().Running {
		all = append(all, "tail: not running")
	}
	return all
}

func whyRefused(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, journal.ErrBroken):
		return "it must be opened anew"
	case errors.Is(err, journal.ErrFull):
		return "the disk or the spool is nearly full"
	case errors.Is(err, journal.ErrClosed):
		return "closed"
	default:
		return "unavailable"
	}
}

// healthInterval is how old what the gRPC health service says may be.
const healthInterval = time.Second

// report keeps what the gRPC health service says of these services up to date until ctx ends.
func (p *probes) report(ctx context.Context, to *health.Server, services []string) {
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for {
		ready := len(p.obstacles()) == 0
		to.SetServingStatus("", servingStatus(ready))
		for _, service := range services {
			to.SetServingStatus(service, servingStatus(ready))
		}
		to.SetServingStatus(deskbridgev1.SessionEventService_ServiceDesc.ServiceName,
			servingStatus(ready && !p.hub.Stats().Unreachable))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func servingStatus(ok bool) healthv1.HealthCheckResponse_ServingStatus {
	if ok {
		return healthv1.HealthCheckResponse_SERVING
	}
	return healthv1.HealthCheckResponse_NOT_SERVING
}
