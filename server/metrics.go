package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskbridge/deskbridge/server/internal/fanout"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// scrapeTimeout bounds what a scrape asks of the journal.
const scrapeTimeout = 2 * time.Second

// journalCollector looks at the journal and its tail at every scrape. What can't be told at that moment is left out of
// the scrape, so that the rest of it still comes.
type journalCollector struct {
	journal *journal.Journal
	hub     *fanout.Hub
	probes  *probes
	descs   map[string]*prometheus.Desc
}

// journalMetrics are the gauges of a journalCollector, by name.
var journalMetrics = map[string]string{
	"deskbridge_ready": "1 when /readyz says ok: the bridge takes callbacks.",
	"deskbridge_journal_reachable": "1 when the tail can read the journal. 0: streams get nothing new, though callbacks " +
		"may be spooled.",
	"deskbridge_journal_events":         "Events in the journal.",
	"deskbridge_journal_bytes":          "What the events take on disk; on a NATS cluster, of each replica.",
	"deskbridge_journal_head_position":  "Position of the newest event.",
	"deskbridge_journal_oldest_seconds": "Age of the oldest retained event.",
	"deskbridge_silence_seconds":        "Time since the newest event was stored, by whichever bridge.",
	"deskbridge_tail_lag_events":        "Stored events that the tail has not read yet, and so no live stream has.",
	"deskbridge_disk_free_bytes":        "Room on the filesystem of --data-dir.",
	"deskbridge_disk_reserve_bytes":     "With less room than this the journal takes nothing.",
	"deskbridge_quarantine_callbacks":   "Callbacks in quarantine, which wait for a person.",
	"deskbridge_quarantine_bytes":       "What they take, of 256 MiB.",
	"deskbridge_spool_entries":          "Events that were acknowledged and are not in the NATS cluster yet.",
	"deskbridge_spool_bytes":            "About how much those events take, of --spool-max-bytes.",
	"deskbridge_spool_oldest_seconds":   "How long the oldest of those events has waited; 0 when there is none.",
}

func newJournalCollector(j *journal.Journal, hub *fanout.Hub, p *probes) *journalCollector {
	c := &journalCollector{journal: j, hub: hub, probes: p, descs: map[string]*prometheus.Desc{}}
	for name, help := range journalMetrics {
		c.descs[name] = prometheus.NewDesc(name, help, nil, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *journalCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range c.descs {
		descriptions <- description
	}
}

// Collect implements prometheus.Collector.
func (c *journalCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	gauge := func(name string, value float64) {
		metrics <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, value)
	}
	disk, tail := c.journal.Disk(), c.hub.Stats()
	gauge("deskbridge_ready", number(len(c.probes.obstacles()) == 0))
	gauge("deskbridge_journal_reachable", number(!tail.Unreachable))
	gauge("deskbridge_disk_free_bytes", float64(disk.Free))
	gauge("deskbridge_disk_reserve_bytes", float64(disk.Reserve))
	if bounds, err := c.journal.Bounds(ctx); err == nil {
		collectBounds(gauge, bounds, tail.Head)
	}
	if count, bytes, err := c.journal.Quarantine().Size(ctx); err == nil {
		gauge("deskbridge_quarantine_callbacks", float64(count))
		gauge("deskbridge_quarantine_bytes", float64(bytes))
	}
	if spool, err := c.journal.SpoolStats(ctx); err == nil {
		gauge("deskbridge_spool_entries", float64(spool.Entries))
		gauge("deskbridge_spool_bytes", float64(spool.Bytes))
		gauge("deskbridge_spool_oldest_seconds", spool.OldestAge.Seconds())
	}
}

func collectBounds(gauge func(name string, value float64), bounds journal.Bounds, tailHead uint64) {
	gauge("deskbridge_journal_events", float64(bounds.Count))
	gauge("deskbridge_journal_bytes", float64(bounds.Bytes))
	gauge("deskbridge_journal_head_position", float64(bounds.Latest))
	gauge("deskbridge_tail_lag_events", float64(bounds.Latest-min(bounds.Latest, tailHead)))
	if bounds.Count > 0 {
		gauge("deskbridge_journal_oldest_seconds", time.Since(bounds.EarliestTime).Seconds())
		gauge("deskbridge_silence_seconds", max(time.Since(bounds.LatestTime).Seconds(), 0))
	}
}

// newFileMetrics tell of the files that are read again when they change, by the setting that names them.
func newFileMetrics(metrics prometheus.Registerer) *prometheus.GaugeVec {
	stale := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "deskbridge_file_stale",
		Help: "1 when a file was changed and can't be used: what was read before stays in force. The files of TLS count as " +
			"one.",
	}, []string{"setting"})
	metrics.MustRegister(stale)
	return stale
}

// registerExpiry tells until when the certificate in force is good.
func registerExpiry(metrics prometheus.Registerer, c *certificates) {
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "deskbridge_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the listeners expires, as Unix time. Without TLS it is missing.",
	}, func() float64 { return float64(c.current.Load().Certificates[0].Leaf.NotAfter.Unix()) }))
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
