package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// spoolCollector asks the journal for the state of its spool at every scrape.
type spoolCollector struct {
	journal                 *journal.Journal
	entries, bytes, seconds *prometheus.Desc
}

// scrapeTimeout bounds what a scrape asks of the journal.
const scrapeTimeout = 2 * time.Second

func newSpoolCollector(j *journal.Journal) *spoolCollector {
	return &spoolCollector{
		journal: j,
		entries: prometheus.NewDesc("deskbridge_spool_entries",
			"Events that were acknowledged and are not in the NATS cluster yet.", nil, nil),
		bytes: prometheus.NewDesc("deskbridge_spool_bytes",
			"About how much those events take, of --spool-max-bytes.", nil, nil),
		seconds: prometheus.NewDesc("deskbridge_spool_oldest_seconds",
			"How long the oldest of those events has waited; 0 when there is none.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *spoolCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range []*prometheus.Desc{c.entries, c.bytes, c.seconds} {
		descriptions <- description
	}
}

// Collect implements prometheus.Collector.
func (c *spoolCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	stats, err := c.journal.SpoolStats(ctx)
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(c.entries, err)
		return
	}
	for description, value := range map[*prometheus.Desc]float64{
		c.entries: float64(stats.Entries), c.bytes: float64(stats.Bytes), c.seconds: stats.OldestAge.Seconds(),
	} {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value)
	}
}
