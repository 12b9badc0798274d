package replica

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what replicas and writers do. One value serves all canvases
// of a process.
type Metrics struct {
	live       prometheus.Counter
	applied    prometheus.Counter
	duplicates prometheus.Counter
	gaps       prometheus.Counter
	foreign    prometheus.Counter
	repairs    prometheus.Counter
	noops      prometheus.Counter
	loads      prometheus.Counter
	epochs     prometheus.Counter
	checks     *prometheus.CounterVec
	audits     *prometheus.CounterVec
	unreadable prometheus.Counter
	loaded     prometheus.Gauge
	position   *prometheus.GaugeVec

	batches    prometheus.Counter
	batchOps   prometheus.Histogram
	appended   prometheus.Counter
	repeated   prometheus.Counter
	retries    prometheus.Counter
	refused    *prometheus.CounterVec
	queueOps   prometheus.Gauge
	queueBytes prometheus.Gauge
	durability prometheus.Histogram
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
		duplicates: counter("pixel_replica_duplicate_messages_total", "Live messages that brought nothing new."),
		gaps:       counter("pixel_replica_gaps_total", "Live messages that came before something that was still missing."),
		foreign:    counter("pixel_replica_foreign_messages_total", "Live messages of another epoch."),
		repairs:    counter("pixel_replica_repaired_operations_total", "Operations that were read from the log because no live message brought them."),
		noops:      counter("pixel_replica_impossible_operations_total", "Operations in the log that the canvas cannot hold; they change nothing, on every replica."),
		loads:      counter("pixel_replica_loads_total", "Loads of a canvas from its checkpoint and log."),
		epochs:     counter("pixel_replica_epoch_changes_total", "Times that a replica found another epoch."),
		checks:     vector("pixel_replica_head_checks_total", "Comparisons with the head of the log.", "result", "ok", "stale", "missing", "failed"),
		audits:     vector("pixel_replica_audits_total", "Comparisons of a replica's hash with a checkpoint's.", "result", "equal", "different"),
		unreadable: counter("pixel_replica_unreadable_total", "Records that could not be read, of an unknown version among them."),
		loaded:     gauge("pixel_replica_canvases", "Canvases held in this process."),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pixel_replica_position", Help: "Position up to which a canvas is applied; only canvases of the configuration have a series.",
		}, []string{"canvas"}),
		batches:    counter("pixel_append_batches_total", "Batches appended."),
		appended:   counter("pixel_append_operations_total", "Operations appended to the log."),
		repeated:   counter("pixel_append_duplicates_total", "Operations that the log held already."),
		retries:    counter("pixel_append_retries_total", "Appends repeated because their outcome was not known or the epoch had changed."),
		refused:    vector("pixel_append_refused_total", "Operations that the log did not take.", "reason", "log_full", "rejected", "queue_full"),
		queueOps:   gauge("pixel_append_queue_operations", "Operations that wait to be appended."),
		queueBytes: gauge("pixel_append_queue_bytes", "Bytes that wait to be appended."),
		batchOps: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pixel_append_batch_operations", Help: "Operations in a batch.", Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		durability: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pixel_durability_seconds", Help: "Time from the receipt of an operation to the log's acknowledgement, once per batch, for its oldest operation.",
			Buckets:                     []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}),
	}
	r.MustRegister(m.position, m.batchOps, m.durability)
	return m
}
