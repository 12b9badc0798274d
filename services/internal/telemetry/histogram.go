package telemetry

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// LatencyBuckets are the classic buckets of what a person notices, in seconds,
// with boundaries on the targets (60, 100, 200, 300 and 500 ms).
var LatencyBuckets = []float64{.0005, .001, .002, .005, .01, .02, .04, .06, .1, .15, .2, .3, .5, 1, 2.5, 5, 10}

// HistogramOpts returns the options of a histogram that is kept in both forms:
// classic buckets, whose boundaries are the targets, and a native histogram,
// which tells any quantile within 10 % to who scrapes it.
func HistogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// sampled is the flag of W3C Trace Context (section 3.2.2.5.1) that says that
// the trace is recorded.
const sampled = 1

// ObserveTraced observes a value, with an exemplar of the trace where that is
// sampled: trace is a W3C trace context in binary, trace id (16 bytes), span id
// (8 bytes) and flags (1 byte); zero is no context. Without a sampled trace it
// allocates nothing.
func ObserveTraced(o prometheus.Observer, value float64, trace *[25]byte) {
	if trace[24]&sampled != 0 {
		if e, ok := o.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": hex.EncodeToString(trace[:16])})
			return
		}
	}
	o.Observe(value)
}

// ObserveContext is [ObserveTraced] with the trace of the context's span, if it
// has one.
func ObserveContext(ctx context.Context, o prometheus.Observer, value float64) {
	var binary [25]byte
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		id := span.TraceID()
		copy(binary[:], id[:])
		binary[24] = sampled
	}
	ObserveTraced(o, value, &binary)
}
