package httpkit

import (
	"encoding/json"
	"net/http"
	"path"
)

// WriteJSON answers with v. A value that cannot be encoded is a bug and
// becomes a 500.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"Internal server error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client has gone: nobody to tell
}

// Error answers {"error": message}.
func Error(w http.ResponseWriter, status int, message string) {
	WriteJSON(w, status, struct {
		Error string `json:"error"`
	}{message})
}

// NotFound answers 404 in JSON.
func NotFound(w http.ResponseWriter, _ *http.Request) { Error(w, http.StatusNotFound, "Not found") }

// Routes serves mux, but where no route fits it answers 404 and 405 in JSON.
// A path with empty, "." or ".." parts is a 404 too: the mux would answer with
// a redirect in HTML that repeats it.
func Routes(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isClean(r.URL.Path) {
			NotFound(w, r)
			return
		}
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		// The mux tells a wrong method from a wrong path only by answering.
		answer := discard{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(&answer, r)
		if answer.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", answer.header.Get("Allow"))
			Error(w, http.StatusMethodNotAllowed, "Method not allowed")
			return
		}
		NotFound(w, r)
	})
}

func isClean(p string) bool {
	clean := path.Clean(p)
	return len(p) > 0 && p[0] == '/' && (p == clean || p == clean+"/" && clean != "/")
}

// discard keeps the status and headers of an answer that nobody gets.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
