package httpkit

import (
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Trace starts a span for each request to next, by otelhttp: the child of what
// the traceparent header names, and named by method and route, or for a
// WebSocket "handshake". Probes and scrapes have none. It must be the outermost
// handler, since it hands a copy of the request on. A nil tp returns next.
func Trace(tp trace.TracerProvider, next http.Handler) http.Handler {
	if tp == nil {
		return next
	}
	return otelhttp.NewHandler(next, "",
		otelhttp.WithTracerProvider(tp),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()), // there are metrics of our own
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithFilter(traced),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return spanName(r) }),
	)
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
	if websocket.IsWebSocketUpgrade(r) {
		return "handshake"
	}
	method := boundedMethod(r.Method)
	if r.Pattern == "" {
		return method
	}
	return strings.TrimSpace(method + " " + routeOf(r))
}
