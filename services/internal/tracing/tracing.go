//go:build !notracing

package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Tracer starts the spans of this package. It is safe for concurrent use; nil
// starts none.
type Tracer struct {
	tracer trace.Tracer
	decide Decide
}

// New returns a tracer that starts its spans by tp.
func New(tp trace.TracerProvider, decide Decide) *Tracer {
	return &Tracer{
		tracer: tp.Tracer("github.com/cloud-pixel/playground", trace.WithSchemaURL(semconv.SchemaURL)),
		decide: decide,
	}
}

// Span is a span under way. Nil is one that is not recorded: it takes all
// calls. Each is used by one goroutine at a time.
type Span struct {
	span  trace.Span
	batch bool // about several sampled operations
}

// Trace returns the span's context, as it travels with an operation.
func (s *Span) Trace() canvas.Trace {
	if s == nil {
		return canvas.Trace{}
	}
	return Of(s.span.SpanContext())
}

// End ends a span that has nothing more to say.
func (s *Span) End() {
	if s != nil {
		s.span.End()
	}
}

// Fail ends the span as failed. The reason is a word of a bounded set, the error
// its explanation; nil: the reason says it all.
func (s *Span) Fail(reason string, err error) {
	if s == nil {
		return
	}
	text := reason
	if err != nil {
		text = err.Error()
	}
	s.span.SetAttributes(semconv.ErrorTypeKey.String(reason))
	s.span.SetStatus(codes.Error, text)
	s.span.End()
}

// Draw starts the span of an operation that a client sent at the moment
// received. parent is the context that came with it. It returns what is to
// travel with the operation: the span's context, or the client's when the
// operation is not sampled.
func (t *Tracer) Draw(parent canvas.Trace, received time.Time, id string, number uint64, pixels int) (*Span, canvas.Trace) {
	if t == nil {
		return nil, parent
	}
	traceID, sampled := t.decide(parent)
	if !sampled {
		return nil, parent
	}
	ctx := context.Background()
	if parent == (canvas.Trace{}) {
		ctx = withTraceID(ctx, traceID)
	} else {
		ctx = trace.ContextWithRemoteSpanContext(ctx, SpanContext(parent))
	}
	attributes := []attribute.KeyValue{KeyCanvas.String(id), KeyPixels.Int(pixels)}
	if number != 0 {
		attributes = append(attributes, KeyNumber.Int64(int64(number)))
	}
	_, span := t.tracer.Start(ctx, NameDraw, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(received), trace.WithAttributes(attributes...))
	if !span.IsRecording() {
		return nil, parent
	}
	s := &Span{span: span}
	return s, s.Trace()
}

// Acknowledged ends the span of an operation: it is in the log, at position seq
// or before. duplicate: it was so before this submission.
func (s *Span) Acknowledged(seq uint64, duplicate bool) {
	if s == nil {
		return
	}
	s.span.SetAttributes(KeyAcknowledged.Int64(int64(seq)))
	if duplicate {
		s.span.SetAttributes(KeyDuplicate.Bool(true))
	}
	s.span.End()
}

// sampled collects the contexts of sampled operations, each once.
type sampled struct {
	links []trace.Link
	more  int // beyond MaxLinks
}

func (l *sampled) add(t canvas.Trace) {
	if !t.Sampled() {
		return
	}
	c := SpanContext(t)
	for i := range l.links {
		if l.links[i].SpanContext.Equal(c) {
			return // two operations of one request
		}
	}
	if len(l.links) == MaxLinks {
		l.more++
		return
	}
	l.links = append(l.links, trace.Link{SpanContext: c})
}

// parent returns the context with the operation's as the parent, when there is
// just one.
func (l *sampled) parent(ctx context.Context) context.Context {
	if len(l.links) != 1 {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, l.links[0].SpanContext)
}

// start starts a span that is linked to the operations. It returns nil when the
// span is not recorded.
func (t *Tracer) start(ctx context.Context, l *sampled, name string, kind trace.SpanKind, at time.Time, attributes ...attribute.KeyValue) (context.Context, *Span) {
	if l.more > 0 {
		attributes = append(attributes, KeyUnlinked.Int(l.more))
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithLinks(l.links...), trace.WithAttributes(attributes...)}
	if !at.IsZero() {
		options = append(options, trace.WithTimestamp(at))
	}
	within, span := t.tracer.Start(ctx, name, options...)
	if !span.IsRecording() {
		return ctx, nil
	}
	return within, &Span{span: span, batch: len(l.links) > 1}
}

func messaging(id, operation string, operationType attribute.KeyValue, messages int) []attribute.KeyValue {
	attributes := append(make([]attribute.KeyValue, 0, 12),
		semconv.MessagingSystemKey.String("redis"),
		semconv.MessagingDestinationName(destination),
		semconv.MessagingOperationName(operation),
		operationType,
		KeyCanvas.String(id),
	)
	if messages > 1 {
		attributes = append(attributes, semconv.MessagingBatchMessageCount(messages))
	}
	return attributes
}
