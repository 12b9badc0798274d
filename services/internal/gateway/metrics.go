package gateway

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/protocol"
)

// metrics counts what the gateway itself does; the hub, the replicas and the
// store have their own. All children are resolved when it is made.
type metrics struct {
	connections prometheus.Gauge
	handshakes  map[string]prometheus.Counter // by outcome
	handshake   prometheus.Histogram
	resumes     map[hub.Resumption]prometheus.Counter
	closes      map[string]prometheus.Counter // by code
	duration    prometheus.Histogram
	dead        prometheus.Counter
	panics      prometheus.Counter
	rebalanced  prometheus.Counter

	messages   map[string]prometheus.Counter // received, by type
	refused    map[protocol.Code]prometheus.Counter
	operations prometheus.Counter
	turnedAway map[protocol.Code]prometheus.Counter // operations
	repeated   prometheus.Counter
	acked      prometheus.Counter
	pixels     prometheus.Counter
	unsent     prometheus.Counter

	users            prometheus.Gauge
	connectionsEvery prometheus.Gauge
	usersEvery       prometheus.Gauge

	reports  map[protocol.Measure]map[string]prometheus.Counter // by outcome
	reported map[protocol.Measure]map[protocol.Vantage]prometheus.Observer
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

// Types of messages, as metrics name them.
const (
	messageDraw      = "draw"
	messageName      = "name"
	messagePing      = "ping"
	messageHello     = "hello"
	messageCursor    = "cursor" // or view
	messageTelemetry = "telemetry"
	messageOther     = "other"
	messageBad       = "bad"
)

// Outcomes of a client's report of what it measured.
const (
	reportAccepted = "accepted"
	reportRange    = "out_of_range"
	reportLimited  = "rate_limited"
)

// recoveryBuckets have boundaries on the target for coming back (500 ms) and
// reach as far as outages do, in seconds.
var recoveryBuckets = []float64{.05, .1, .2, .3, .5, .75, 1, 2, 5, 10, 30, 60, 300}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(telemetry.HistogramOpts(name, help, buckets))
		r.MustRegister(h)
		return h
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	m := &metrics{
		connections: gauge("pixel_connections", "Open WebSocket connections."),
		handshake:   histogram("pixel_handshake_duration_seconds", "Time from a request for a WebSocket to the open connection, of those that were opened.", telemetry.LatencyBuckets),
		duration:    histogram("pixel_connection_duration_seconds", "Time for which ended connections were open.", []float64{1, 5, 15, 60, 300, 900, 3600, 14400}),
		dead:        counter("pixel_dead_connections_total", "Connections ended because nothing came from the client for twice the ping interval."),
		panics:      counter("pixel_connection_panics_total", "Connections ended by a defect in this program."),
		rebalanced:  counter("pixel_rebalanced_connections_total", "Connections sent away because others have fewer."),
		operations:  counter("pixel_operations_received_total", "Operations of clients that could be read. Each is then acknowledged, refused, repeated, or waits; or its connection or the process ends first."),
		repeated:    counter("pixel_operations_repeated_total", "Operations that came again on the same connection at a moment when they would have been refused; the answer to the first is the answer to both."),
		acked:       counter("pixel_operations_acknowledged_total", "Operations that were found or put into the log, so that their client was told, if it numbers them."),
		pixels:      counter("pixel_pixels_received_total", "Pixels of the operations that were let into the queue to the log."),
		unsent:      counter("pixel_drain_lost_operations_total", "Operations without a number that were dropped because the gateway had to stop."),

		users:            gauge("pixel_users", "Connections with a name."),
		usersEvery:       gauge("pixel_users_everywhere", "Connections with a name to all gateways, as far as this one knows."),
		connectionsEvery: gauge("pixel_connections_everywhere", "Connections to all gateways, as far as this one knows."),

		handshakes: make(map[string]prometheus.Counter),
		resumes:    make(map[hub.Resumption]prometheus.Counter),
		closes:     make(map[string]prometheus.Counter),
		messages:   make(map[string]prometheus.Counter),
		refused:    make(map[protocol.Code]prometheus.Counter),
		turnedAway: make(map[protocol.Code]prometheus.Counter),
		reports:    make(map[protocol.Measure]map[string]prometheus.Counter),
		reported:   make(map[protocol.Measure]map[protocol.Vantage]prometheus.Observer),
	}
	handshakes := vector("pixel_handshakes_total", "Requests for a WebSocket, by outcome: opened, or why not.", "outcome")
	for _, o := range []string{outcomeOpened, outcomeOrigin, outcomeAddress, outcomeFull, outcomeBad, outcomeNotFound, outcomeDraining, outcomeNotReady, outcomeFailed} {
		m.handshakes[o] = handshakes.WithLabelValues(o)
	}
	resumes := vector("pixel_resumes_total", "How returning clients got what they missed: from memory, from the log, or by a snapshot of the whole picture.", "from")
	for _, from := range []hub.Resumption{hub.FromMemory, hub.FromLog, hub.FromScratch} {
		m.resumes[from] = resumes.WithLabelValues(string(from))
	}
	closes := vector("pixel_connection_closes_total", "Ended connections, by the close code that either side sent; none means that the connection broke.", "code")
	for _, code := range closeLabels() {
		m.closes[code] = closes.WithLabelValues(code)
	}
	messages := vector("pixel_messages_received_total", "Messages of clients, by type; bad ones could not be read.", "type")
	for _, t := range []string{messageDraw, messageName, messagePing, messageHello, messageCursor, messageTelemetry, messageOther, messageBad} {
		m.messages[t] = messages.WithLabelValues(t)
	}
	refused := vector("pixel_messages_refused_total", "Messages refused, operations among them, by code (docs/PROTOCOL.md, Codes).", "code")
	turnedAway := vector("pixel_operations_refused_total", "Operations that could be read and were refused all the same, by code.", "code")
	for _, c := range protocol.Codes() {
		m.refused[c] = refused.WithLabelValues(c.String())
		if c.Transient() {
			m.turnedAway[c] = turnedAway.WithLabelValues(c.String())
		}
	}
	reports := vector("pixel_telemetry_reports_total", "Measurements that clients reported, by what was measured and whether it went into the histogram: accepted, out_of_range, rate_limited.", "measure", "outcome")
	for measure, v := range map[protocol.Measure]*prometheus.HistogramVec{
		protocol.MeasureLatency: prometheus.NewHistogramVec(telemetry.HistogramOpts("pixel_end_to_end_latency_seconds",
			"Time from the start of an operation at a client to its return in the canvas's order, as clients report it, by who reports.", telemetry.LatencyBuckets), []string{"vantage"}),
		protocol.MeasureRecovery: prometheus.NewHistogramVec(telemetry.HistogramOpts("pixel_recovery_duration_seconds",
			"Time from the loss of a connection to having caught up on another one, as returning clients report it, by who reports.", recoveryBuckets), []string{"vantage"}),
	} {
		r.MustRegister(v)
		m.reported[measure] = make(map[protocol.Vantage]prometheus.Observer)
		for _, from := range protocol.Vantages() {
			m.reported[measure][from] = v.WithLabelValues(from.String())
		}
		m.reports[measure] = make(map[string]prometheus.Counter)
		for _, o := range []string{reportAccepted, reportRange, reportLimited} {
			m.reports[measure][o] = reports.WithLabelValues(measure.String(), o)
		}
	}
	return m
}

// knownCodes are the close codes that get a series of their own.
var knownCodes = map[int]bool{
	1000: true, 1001: true, 1002: true, 1003: true, 1005: true, 1006: true, 1007: true, 1008: true, 1009: true, 1011: true, 1012: true,
	protocol.CloseNotFound: true, protocol.CloseSlow: true, protocol.CloseReplaced: true, protocol.CloseUnavailable: true,
}

// Labels of closes without a series of their own.
const (
	closeNone  = "none"
	closeOther = "other"
)

func closeLabels() []string {
	all := []string{closeNone, closeOther}
	for code := range knownCodes {
		all = append(all, strconv.Itoa(code))
	}
	return all
}

func (m *metrics) closed(code int, after time.Duration) {
	label := closeOther
	switch {
	case code == 0:
		label = closeNone
	case knownCodes[code]:
		label = strconv.Itoa(code)
	}
	m.closes[label].Inc()
	m.duration.Observe(after.Seconds())
}
