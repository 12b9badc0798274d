package telemetry_test

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// A value has an exemplar when its trace is sampled, with that trace's id, and
// costs no memory when it is not.
func TestExemplars(t *testing.T) {
	h := prometheus.NewHistogram(telemetry.HistogramOpts("x_seconds", "x", telemetry.LatencyBuckets))
	exemplars := func() (ids []string) {
		var m dto.Metric
		if err := h.Write(&m); err != nil {
			t.Fatal(err)
		}
		for _, b := range m.GetHistogram().GetBucket() {
			for _, l := range b.GetExemplar().GetLabel() {
				ids = append(ids, l.GetName()+"="+l.GetValue())
			}
		}
		return ids
	}
	span := func(flags trace.TraceFlags) context.Context {
		return trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{0xAB, 15: 1}, SpanID: trace.SpanID{2}, TraceFlags: flags,
		}))
	}
	unsampled := [25]byte{1, 24: 2}
	telemetry.ObserveTraced(h, .003, &unsampled)
	telemetry.ObserveContext(t.Context(), h, .003)
	telemetry.ObserveContext(span(0), h, .003)
	if got := exemplars(); len(got) != 0 {
		t.Errorf("without a sampled trace: %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { telemetry.ObserveTraced(h, .003, &unsampled) }); n != 0 {
		t.Errorf("%v allocations without a sampled trace", n)
	}
	telemetry.ObserveContext(span(trace.FlagsSampled), h, .003)
	if got := exemplars(); len(got) != 1 || got[0] != "trace_id=ab000000000000000000000000000001" {
		t.Errorf("with a sampled trace: %v", got)
	}
}
