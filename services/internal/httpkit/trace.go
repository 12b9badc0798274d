package httpkit

import (
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Trace starts a span for each request to next: the child of what the
// traceparent header names, called by method and route, or for a WebSocket
// "handshake". Probes and scrapes have none. It must be the outermost handler,
// since it hands a copy of the request on. A nil tp returns next.
func Trace(tp trace.TracerProvider, next http.Handler) http.Handler {
	if tp == nil {
		return next
	}
	requests := otelhttp.NewHandler(next, "",
		otelhttp.WithTracerProvider(tp),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()), // there are metrics of our own
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithFilter(traced),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return spanName(r) }),
	)
	// otelhttp takes a hijacked connection for an answer with status 200.
	tracer := tp.Tracer("github.com/cloud-pixel/playground", trace.WithSchemaURL(semconv.SchemaURL))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			requests.ServeHTTP(w, r)
			return
		}
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, "handshake", trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(semconv.HTTPRequestMethodKey.String(boundedMethod(r.Method)), semconv.URLPath(r.URL.Path)))
		defer span.End()
		rw := &response{ResponseWriter: w}
		next.ServeHTTP(rw, r.WithContext(ctx))
		span.SetAttributes(semconv.HTTPResponseStatusCode(rw.status))
		if rw.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, "")
		}
	})
}

func traced(r *http.Request) bool {
	switch r.URL.Path {
	case "/livez", "/readyz", "/health", "/metrics":
		return false
	}
	return true
}

// spanName is of a bounded set: paths are strangers' words.
func spanName(r *http.Request) string {
	method := boundedMethod(r.Method)
	if r.Pattern == "" {
		return method
	}
	return method + " " + strings.TrimSpace(routeOf(r))
}
