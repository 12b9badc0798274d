//go:build !notracing

package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Send starts the span of an append of n operations; op returns the context of
// each, and its own span or nil. The context that it returns has the span: what
// is done with it becomes the span's child. Without a sampled operation, nil,
// and the context as it was.
func (t *Tracer) Send(ctx context.Context, id string, n int, op func(int) (canvas.Trace, *Span)) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	var l sampled
	for i := range n {
		if t, _ := op(i); t.Sampled() {
			l.add(t)
		}
	}
	if len(l.links) == 0 {
		return ctx, nil
	}
	within, s := t.start(l.parent(ctx), &l, NameSend, trace.SpanKindProducer, time.Time{},
		messaging(id, "send", semconv.MessagingOperationTypeSend, n)...)
	if s == nil || !s.batch {
		return within, s
	}
	// Its span is no child of theirs: a link from each leads to it.
	to := trace.Link{SpanContext: s.span.SpanContext()}
	for i := range n {
		if _, own := op(i); own != nil {
			own.span.AddLink(to)
		}
	}
	return within, s
}

// Retry notes that a try has failed, with an unknown or without any effect, and
// is repeated.
func (s *Span) Retry(err error) {
	if s != nil {
		s.span.AddEvent("retry", trace.WithAttributes(attribute.String("error.message", err.Error())))
	}
}

// Sent ends the span of an append: appended operations are in the log from
// position first on; the others of the batch were there before.
func (s *Span) Sent(first uint64, appended int) {
	if s == nil {
		return
	}
	s.span.SetAttributes(KeyAppended.Int(appended))
	if appended > 0 {
		s.span.SetAttributes(KeyFirst.Int64(int64(first)), KeyLast.Int64(int64(first)+int64(appended)-1))
	}
	s.span.End()
}

// Process starts the span of an entry that reached this process at the moment
// received. Nil when none of its operations is sampled.
func (t *Tracer) Process(id string, e *canvas.Entry, received time.Time, source string) *Span {
	if t == nil {
		return nil
	}
	var l sampled
	for i := range e.Ops {
		if e.Ops[i].Trace.Sampled() {
			l.add(e.Ops[i].Trace)
		}
	}
	if len(l.links) == 0 {
		return nil
	}
	attributes := append(messaging(id, "process", semconv.MessagingOperationTypeProcess, len(e.Ops)),
		KeyFirst.Int64(int64(e.First)), KeyLast.Int64(int64(e.Last())), KeySource.String(source))
	_, s := t.start(l.parent(context.Background()), &l, NameProcess, trace.SpanKindConsumer, received, attributes...)
	return s
}

// Delivered ends the span of an entry at a gateway: it was written to so many
// connections, and is on its way to those behind.
func (s *Span) Delivered(recipients, behind int) {
	if s == nil {
		return
	}
	s.span.SetAttributes(KeyRecipients.Int(recipients))
	if behind > 0 {
		s.span.SetAttributes(KeyBehind.Int(behind))
	}
	s.span.End()
}

// Checkpoint starts the span of writing a checkpoint: always a trace of its own,
// since it comes seconds after the operations, and a pixel's trace should last
// as long as people waited for it. One that covers no sampled operation is
// sampled like any other trace.
func (t *Tracer) Checkpoint(ctx context.Context, id string, c Covered) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	l := sampled{more: c.Dropped}
	for _, op := range c.Sampled {
		l.add(op)
	}
	return t.start(ctx, &l, NameCheckpoint, trace.SpanKindInternal, time.Time{},
		KeyCanvas.String(id), KeyFirst.Int64(int64(c.First)), KeyLast.Int64(int64(c.Last)), KeyOperations.Int64(int64(c.Last-c.First+1)))
}
