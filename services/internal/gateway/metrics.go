package gateway

import (
	"strconv"
	"time"

	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the gateway itself does; the hub, the replicas and the
// store have their own.
type metrics struct {
	connections prometheus.Gauge
	handshakes  *prometheus.CounterVec
	handshake   prometheus.Histogram
	resumes     *prometheus.CounterVec
	closes      *prometheus.CounterVec
	duration    prometheus.Histogram
	received    *prometheus.CounterVec
	operations  prometheus.Counter
	pixels      prometheus.Counter
	acked       prometheus.Counter
	refused     map[protocol.Code]prometheus.Counter
	users       prometheus.Gauge
	usersAll    prometheus.Gauge
	unsent      prometheus.Counter
	rebalanced  prometheus.Counter
	panics      prometheus.Counter
}

// Outcomes of handshakes.
const (
	outcomeOpened   = "opened"
	outcomeOrigin   = "origin"
	outcomeAddress  = "address_limit"
	outcomeFull     = "full"
	outcomeBad      = "bad_request"
	outcomeNotFound = "not_found"
	outcomeDraining = "draining"
	outcomeNotReady = "not_ready"
	outcomeFailed   = "failed"
)

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pixel_connections", Help: "Open WebSocket connections."}),
		handshakes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pixel_handshakes_total", Help: "WebSocket handshakes, by outcome."}, []string{"outcome"}),
		handshake: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pixel_handshake_seconds", Help: "Duration of successful handshakes.", Buckets: hub.LatencyBuckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}),
		resumes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pixel_resumes_total", Help: "How returning clients got what they missed."}, []string{"from"}),
		closes:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pixel_connection_closes_total", Help: "Ended connections, by the close code that either side sent; none means that the connection broke."}, []string{"code"}),
		duration:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "pixel_connection_duration_seconds", Help: "Duration of ended connections.", Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 14400}}),
		received:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pixel_messages_received_total", Help: "Messages of clients, by type."}, []string{"type"}),
		operations: prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_operations_received_total", Help: "Operations of clients that were accepted into the queue to the log."}),
		pixels:     prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_pixels_received_total", Help: "Pixels of those operations."}),
		acked:      prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_operations_acknowledged_total", Help: "Operations that were acknowledged to connected clients."}),
		users:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "pixel_users", Help: "Connections with a name."}),
		usersAll:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "pixel_connections_everywhere", Help: "Connections to all gateways, as far as this one knows."}),
		unsent:     prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_drain_lost_operations_total", Help: "Operations without a number that were dropped because the gateway had to stop."}),
		rebalanced: prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_rebalanced_connections_total", Help: "Connections sent away because others have fewer."}),
		panics:     prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_connection_panics_total", Help: "Connections ended by a defect in this program."}),
		refused:    make(map[protocol.Code]prometheus.Counter),
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pixel_messages_refused_total", Help: "Messages and operations refused, by code."}, []string{"code"})
	r.MustRegister(m.connections, m.handshakes, m.handshake, m.resumes, m.closes, m.duration, m.received, m.operations,
		m.pixels, m.acked, refused, m.users, m.usersAll, m.unsent, m.rebalanced, m.panics)
	for _, c := range protocol.Codes() {
		m.refused[c] = refused.WithLabelValues(c.String())
	}
	for _, o := range []string{outcomeOpened, outcomeOrigin, outcomeAddress, outcomeFull, outcomeBad, outcomeNotFound, outcomeDraining, outcomeNotReady, outcomeFailed} {
		m.handshakes.WithLabelValues(o)
	}
	for _, from := range []hub.Resumption{hub.FromMemory, hub.FromLog, hub.FromScratch} {
		m.resumes.WithLabelValues(string(from))
	}
	for _, t := range []string{"draw", "name", "ping", "hello", "other", "bad"} {
		m.received.WithLabelValues(t)
	}
	return m
}

// knownCodes are the close codes that get a series of their own.
var knownCodes = map[int]bool{
	1000: true, 1001: true, 1002: true, 1003: true, 1005: true, 1006: true, 1007: true, 1008: true, 1009: true, 1011: true, 1012: true,
	protocol.CloseNotFound: true, protocol.CloseSlow: true, protocol.CloseReplaced: true, protocol.CloseUnavailable: true,
}

func (m *metrics) closed(code int, after time.Duration) {
	label := "other"
	switch {
	case code == 0:
		label = "none"
	case knownCodes[code]:
		label = strconv.Itoa(code)
	}
	m.closes.WithLabelValues(label).Inc()
	m.duration.Observe(after.Seconds())
}
