package hub

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what hubs do. One value serves all hubs of a process.
type Metrics struct {
	owed       prometheus.Counter
	delivered  prometheus.Counter
	conflated  prometheus.Counter
	confirmed  prometheus.Counter
	writes     prometheus.Counter
	bytes      prometheus.Counter
	blocked    prometheus.Counter
	ranges     prometheus.Counter
	pictures   *prometheus.CounterVec
	slow       prometheus.Counter
	broadcast  prometheus.Observer
	catchUp    prometheus.Counter
	historyOps prometheus.Gauge
}

// LatencyBuckets are the classic buckets of latency histograms, in seconds,
// with boundaries on the targets (60, 100, 200 and 300 ms).
var LatencyBuckets = []float64{.0005, .001, .002, .005, .01, .02, .04, .06, .1, .15, .2, .3, .5, 1, 2.5, 5, 10}

// NewMetrics registers the metrics of hubs.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_hub_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	m := &Metrics{
		owed:      counter("owed_operations_total", "Operations that connections were owed: those after the position at which each joined."),
		delivered: counter("delivered_operations_total", "Operations written to connections, one for each operation and connection, those inside conflated ranges included."),
		conflated: counter("conflated_operations_total", "Of the delivered operations, those that travelled inside a conflated range or a picture."),
		confirmed: counter("confirmed_operations_total", "Operations whose receipt connections have proved by a pong."),
		writes:    counter("socket_writes_total", "Writes to sockets."),
		bytes:     counter("written_bytes_total", "Bytes written to sockets."),
		blocked:   counter("blocked_writes_total", "Writes that found the socket full."),
		ranges:    counter("conflated_ranges_total", "Conflated ranges sent."),
		slow:      counter("slow_consumers_total", "Connections closed because they did not read."),
		catchUp:   counter("catch_up_writes_total", "Writes that are no live delivery: resumed clients and pictures."),
		pictures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pixel_hub_pictures_total",
			Help: "Whole pictures given to connections, by reason.",
		}, []string{"reason"}),
		historyOps: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pixel_hub_history_operations",
			Help: "Operations held in memory for connections that resume or lag.",
		}),
	}
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:                            "pixel_broadcast_latency_seconds",
		Help:                            "Time from the receipt of an operation at a gateway to its write to a client's socket, once per write, for its oldest operation.",
		Buckets:                         LatencyBuckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	})
	m.broadcast = h
	r.MustRegister(m.pictures, m.historyOps, h)
	for _, reason := range []string{reasonJoin, reasonLag, reasonEpoch} {
		m.pictures.WithLabelValues(reason)
	}
	return m
}

// Reasons for a whole picture.
const (
	reasonJoin  = "join"
	reasonLag   = "lag"
	reasonEpoch = "epoch"
)
