package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// inTrace adds trace_id and span_id to lines that are logged with the context of
// a sampled span: those of others lead nowhere.
type inTrace struct{ slog.Handler }

// Handle implements [slog.Handler].
func (h inTrace) Handle(ctx context.Context, r slog.Record) error {
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() {
		r = r.Clone() // other handlers may have it, too
		r.AddAttrs(slog.String("trace_id", c.TraceID().String()), slog.String("span_id", c.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h inTrace) WithAttrs(attrs []slog.Attr) slog.Handler {
	return inTrace{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h inTrace) WithGroup(name string) slog.Handler { return inTrace{h.Handler.WithGroup(name)} }

// asLogged lets through what the first handler would.
type asLogged struct {
	slog.Handler
	level slog.Handler
}

// Enabled implements [slog.Handler].
func (h asLogged) Enabled(ctx context.Context, l slog.Level) bool { return h.level.Enabled(ctx, l) }

// WithAttrs implements [slog.Handler].
func (h asLogged) WithAttrs(attrs []slog.Attr) slog.Handler {
	return asLogged{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements [slog.Handler].
func (h asLogged) WithGroup(name string) slog.Handler {
	return asLogged{h.Handler.WithGroup(name), h.level}
}

// handler returns what takes all lines: as base writes them, with trace and
// span, and exported, unless export is nil. The exporter takes the context by
// itself.
func handler(base, export slog.Handler) slog.Handler {
	if export == nil {
		return inTrace{base}
	}
	return slog.NewMultiHandler(inTrace{base}, asLogged{export, base})
}
