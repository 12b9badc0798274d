package httpkit

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRoutes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/pixel/{x}", Livez)
	mux.HandleFunc("PUT /api/pixel", Livez)
	h := Routes(mux)
	for _, c := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{"GET", "/api/pixel/1", 200, ""},
		{"GET", "/api/none", 404, ""},
		{"GET", "//api/pixel/1", 404, ""},
		{"GET", "/api/../api/pixel/1", 404, ""},
		{"GET", "/%2e%2e/etc/passwd", 404, ""},
		{"DELETE", "/api/pixel", 405, "PUT"},
		{"POST", "/<script>", 404, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, "http://x"+c.path, nil))
		if w.Code != c.code || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, w.Code, w.Header().Get("Allow"))
		}
		if ct := w.Header().Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
			t.Errorf("%s %s: answers %s", c.method, c.path, ct)
		}
		if c.code != 200 && !strings.HasPrefix(w.Body.String(), `{"error":"`) || strings.Contains(w.Body.String(), "script") {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
	}
}

func TestCORS(t *testing.T) {
	for _, c := range []struct {
		origins      []string
		origin, want string
	}{
		{[]string{"*"}, "https://a.example", "*"},
		{[]string{"https://a.example/"}, "https://a.example", "https://a.example"},
		{[]string{"https://a.example"}, "https://b.example", ""},
		{nil, "https://a.example", ""},
		{[]string{"https://a.example"}, "", ""},
	} {
		h := CORS(c.origins, "X-Reset-Token")(http.HandlerFunc(Livez))
		for _, method := range []string{"GET", "OPTIONS"} {
			r := httptest.NewRequest(method, "/", nil)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != c.want {
				t.Errorf("%s %v from %q: %q, want %q", method, c.origins, c.origin, got, c.want)
			}
			if method == "OPTIONS" && (w.Code != 204 || w.Body.Len() != 0) {
				t.Errorf("OPTIONS: %d %q", w.Code, w.Body)
			}
			if c.want == "" {
				continue
			}
			if !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "Pixel-Position") {
				t.Error("Pixel-Position is not exposed")
			}
			if method == "OPTIONS" && !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "X-Reset-Token") {
				t.Error("X-Reset-Token is not allowed")
			}
		}
	}
}

func TestRecover(t *testing.T) {
	var log strings.Builder
	m := NewMetrics(prometheus.NewRegistry())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /early", func(http.ResponseWriter, *http.Request) { panic("hidden cause") })
	mux.HandleFunc("POST /late", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("half")); panic("late") })
	s := httptest.NewServer(m.Wrap(m.Recover(slog.New(slog.NewJSONHandler(&log, nil)), mux)))
	defer s.Close()
	resp, err := s.Client().Get(s.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 500 || string(body) != `{"error":"Internal server error"}`+"\n" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// A POST: the client would repeat a GET by itself.
	if resp, err := s.Client().Post(s.URL+"/late", "", nil); err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Error("half an answer looks whole")
		}
	}
	s.Close() // the handlers have ended: what they wrote may be read
	if !strings.Contains(log.String(), "hidden cause") || !strings.Contains(log.String(), "middleware_test.go") {
		t.Errorf("log without cause and stack: %s", log.String())
	}
	if n := testutil.ToFloat64(m.Panics); n != 2 {
		t.Errorf("%v panics counted", n)
	}
	if n := testutil.ToFloat64(m.Requests.WithLabelValues("/early", "GET", "5xx")); n != 1 {
		t.Errorf("%v answers 5xx counted", n)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/pixel/{x}/{y}", Livez)
	mux.HandleFunc("/ws", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if n := testutil.ToFloat64(m.InFlight); n != 0 {
			t.Errorf("a WebSocket counts as a request under way")
		}
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
		conn.Close()
	})
	h := m.Wrap(m.Recover(slog.New(slog.DiscardHandler), Routes(mux)))
	var counted sync.WaitGroup // Close does not wait for hijacked connections
	counted.Add(4)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer counted.Done()
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	for _, path := range []string{"/api/pixel/1/2", "/api/pixel/3/4", "/secret/path"} {
		resp, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"))
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	counted.Wait()
	want := `# HELP pixel_http_requests_total HTTP requests by route (a pattern, or none), method and class of the status.
# TYPE pixel_http_requests_total counter
pixel_http_requests_total{code="1xx",method="GET",route="/ws"} 1
pixel_http_requests_total{code="2xx",method="GET",route="/api/pixel/{x}/{y}"} 2
pixel_http_requests_total{code="4xx",method="GET",route="none"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "pixel_http_requests_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(m.Duration); n != 2 {
		t.Errorf("%d durations, want those of answered requests only", n)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if boundedMethod("BREW") != "other" {
		t.Error("any method makes a label")
	}
}
