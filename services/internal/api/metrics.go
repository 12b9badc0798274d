package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// metrics of what the api itself does; HTTP requests, replicas and the store
// have their own.
type metrics struct {
	writes   *prometheus.CounterVec
	pixels   prometheus.Counter
	pictures *prometheus.CounterVec
	lookups  *prometheus.CounterVec
	rescues  *prometheus.CounterVec

	checkpoints        *prometheus.CounterVec
	checkpointDuration prometheus.Histogram
	trimmed            prometheus.Counter
}

// Outcomes of a write.
const (
	writeDone     = "done"
	writeRefused  = "refused"     // certainly not in the log
	writeUnknown  = "unconfirmed" // its outcome was not known in time
	writeUnusable = "unavailable" // the log was away, so it was not tried
)

// Outcomes of a checkpoint.
const (
	checkpointSaved    = "saved"
	checkpointConflict = "conflict" // another one is stored by now, or another epoch began
	checkpointFailed   = "failed"
	checkpointDamaged  = "damaged" // the picture in memory was, so that it was not written
)

func newMetrics(r prometheus.Registerer) *metrics {
	vector := func(name, help string, labels []string, values ...[]string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		for _, of := range values {
			v.WithLabelValues(of...)
		}
		return v
	}
	m := &metrics{
		writes: vector("pixel_rest_writes_total", "Operations of requests, by what became of them: done, refused (certainly not in the log), unconfirmed (the outcome was not known in time), unavailable (the log was away, so that they were not tried).", []string{"result"},
			[]string{writeDone}, []string{writeRefused}, []string{writeUnknown}, []string{writeUnusable}),
		pixels: prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_rest_pixels_total", Help: "Pixels painted by requests."}),
		pictures: vector("pixel_pictures_total", "Whole pictures asked for, by form and whether one was at hand.", []string{"form", "source"},
			[]string{formJSON, "made"}, []string{formJSON, "cache"}, []string{formPNG, "made"}, []string{formPNG, "cache"},
			[]string{formSnapshot, "made"}, []string{formSnapshot, "cache"}),
		lookups: vector("pixel_last_write_lookups_total", "Questions for the last write of a cell, by where the answer was found.", []string{"source"},
			[]string{"memory"}, []string{"log"}, []string{"unknown"}),
		rescues: vector("pixel_rescues_total", "Last pictures of lost canvases, by whether they could be written to disk.", []string{"result"},
			[]string{"written"}, []string{"failed"}),
		checkpoints: vector("pixel_checkpoints_total", "Checkpoints, by result: saved, conflict (another one is stored by now, or another epoch began), failed, damaged (the picture in memory was, and was not written).", []string{"result"},
			[]string{checkpointSaved}, []string{checkpointConflict}, []string{checkpointFailed}, []string{checkpointDamaged}),
		checkpointDuration: prometheus.NewHistogram(telemetry.HistogramOpts("pixel_checkpoint_duration_seconds",
			"Time to write a checkpoint.", []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5})),
		trimmed: prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_log_trimmed_entries_total", Help: "Entries that this process trimmed from logs."}),
	}
	r.MustRegister(m.writes, m.pixels, m.pictures, m.lookups, m.rescues, m.checkpoints, m.checkpointDuration, m.trimmed)
	return m
}
