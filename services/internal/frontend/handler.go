package frontend

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
)

// releaseHeader tells which release an answer is of. The service worker
// compares it: what it keeps must be of one release.
const releaseHeader = "Pixel-Release"

// site answers for the page.
type site struct {
	assets  map[string]*asset
	release release
	places  places
	metrics *Metrics
}

func newSite(files fs.FS, p places, m *Metrics) (*site, error) {
	assets, r, err := loadAssets(files)
	if err != nil {
		return nil, err
	}
	return &site{assets: assets, release: r, places: p, metrics: m}, nil
}

// pack packs all files as small as they get, one after the other, until ctx
// ends. Meanwhile they are sent by gzip.
func (s *site) pack(ctx context.Context) {
	for _, path := range slices.Sorted(maps.Keys(s.assets)) {
		if ctx.Err() != nil {
			return
		}
		s.assets[path].pack()
	}
}

// routes returns the page's routes, and health with the given readiness.
func (s *site) routes(ready func() error) http.Handler {
	mux := http.NewServeMux()
	httpkit.HandleHealth(mux, ready, health)
	mux.HandleFunc("GET /config.js", s.serveConfig)
	mux.HandleFunc("GET /{file...}", s.serveFile)
	return httpkit.Routes(mux)
}

func health(w http.ResponseWriter, _ *http.Request) {
	httpkit.WriteJSON(w, http.StatusOK, struct {
		Status    string `json:"status"`
		Timestamp string `json:"timestamp"`
	}{"ok", time.Now().UTC().Format("2006-01-02T15:04:05.000Z07:00")})
}

func (s *site) serveConfig(w http.ResponseWriter, r *http.Request) {
	p := s.places.resolve(r)
	config := struct {
		WSURL  string  `json:"WS_URL"`
		APIURL string  `json:"API_URL"`
		Traces string  `json:"TRACES_URL,omitempty"`
		Ratio  float64 `json:"TRACES_RATIO,omitempty"`
	}{p.ws, p.api, p.traces, 0}
	if p.traces != "" {
		config.Ratio = p.ratio
	}
	// encoding/json escapes what could end a script: <, >, & and U+2028.
	values, _ := json.Marshal(config) // strings and a number that is one
	h := w.Header()
	h.Set("Content-Type", contentTypes[".js"])
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("window.APP_CONFIG = " + string(values) + ";")) // the client has gone: nobody to tell
}

func (s *site) serveFile(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(releaseHeader, string(s.release))
	a, ok := s.assets[r.URL.Path]
	if !ok {
		// During a rollout the next frontend that is asked may have it.
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(r.URL.Path, "/a/") && !strings.HasPrefix(r.URL.Path, s.release.path("")) {
			s.metrics.OtherRelease.Inc()
		}
		httpkit.NotFound(w, r)
		return
	}
	v, coding := a.choose(r.Header.Values("Accept-Encoding"))
	h.Set("Cache-Control", a.cacheControl)
	if a.bare {
		for _, name := range documentHeaders {
			h.Del(name)
		}
	}
	h.Set("ETag", v.etag)
	if a.gzip != nil {
		h.Set("Vary", "Accept-Encoding")
	}
	if matches(r.Header.Values("If-None-Match"), v.etag) {
		s.metrics.NotModified.Inc()
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", v.length)
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	s.metrics.sent(coding).Inc()
	if r.Method == http.MethodHead {
		return
	}
	n, _ := w.Write(v.body) // the client has gone: nobody to tell
	s.metrics.Bytes.Add(float64(n))
}
