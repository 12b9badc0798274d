package hub

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// Metrics counts what hubs do. One value serves all hubs of a process.
type Metrics struct {
	owed        prometheus.Counter
	delivered   map[string]prometheus.Counter // by form
	undelivered map[string]prometheus.Counter // by reason
	confirmed   prometheus.Counter
	unconfirmed prometheus.Counter
	writes      prometheus.Counter
	bytes       prometheus.Counter
	frames      prometheus.Counter
	blocked     prometheus.Counter
	ranges      prometheus.Counter
	pictures    *prometheus.CounterVec
	slow        prometheus.Counter
	pings       prometheus.Counter
	missed      prometheus.Counter
	broadcast   prometheus.Observer
	catchUp     prometheus.Counter
	busy        prometheus.Counter
	historyOps  prometheus.Gauge

	mu   sync.Mutex
	hubs map[*Hub]struct{}
}

// NewMetrics registers the metrics of hubs.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_hub_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	children := func(name, help, label string, values ...string) map[string]prometheus.Counter {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pixel_hub_" + name, Help: help}, []string{label})
		r.MustRegister(v)
		all := make(map[string]prometheus.Counter, len(values))
		for _, value := range values {
			all[value] = v.WithLabelValues(value)
		}
		return all
	}
	m := &Metrics{
		owed: counter("owed_operations_total", "Operations that connections were owed: each operation after the position at which a connection joined, up to its end, once for each connection."),
		delivered: children("delivered_operations_total", "Operations that were written to connections as a whole, one for each operation and connection, by the form in which they came: operation (by itself), range (conflated with others), picture (a whole picture, or for a JSON client the request to load one).",
			"form", formOperation, formRange, formPicture),
		undelivered: children("undelivered_operations_total", "Operations that were owed to connections and not written to them before they ended, by why: closed (in an orderly way, by either side), broken, slow (the client did not read), epoch (the history itself ended). A client that returns is owed them by the gateway at which it does.",
			"reason", missedClosed, missedBroken, missedSlow, missedEpoch),
		confirmed:   counter("confirmed_operations_total", "Of the delivered operations, those whose receipt the client has proved, by the pong to a later ping or by its answer to the close frame."),
		unconfirmed: counter("unconfirmed_operations_total", "Of the delivered operations, those whose connection ended before it had proved their receipt."),
		writes:      counter("socket_writes_total", "Writes to sockets."),
		bytes:       counter("written_bytes_total", "Bytes written to sockets."),
		frames:      counter("written_frames_total", "WebSocket frames written to sockets."),
		blocked:     counter("blocked_writes_total", "Writes that found the socket full."),
		ranges:      counter("conflated_ranges_total", "Conflated ranges sent."),
		slow:        counter("slow_consumers_total", "Connections closed because they did not read."),
		pings:       counter("pings_total", "Pings sent to clients."),
		missed:      counter("heartbeats_missed_total", "Pings that were not answered yet when the next one was due."),
		catchUp:     counter("catch_up_writes_total", "Writes of operations that are no live delivery, and not part of the broadcast latency: to clients that had just come back."),
		busy:        counter("flusher_busy_seconds_total", "Time in which the one goroutine that writes to sockets was at work. A rate near 1 means that it cannot do more."),
		pictures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pixel_hub_pictures_total",
			Help: "Whole pictures given to connections, by why: join, lag (they were too far behind), epoch.",
		}, []string{"reason"}),
		historyOps: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pixel_hub_history_operations",
			Help: "Operations held in memory for connections that resume or lag.",
		}),
		hubs: make(map[*Hub]struct{}),
	}
	h := prometheus.NewHistogram(telemetry.HistogramOpts("pixel_broadcast_latency_seconds",
		"Time from the receipt of an operation at the gateway of its author to its write to a client's socket, here; once for each write, for its oldest operation.",
		telemetry.LatencyBuckets))
	m.broadcast = h
	r.MustRegister(m.pictures, m.historyOps, h, now{m})
	for _, reason := range []string{reasonJoin, reasonLag, reasonEpoch} {
		m.pictures.WithLabelValues(reason)
	}
	return m
}

func (m *Metrics) add(h *Hub) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hubs[h] = struct{}{}
}

func (m *Metrics) remove(h *Hub) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.hubs, h)
}

// now collects what is true at the moment of a scrape.
type now struct{ metrics *Metrics }

var (
	blockedNow = prometheus.NewDesc("pixel_hub_blocked_connections", "Connections whose socket is full at this moment.", nil, nil)
	lagNow     = prometheus.NewDesc("pixel_hub_max_lag_operations", "Operations that the connection which is furthest behind has still to be written.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (n now) Describe(descs chan<- *prometheus.Desc) {
	descs <- blockedNow
	descs <- lagNow
}

// Collect implements [prometheus.Collector].
func (n now) Collect(metrics chan<- prometheus.Metric) {
	n.metrics.mu.Lock()
	hubs := make([]*Hub, 0, len(n.metrics.hubs))
	for h := range n.metrics.hubs {
		hubs = append(hubs, h)
	}
	n.metrics.mu.Unlock()
	var blocked int
	var lag uint64
	for _, h := range hubs {
		c := h.Counters(0)
		blocked += c.Blocked
		lag = max(lag, c.MaxLag)
	}
	metrics <- prometheus.MustNewConstMetric(blockedNow, prometheus.GaugeValue, float64(blocked))
	metrics <- prometheus.MustNewConstMetric(lagNow, prometheus.GaugeValue, float64(lag))
}

// Reasons for a whole picture.
const (
	reasonJoin  = "join"
	reasonLag   = "lag"
	reasonEpoch = "epoch"
)
