package httpkit

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

type healthStatus struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Livez tells that the process answers, and nothing about what it needs: a
// restart would not bring a lost store back.
func Livez(w http.ResponseWriter, _ *http.Request) {
	noStore(w)
	WriteJSON(w, http.StatusOK, healthStatus{Status: "ok"})
}

// Readyz answers 200, or 503 with the error of check as the reason. Check is
// called for each request, from any goroutine, and must not wait.
func Readyz(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		noStore(w)
		if err := check(); err != nil {
			WriteJSON(w, http.StatusServiceUnavailable, healthStatus{"unavailable", err.Error()})
			return
		}
		WriteJSON(w, http.StatusOK, healthStatus{Status: "ok"})
	}
}

// ReadyGauge registers a metric that says whether check, that of [Readyz],
// returns nil.
func ReadyGauge(r prometheus.Registerer, check func() error) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pixel_ready", Help: "Whether the process would answer /readyz with 200 (1) or not (0).",
	}, func() float64 {
		if check() != nil {
			return 0
		}
		return 1
	}))
}

// HandleHealth adds /livez, /readyz and, unless nil, the service's own
// /health.
func HandleHealth(mux *http.ServeMux, ready func() error, health http.HandlerFunc) {
	mux.HandleFunc("GET /livez", Livez)
	mux.HandleFunc("GET /readyz", Readyz(ready))
	if health != nil {
		mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
			noStore(w)
			health(w, r)
		})
	}
}

func noStore(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }
