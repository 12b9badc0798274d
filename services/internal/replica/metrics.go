package replica

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// Metrics counts what replicas and writers do. One value serves all canvases
// of a process.
type Metrics struct {
	live       prometheus.Counter
	applied    prometheus.Counter
	pixels     prometheus.Counter
	resets     prometheus.Counter
	duplicates prometheus.Counter
	gaps       prometheus.Counter
	foreign    prometheus.Counter
	repairs    prometheus.Counter
	noops      prometheus.Counter
	loads      prometheus.Counter
	epochs     prometheus.Counter
	checks     *prometheus.CounterVec
	audits     *prometheus.CounterVec
	scrubs     *prometheus.CounterVec
	unreadable prometheus.Counter
	loaded     prometheus.Gauge
	away       prometheus.Gauge
	position   *prometheus.GaugeVec
	head       *prometheus.GaugeVec
	loading    prometheus.Histogram

	batches    prometheus.Counter
	batchOps   prometheus.Histogram
	appended   prometheus.Counter
	repeated   prometheus.Counter
	retries    prometheus.Counter
	refused    *prometheus.CounterVec
	queueOps   prometheus.Gauge
	queueBytes prometheus.Gauge
	durability prometheus.Histogram
	appending  prometheus.Histogram

	mu      sync.Mutex
	writers map[*Writer]struct{} // that run
}

// NewMetrics registers the metrics of replicas and writers.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	vector := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		r.MustRegister(v)
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &Metrics{
		live:       counter("pixel_replica_live_messages_total", "Live messages received."),
		applied:    counter("pixel_replica_applied_operations_total", "Operations applied to a replica."),
		pixels:     counter("pixel_replica_applied_pixels_total", "Pixels of the operations applied to a replica. Each process applies all of a canvas: what is drawn is the greatest of the processes, not their sum."),
		resets:     counter("pixel_replica_applied_resets_total", "Resets applied to a replica."),
		duplicates: counter("pixel_replica_duplicate_messages_total", "Live messages that brought nothing new."),
		gaps:       counter("pixel_replica_gaps_total", "Live messages that came before something that was still missing."),
		foreign:    counter("pixel_replica_foreign_messages_total", "Live messages of another epoch."),
		repairs:    counter("pixel_replica_repaired_operations_total", "Operations that were read from the log because no live message brought them."),
		noops:      counter("pixel_replica_impossible_operations_total", "Operations in the log that the canvas cannot hold; they change nothing, on every replica."),
		loads:      counter("pixel_replica_loads_total", "Loads of a canvas from its checkpoint and log."),
		epochs:     counter("pixel_replica_epoch_changes_total", "Times that a replica found another epoch."),
		checks:     vector("pixel_replica_head_checks_total", "Comparisons with the head of the log, by result: ok, stale (another epoch), missing (Redis has no such canvas), failed.", "result", "ok", "stale", "missing", "failed"),
		audits:     vector("pixel_replica_audits_total", "Comparisons of a replica's hash with a checkpoint's, by result: equal, different (a defect; the picture is made anew), unknown (the checkpoint's position is not remembered).", "result", auditEqual, auditDifferent, auditUnknown),
		scrubs:     vector("pixel_replica_scrubs_total", "Pictures in memory whose hash was recomputed cell by cell, by result: sound, damaged (memory that went bad; the picture is made anew).", "result", scrubSound, scrubDamaged),
		unreadable: counter("pixel_replica_unreadable_total", "Records that could not be read, of an unknown version among them."),
		loaded:     gauge("pixel_replica_canvases", "Canvases held in this process."),
		away:       gauge("pixel_replica_unreachable_canvases", "Canvases held here whose log cannot be reached: nothing moves on them."),
		head: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pixel_log_head", Help: "Position of the head of a canvas's log when this process last looked; only canvases of the configuration have a series.",
		}, []string{"canvas"}),
		loading: prometheus.NewHistogram(telemetry.HistogramOpts("pixel_replica_load_duration_seconds",
			"Time to load a canvas from its checkpoint and log, when that worked.", []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10})),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pixel_replica_position", Help: "Position up to which a canvas is applied; only canvases of the configuration have a series.",
		}, []string{"canvas"}),
		batches:    counter("pixel_append_batches_total", "Batches appended."),
		appended:   counter("pixel_append_operations_total", "Operations appended to the log."),
		repeated:   counter("pixel_append_duplicates_total", "Operations that the log held already."),
		retries:    counter("pixel_append_retries_total", "Appends repeated because their outcome was not known or the epoch had changed."),
		refused:    vector("pixel_append_refused_total", "Operations that the log did not take, by why: log_full, rejected (by Redis or as malformed), queue_full (as much waited here as may).", "reason", "log_full", "rejected", "queue_full"),
		queueOps:   gauge("pixel_append_queue_operations", "Operations that wait to be appended."),
		queueBytes: gauge("pixel_append_queue_bytes", "Bytes that wait to be appended."),
		writers:    make(map[*Writer]struct{}),
		batchOps: prometheus.NewHistogram(telemetry.HistogramOpts("pixel_append_batch_operations",
			"Operations in a batch, once for each batch however often it is tried.", prometheus.ExponentialBuckets(1, 2, 10))),
		durability: prometheus.NewHistogram(telemetry.HistogramOpts("pixel_durability_seconds",
			"Time from the receipt of an operation to the log's acknowledgement, once for each batch, for its oldest operation.", appendBuckets)),
		appending: prometheus.NewHistogram(telemetry.HistogramOpts("pixel_append_duration_seconds",
			"Time to append a batch, all tries and the pauses between them included.", appendBuckets)),
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pixel_append_queue_age_seconds", Help: "How long the oldest operation that is not in the log yet has waited here.",
	}, m.oldest)
	r.MustRegister(m.position, m.head, m.loading, m.batchOps, m.durability, m.appending, age)
	return m
}

// appendBuckets are around what a Redis nearby takes, up to what an outage does.
var appendBuckets = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30}

// Results of audits and scrubs.
const (
	auditEqual     = "equal"
	auditDifferent = "different"
	auditUnknown   = "unknown"
	scrubSound     = "sound"
	scrubDamaged   = "damaged"
)

// oldest returns the age of the operation that waits longest, in seconds.
func (m *Metrics) oldest() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	var since time.Time
	for w := range m.writers {
		if t := w.waiting(); !t.IsZero() && (since.IsZero() || t.Before(since)) {
			since = t
		}
	}
	if since.IsZero() {
		return 0
	}
	return time.Since(since).Seconds()
}

// runs notes that a writer begins or ends to run.
func (m *Metrics) runs(w *Writer, is bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if is {
		m.writers[w] = struct{}{}
	} else {
		delete(m.writers, w)
	}
}
