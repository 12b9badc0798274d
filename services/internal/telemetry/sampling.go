package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// Sampler returns the sampler that OTEL_TRACES_SAMPLER and its argument name.
// The SDK makes the same one but keeps it to itself, and here it is asked about
// each operation before a span is made.
func Sampler(c config.Telemetry) sdktrace.Sampler {
	switch c.Sampler {
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(c.Ratio)
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Ratio))
	}
	return sdktrace.ParentBased(sdktrace.AlwaysSample())
}

// remote returns a context whose parent is some span of another process. The
// SDK's samplers look at its flags only.
func remote(flags trace.TraceFlags) context.Context {
	return trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: flags, Remote: true,
	}))
}

var (
	parentSampled   = remote(trace.FlagsSampled)
	parentUnsampled = remote(0)
)

// Decider returns the decisions of a sampler about operations, without an
// allocation: nearly all operations are not sampled, and the SDK's way to find
// that out is to make a span that records nothing.
func Decider(s sdktrace.Sampler) tracing.Decide {
	return func(parent canvas.Trace) (trace.TraceID, bool) {
		p := sdktrace.SamplingParameters{
			ParentContext: context.Background(), Name: tracing.NameDraw, Kind: trace.SpanKindServer,
		}
		switch {
		case parent == canvas.Trace{}:
			p.TraceID = newTraceID()
		case parent.Sampled():
			p.ParentContext, p.TraceID = parentSampled, trace.TraceID(parent[:16])
		default:
			p.ParentContext, p.TraceID = parentUnsampled, trace.TraceID(parent[:16])
		}
		return p.TraceID, s.ShouldSample(p).Decision == sdktrace.RecordAndSample
	}
}

// linked samples a root span whenever it would have sampled it as the child of
// one of the spans that it is linked to: so the append of a batch is recorded
// when one of its operations is, and never against the sampler.
type linked struct{ sdktrace.Sampler }

// ShouldSample implements [sdktrace.Sampler].
func (l linked) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := l.Sampler.ShouldSample(p)
	if result.Decision != sdktrace.Drop || trace.SpanContextFromContext(p.ParentContext).IsValid() {
		return result
	}
	for _, link := range p.Links {
		if !link.SpanContext.IsSampled() {
			continue
		}
		child := p
		child.ParentContext = trace.ContextWithRemoteSpanContext(p.ParentContext, link.SpanContext)
		child.TraceID = link.SpanContext.TraceID()
		if r := l.Sampler.ShouldSample(child); r.Decision != sdktrace.Drop {
			return r
		}
	}
	return result
}

// ids makes random ids, and takes a trace's from the context where the decision
// to sample it was made by that id before the span is.
type ids struct{}

func newIDs() sdktrace.IDGenerator { return ids{} }

// NewIDs implements [sdktrace.IDGenerator].
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, ok := tracing.TraceIDFor(ctx)
	if !ok {
		id = newTraceID()
	}
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID implements [sdktrace.IDGenerator].
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// newTraceID returns a random id: unique, not secret.
func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}
