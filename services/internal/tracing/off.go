//go:build notracing

package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
)

// This is the package without its spans, compiled by -tags notracing. It exists to
// be compared with: what tracing costs when nothing is sampled is the difference
// between the two builds (bench/tracing).

// Tracer starts no spans.
type Tracer struct{}

// New returns a tracer that starts no spans.
func New(trace.TracerProvider, Decide) *Tracer { return nil }

// Span is never recorded.
type Span struct{}

// Draw returns the client's context.
func (*Tracer) Draw(parent canvas.Trace, _ time.Time, _ string, _ uint64, _ int) (*Span, canvas.Trace) {
	return nil, parent
}

// Send returns ctx.
func (*Tracer) Send(ctx context.Context, _ string, _ int, _ func(int) (canvas.Trace, *Span)) (context.Context, *Span) {
	return ctx, nil
}

// Process returns nil.
func (*Tracer) Process(string, *canvas.Entry, time.Time, string) *Span { return nil }

// Checkpoint returns ctx.
func (*Tracer) Checkpoint(ctx context.Context, _ string, _ Covered) (context.Context, *Span) {
	return ctx, nil
}

// Trace returns no context.
func (*Span) Trace() canvas.Trace { return canvas.Trace{} }

// The methods of a span do nothing.

// End does nothing.
func (*Span) End() {}

// Fail does nothing.
func (*Span) Fail(string, error) {}

// Acknowledged does nothing.
func (*Span) Acknowledged(uint64, bool) {}

// Retry does nothing.
func (*Span) Retry(error) {}

// Sent does nothing.
func (*Span) Sent(uint64, int) {}

// Delivered does nothing.
func (*Span) Delivered(int, int) {}
