package telemetry_test

import (
	"context"
	"fmt"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// samplers are the values of OTEL_TRACES_SAMPLER that the specification has.
var samplers = []struct{ name, arg string }{
	{"", ""}, {"always_on", ""}, {"always_off", ""}, {"traceidratio", "0.3"}, {"traceidratio", "0"},
	{"parentbased_always_on", ""}, {"parentbased_always_off", ""}, {"parentbased_traceidratio", "0.3"}, {"parentbased_traceidratio", ""},
}

func read(t *testing.T, env map[string]string) config.Telemetry {
	t.Helper()
	r := config.NewReader(func(name string) (string, bool) { s, ok := env[name]; return s, ok })
	c := config.TelemetryFrom(r)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

// fixed has the SDK take a trace id that was chosen before.
type fixed struct{ trace.TraceID }

func (f fixed) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return f.TraceID, trace.SpanID{1}
}
func (fixed) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return trace.SpanID{1} }

// What is decided about an operation before there is a span is what the SDK,
// which reads the environment by itself, decides about a span with the same id
// and parent.
func TestDecisionsAreTheSDKs(t *testing.T) {
	for _, s := range samplers {
		t.Run(fmt.Sprint(s.name, s.arg), func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", s.name)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", s.arg)
			c := read(t, map[string]string{"OTEL_TRACES_SAMPLER": s.name, "OTEL_TRACES_SAMPLER_ARG": s.arg})
			decide := telemetry.Decider(telemetry.Sampler(c))
			yes := 0
			for i := range 600 {
				var parent canvas.Trace
				if i%3 > 0 {
					parent = canvas.Trace{byte(i >> 8), byte(i), 1, 7: 1, 8: byte(i * 37), 16: 1, 24: byte(i%3 - 1)}
				}
				id, got := decide(parent)
				if i%3 > 0 && id != trace.TraceID(parent[:16]) {
					t.Fatal("an operation with a context got another trace")
				}
				sdk := sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(fixed{id}), sdktrace.WithSpanProcessor(tracetest.NewSpanRecorder()))
				ctx := context.Background()
				if i%3 > 0 {
					ctx = trace.ContextWithRemoteSpanContext(ctx, tracing.SpanContext(parent))
				}
				_, span := sdk.Tracer("").Start(ctx, tracing.NameDraw)
				if want := span.SpanContext().IsSampled(); got != want {
					t.Fatalf("trace %s with the parent %x: decided %t, the SDK %t", id, parent, got, want)
				}
				if got {
					yes++
				}
			}
			t.Logf("%d of 600 sampled", yes)
		})
	}
}

func recorder(s sdktrace.Sampler) (*tracing.Tracer, *tracetest.SpanRecorder) {
	r := tracetest.NewSpanRecorder()
	return telemetry.New("gateway", "g", telemetry.WithTracing(s, sdktrace.WithSpanProcessor(r))).Tracer, r
}

// The decision is not made a second time by chance: what was chosen by its
// trace's id is recorded, with that id.
func TestRatioIsTakenOnce(t *testing.T) {
	sampler := sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1))
	tracer, ended := recorder(sampler)
	const n = 20_000
	for range n {
		span, carried := tracer.Draw(canvas.Trace{}, at, "main", 1, 1)
		if (span != nil) != carried.Sampled() || span == nil && carried != (canvas.Trace{}) {
			t.Fatalf("span %v, but %x travels", span != nil, carried)
		}
		span.End()
	}
	// 2,000 ± 6 standard deviations; 200 if two decisions were made.
	if got := len(ended.Ended()); got < 1750 || got > 2250 {
		t.Errorf("%d of %d recorded, want a tenth", got, n)
	}
}

// A batch is recorded when one of its operations is, and never against the
// sampler.
func TestBatchesFollowTheirOperations(t *testing.T) {
	entry := &canvas.Entry{First: 7, Ops: []canvas.Op{
		{Trace: canvas.Trace{0: 1, 8: 0xFF, 16: 1, 24: 1}},
		{},
		{Trace: canvas.Trace{0: 2, 8: 0xFF, 16: 2, 24: 1}},
		{Trace: canvas.Trace{0: 3, 8: 0xFF, 16: 3}},
	}}
	for _, c := range []struct {
		sampler sdktrace.Sampler
		want    int
	}{
		{sdktrace.ParentBased(sdktrace.NeverSample()), 1},
		{sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1e-9)), 1},
		{sdktrace.NeverSample(), 0},
		{sdktrace.TraceIDRatioBased(1e-9), 0},
		{sdktrace.AlwaysSample(), 1},
	} {
		tracer, ended := recorder(c.sampler)
		tracer.Process("main", entry, at, tracing.Live).Delivered(1, 0)
		if got := len(ended.Ended()); got != c.want {
			t.Errorf("%s: %d spans, want %d", c.sampler.Description(), got, c.want)
			continue
		}
		if c.want == 1 {
			if span := ended.Ended()[0]; len(span.Links()) != 2 || span.Parent().IsValid() {
				t.Errorf("%s: %d links, parent %v; want two links and no parent", c.sampler.Description(), len(span.Links()), span.Parent().SpanID())
			}
		}
	}
}

// An operation that is not sampled costs no allocation, by whichever sampler and
// whatever came with it, on its whole way.
func TestUnsampledCostsNoAllocation(t *testing.T) {
	unsampled := canvas.Trace{0: 1, 8: 0xFF, 16: 1}
	entry := &canvas.Entry{First: 1, Ops: []canvas.Op{{}, {Trace: unsampled}}}
	off := (*tracing.Tracer)(nil)
	never, _ := recorder(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0)))
	seldom, _ := recorder(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1e-9)))
	for name, tracer := range map[string]*tracing.Tracer{"off": off, "never": never, "seldom": seldom} {
		for _, parent := range []canvas.Trace{{}, unsampled} {
			if n := testing.AllocsPerRun(1000, func() {
				span, carried := tracer.Draw(parent, at, "main", 1, 1)
				_, send := tracer.Send(context.Background(), "main", len(entry.Ops), func(i int) (canvas.Trace, *tracing.Span) { return carried, span })
				send.Sent(1, 1)
				process := tracer.Process("main", entry, at, tracing.Live)
				process.Delivered(3, 0)
				span.Acknowledged(1, false)
			}); n != 0 {
				t.Errorf("%s, parent %x: %v allocations", name, parent, n)
			}
		}
	}
}
