package httpkit

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
)

// Recover answers a panic of next with 500 in JSON, logs it with its stack and
// counts it. When the answer had begun already the connection is cut instead,
// so that the client does not take half of it for the whole.
func (m *Metrics) Recover(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw := &response{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause) // not a bug: a handler that wants the connection cut
			}
			m.Panics.Inc()
			log.Error("panic in an HTTP handler", "cause", cause, "route", routeOf(r), "stack", string(debug.Stack()))
			if rw.status != 0 {
				panic(http.ErrAbortHandler)
			}
			Error(rw, http.StatusInternalServerError, "Internal server error")
		}()
		next.ServeHTTP(rw, r)
	})
}

// CORS lets pages of the given origins ("*": all) read the answers, and
// answers every OPTIONS with 204. Headers are request headers to allow besides
// Content-Type, Authorization, If-None-Match, traceparent and tracestate.
func CORS(origins []string, headers ...string) func(http.Handler) http.Handler {
	all := slices.Contains(origins, "*")
	allowed := strings.Join(append([]string{"Content-Type", "Authorization", "If-None-Match", "traceparent", "tracestate"}, headers...), ", ")
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			origin := r.Header.Get("Origin")
			switch {
			case all:
				h.Set("Access-Control-Allow-Origin", "*")
			default:
				h.Add("Vary", "Origin") // caches must not mix answers to several origins
				if origin != "" && slices.ContainsFunc(origins, func(o string) bool {
					return strings.EqualFold(strings.TrimSuffix(o, "/"), origin)
				}) {
					h.Set("Access-Control-Allow-Origin", origin)
				}
			}
			if h.Get("Access-Control-Allow-Origin") != "" {
				h.Set("Access-Control-Expose-Headers", "Pixel-Position, ETag, Retry-After")
			}
			if r.Method != http.MethodOptions {
				next.ServeHTTP(w, r)
				return
			}
			if h.Get("Access-Control-Allow-Origin") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS")
				h.Set("Access-Control-Allow-Headers", allowed)
				h.Set("Access-Control-Max-Age", "600")
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
}
