package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// metrics are those of the webhook. Callbacks that are kept are counted where that is decided, behind the edge.
type metrics struct {
	refused *prometheus.CounterVec
	seconds prometheus.Histogram
	bytes   prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, slots chan struct{}) metrics {
	m := metrics{
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "deskbridge_callbacks_refused_total",
			Help: "Callbacks answered with FAIL, by the name of their ErrorCode.",
		}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "deskbridge_callback_seconds",
			Help: "Time from a callback's head to its answer. The vendor gives up after two seconds.",
			// Around the time of a sync to disk, and up to the vendor's patience.
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2},
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "deskbridge_callback_body_bytes_total",
			Help: "Bytes of the bodies of admitted callbacks.",
		}),
	}
	underWay := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "deskbridge_callbacks_under_way",
		Help: "Callbacks that have arrived and are not answered yet, of --callback-max-concurrent.",
	}, func() float64 { return float64(len(slots)) })
	registerer.MustRegister(m.refused, m.seconds, m.bytes, underWay)
	// A series that begins with its first callback has no increase that an alert could see.
	for code, name := range deskbridgev1.CallbackErrorCode_name {
		if code != 0 {
			m.refused.WithLabelValues(name)
		}
	}
	return m
}
