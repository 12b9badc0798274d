package httpkit

import (
	"net/http"
	"net/http/pprof"

	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// Debug serves what only operators may see: /debug/pprof/, /metrics (unless
// nil), /debug/build and, unless state is nil, /debug/state with its result as
// JSON. State is called from any goroutine.
func Debug(metrics http.Handler, state func() any) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /livez", Livez)
	if metrics != nil {
		mux.Handle("GET /metrics", metrics)
	}
	mux.HandleFunc("GET /debug/build", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, telemetry.ReadBuild())
	})
	if state != nil {
		mux.HandleFunc("GET /debug/state", func(w http.ResponseWriter, _ *http.Request) {
			WriteJSON(w, http.StatusOK, state())
		})
	}
	return Routes(mux)
}
