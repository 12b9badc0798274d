package httpkit

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// Metrics of HTTP requests. Labels are bounded: routes are patterns of the
// mux, never paths.
type Metrics struct {
	// Requests by route, method and class of the status (2xx …).
	Requests *prometheus.CounterVec
	// Duration in seconds by route and method; connections that became
	// WebSockets do not count.
	Duration *prometheus.HistogramVec
	InFlight prometheus.Gauge
	// Panics that became a 500.
	Panics prometheus.Counter
	// Limited counts refusals by the name of the limit.
	Limited *prometheus.CounterVec
}

// LimitRequests names the limit of requests per second.
const LimitRequests = "requests"

// NewMetrics registers the metrics of one service.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		Requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pixel_http_requests_total", Help: "HTTP requests by route (a pattern, or none), method and class of the status.",
		}, []string{"route", "method", "code"}),
		Duration: prometheus.NewHistogramVec(telemetry.HistogramOpts("pixel_http_request_duration_seconds",
			"Time from the request's header to the end of the answer; requests that became WebSockets do not count.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .2, .3, .5, 1, 2.5, 5, 10}), []string{"route", "method"}),
		InFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pixel_http_requests_in_flight", Help: "HTTP requests that are being answered.",
		}),
		Panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pixel_http_panics_total", Help: "Panics of HTTP handlers.",
		}),
		Limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pixel_http_limited_total", Help: "HTTP requests refused by a limit per client address.",
		}, []string{"limit"}),
	}
	r.MustRegister(m.Requests, m.Duration, m.InFlight, m.Panics, m.Limited)
	m.Limited.WithLabelValues(LimitRequests)
	return m
}

// Wrap counts and times the requests to next. It must see the request that the
// mux gets (no copy by a middleware in between), because the mux writes the
// pattern into it.
func (m *Metrics) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		m.InFlight.Inc()
		leave := sync.OnceFunc(m.InFlight.Dec)
		hijacked := false
		rw := &response{ResponseWriter: w, hijacked: func() { hijacked = true; leave() }}
		method := boundedMethod(r.Method)
		defer func() {
			leave()
			route := routeOf(r)
			code := "2xx" // net/http answers 200 for a handler that wrote nothing
			if rw.status != 0 {
				code = strconv.Itoa(rw.status/100) + "xx"
			}
			m.Requests.WithLabelValues(route, method, code).Inc()
			if !hijacked {
				telemetry.ObserveContext(r.Context(), m.Duration.WithLabelValues(route, method), time.Since(start).Seconds())
			}
		}()
		next.ServeHTTP(rw, r)
	})
}

// routeOf is the pattern without its method, which is a label of its own.
func routeOf(r *http.Request) string {
	if _, route, ok := strings.Cut(r.Pattern, " "); ok {
		return strings.TrimLeft(route, " ")
	}
	if r.Pattern == "" {
		return "none"
	}
	return r.Pattern
}

// boundedMethod keeps strangers from making labels: a method is any word.
func boundedMethod(s string) string {
	switch s {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return s
	}
	return "other"
}
