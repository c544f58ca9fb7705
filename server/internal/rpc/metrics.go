package rpc

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/status"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

const (
	// maxNames bounds the names of subscriptions that have metrics of their own: clients choose them, and each makes
	// series in Prometheus. Names cannot hold a parenthesis, so these two are nobody's.
	maxNames  = 100
	otherName = "(other)"
	noName    = "(none)"
	// scrapeTimeout bounds what a scrape asks of the journal.
	scrapeTimeout = 2 * time.Second
)

// streamMetrics are those of the streams. What can be seen when Prometheus asks is not kept.
type streamMetrics struct {
	ended, refused *prometheus.CounterVec

	streams, limit, events, bytes        *prometheus.Desc
	nameStreams, lagEvents, lagSeconds   *prometheus.Desc
	catchUps, fellBehind, window, inside *prometheus.Desc
}

func newStreamMetrics() streamMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("deskbridge_"+name, help, labels, nil)
	}
	m := streamMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_streams_ended_total",
			Help: "Event streams that have ended, by why: an ErrorReason such as DRAINING or SLOW_READER, or a gRPC code.",
		}, []string{"reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_streams_refused_total",
			Help: "Event streams that were not opened, by ErrorReason or gRPC code.",
		}, []string{"reason"}),
		streams: describe("streams", "Event streams open, by how their events travel and whether they are live or "+
			"catching up with the journal.", "transport", "state"),
		limit: describe("streams_limit", "Event streams that may be open at once: --max-streams."),
		events: describe("stream_events_total",
			"Events handed to streams: one event counts once for each stream that gets it."),
		bytes: describe("stream_bytes_total", "Bytes of those events, before compression and TLS."),
		nameStreams: describe("subscription_streams",
			"Event streams open, by the subscription's name; 100 names at most, the rest as (other).", "name"),
		lagEvents: describe("subscription_lag_events",
			"Events between the slowest stream of a name and the newest event.", "name"),
		lagSeconds: describe("subscription_lag_seconds", "How long the first event that the slowest stream of a name "+
			"has not been given has been stored; 0 when it has all.", "name"),
		catchUps: describe("catch_ups", "Streams that read the journal (reading), or wait for their turn to (waiting).",
			"state"),
		fellBehind: describe("fell_behind_total",
			"How often a live stream was too slow for the window and went back to the journal."),
		window: describe("window_bytes", "Memory that holds the recent events for all live streams."),
		inside: describe("window_events", "Recent events in memory for all live streams."),
	}
	// A series that begins with its first event has no increase that an alert could see.
	for _, reason := range []deskbridgev1.ErrorReason{
		deskbridgev1.ErrorReason_ERROR_REASON_SLOW_READER, deskbridgev1.ErrorReason_ERROR_REASON_DRAINING,
		deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, deskbridgev1.ErrorReason_ERROR_REASON_JOURNAL_DAMAGED,
	} {
		m.ended.WithLabelValues(reasonLabel(reason))
	}
	for _, reason := range []deskbridgev1.ErrorReason{
		deskbridgev1.ErrorReason_ERROR_REASON_LIMIT_EXCEEDED, deskbridgev1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED,
	} {
		m.refused.WithLabelValues(reasonLabel(reason))
	}
	return m
}

func reasonLabel(reason deskbridgev1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

// reasonOf is the label of a stream's end.
func reasonOf(err error) string {
	var known *callError
	if errors.As(err, &known) {
		return reasonLabel(known.detail.GetReason())
	}
	return status.Code(err).String()
}

// Describe implements prometheus.Collector.
func (s *SessionEvents) Describe(descriptions chan<- *prometheus.Desc) {
	m := s.metrics
	for _, d := range []*prometheus.Desc{
		m.streams, m.limit, m.events, m.bytes, m.nameStreams, m.lagEvents, m.lagSeconds, m.catchUps, m.fellBehind,
		m.window, m.inside,
	} {
		descriptions <- d
	}
	m.ended.Describe(descriptions)
	m.refused.Describe(descriptions)
}

// Collect implements prometheus.Collector.
func (s *SessionEvents) Collect(metrics chan<- prometheus.Metric) {
	m := s.metrics
	m.ended.Collect(metrics)
	m.refused.Collect(metrics)
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	counter := func(d *prometheus.Desc, value uint64) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value))
	}
	open := s.readers.list(0)
	for group, count := range groupStreams(open) {
		gauge(m.streams, float64(count), group.transport, group.state)
	}
	gauge(m.limit, float64(s.config.MaxStreams))
	events, bytes := s.readers.delivered()
	counter(m.events, events)
	counter(m.bytes, bytes)
	stats := s.config.Hub.Stats()
	gauge(m.catchUps, float64(stats.Replaying), "reading")
	gauge(m.catchUps, float64(stats.Waiting), "waiting")
	counter(m.fellBehind, stats.FallBehinds)
	gauge(m.window, float64(stats.WindowBytes))
	gauge(m.inside, float64(stats.WindowEvents))
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	for name, group := range groupNames(open) {
		gauge(m.nameStreams, float64(group.streams), name)
		gauge(m.lagEvents, float64(group.slowest.lag()), name)
		gauge(m.lagSeconds, s.lagTime(ctx, group.slowest).Seconds(), name)
	}
}

// streamGroup are the labels of deskbridge_streams.
type streamGroup struct{ transport, state string }

func groupStreams(open []*pump) map[streamGroup]int {
	groups := map[streamGroup]int{}
	for _, transport := range []string{"grpc", "json_lines", "server_sent_events"} {
		groups[streamGroup{transport, "live"}], groups[streamGroup{transport, "catching_up"}] = 0, 0
	}
	for _, p := range open {
		groups[streamGroup{
			transport: strings.ToLower(strings.TrimPrefix(p.visitor.transport.String(), "SUBSCRIPTION_TRANSPORT_")),
			state:     strings.ToLower(strings.TrimPrefix(p.state().String(), "SUBSCRIPTION_STATE_")),
		}]++
	}
	return groups
}

// nameGroup are the streams of one name.
type nameGroup struct {
	streams int
	slowest place
}

// groupNames gives those who have been here longest the names of their own.
func groupNames(open []*pump) map[string]nameGroup {
	groups := map[string]nameGroup{}
	for _, p := range open {
		name := p.request.GetName()
		if name == "" {
			name = noName
		}
		if _, known := groups[name]; !known && len(groups) >= maxNames {
			name = otherName
		}
		group, at := groups[name], p.place()
		if group.streams == 0 || at.lag() > group.slowest.lag() {
			group.slowest = at
		}
		group.streams++
		groups[name] = group
	}
	return groups
}
