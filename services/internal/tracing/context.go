package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
)

// SpanContext returns a context that came with an operation; of no span, for
// the zero Trace.
func SpanContext(t canvas.Trace) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(t[:16]), SpanID: trace.SpanID(t[16:24]), TraceFlags: trace.TraceFlags(t[24]), Remote: true,
	})
}

// Of returns what travels with an operation whose span has this context; the
// zero Trace for no span.
func Of(c trace.SpanContext) (t canvas.Trace) {
	if !c.IsValid() {
		return t
	}
	traceID, spanID := c.TraceID(), c.SpanID()
	copy(t[:16], traceID[:])
	copy(t[16:24], spanID[:])
	t[24] = byte(c.TraceFlags())
	return t
}

// FromContext returns what travels with an operation that is submitted on
// behalf of the context's span.
func FromContext(ctx context.Context) canvas.Trace { return Of(trace.SpanContextFromContext(ctx)) }

// Note gives attributes to the context's span, if it is recorded.
func Note(ctx context.Context, attributes ...attribute.KeyValue) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attributes...)
	}
}

// Detach returns a context that has the given one's span for log lines, and
// nothing else of it: it may be kept for as long as a connection lives.
func Detach(ctx context.Context) context.Context {
	c := trace.SpanContextFromContext(ctx)
	if !c.IsSampled() {
		return context.Background()
	}
	return trace.ContextWithSpanContext(context.Background(), c)
}

type traceIDKey struct{}

// withTraceID has a root span that is started with the context take this id.
func withTraceID(ctx context.Context, id trace.TraceID) context.Context {
	return context.WithValue(ctx, traceIDKey{}, id)
}

// TraceIDFor returns the id that a root span which is started with the context
// must have, because the decision to sample it was made by that id. It is for
// the SDK's generator of ids.
func TraceIDFor(ctx context.Context) (id trace.TraceID, ok bool) {
	id, ok = ctx.Value(traceIDKey{}).(trace.TraceID)
	return id, ok
}
