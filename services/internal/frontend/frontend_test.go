package frontend

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a frontend until the end of the test and returns its addresses.
func start(t *testing.T, o Options) (addr, debug string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan struct{})
	done := make(chan error, 1)
	o.Addr = "127.0.0.1:0"
	o.Telemetry = telemetry.New("frontend", "test", telemetry.WithLogger(slog.New(slog.DiscardHandler)))
	o.OnReady = func(a, d net.Addr) {
		addr = a.String()
		if d != nil {
			debug = d.String()
		}
		close(ready)
	}
	go func() { done <- Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return addr, debug
}

// prefix returns what stands before the paths of the release's files.
func prefix(t *testing.T) string {
	t.Helper()
	_, r, err := loadAssets(web.Files)
	if err != nil {
		t.Fatal(err)
	}
	return r.path("")
}

// pageAsSent returns the page's files by name, with the modules in one. Index
// and service worker do not know the release yet.
func pageAsSent(t *testing.T) map[string][]byte {
	t.Helper()
	contents, err := read(web.Files)
	if err != nil {
		t.Fatal(err)
	}
	if err := join(contents); err != nil {
		t.Fatal(err)
	}
	return contents
}

func TestServesEachFile(t *testing.T) {
	addr, _ := start(t, Options{})
	below := prefix(t)
	sent := pageAsSent(t)
	if !regexp.MustCompile(`^/a/[0-9a-f]{20}/$`).MatchString(below) {
		t.Fatalf("the release's prefix is %s", below)
	}
	for name, want := range sent {
		path, cached := below+name, "max-age=31536000, immutable"
		if slices.Contains(rootFiles, name) {
			path, cached = "/"+name, "no-cache"
		}
		response, body := get(t, addr, path)
		if name == indexFile || name == workerFile {
			// These two differ from their files by the release.
			body, want = strings.ReplaceAll(body, below, ""), []byte(body[:0]+string(want))
			if name == workerFile {
				_, body, _ = strings.Cut(body, "\n")
			}
		}
		if response.StatusCode != http.StatusOK || body != string(want) {
			t.Errorf("%s: %d, %d bytes; want %d", path, response.StatusCode, len(body), len(want))
		}
		h := response.Header
		if h.Get("Cache-Control") != cached || h.Get("Etag") == "" || cached == "no-cache" && h.Get("Pixel-Release") != strings.Split(below, "/")[2] {
			t.Errorf("%s: %v", path, h)
		}
		if kind := h.Get("Content-Type"); kind != contentTypes[name[strings.LastIndexByte(name, '.'):]] {
			t.Errorf("%s: %s", path, kind)
		}
	}
	_, root := get(t, addr, "/")
	if _, index := get(t, addr, "/index.html"); root != index || !strings.HasPrefix(root, "<!doctype html>") {
		t.Error("/ is not index.html")
	}
	response, body := exchange(t, addr, "HEAD / HTTP/1.1\r\nHost: pixel.test\r\nConnection: close\r\n\r\n")
	if response.StatusCode != http.StatusOK || body != "" || response.ContentLength != int64(len(root)) {
		t.Errorf("HEAD: %d %d %q", response.StatusCode, response.ContentLength, body)
	}
}

func TestIndexHasNothingInline(t *testing.T) {
	index, err := fs.ReadFile(web.Files, "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, inline := range []string{`<script>`, `<style`, ` style="`, ` onclick=`, `javascript:`} {
		if strings.Contains(string(index), inline) {
			t.Errorf("the policy forbids %s", inline)
		}
	}
}

func TestRevalidation(t *testing.T) {
	body, err := fs.ReadFile(web.Files, "reload.js")
	if err != nil {
		t.Fatal(err)
	}
	files := pageOf(nil)
	files[reloadFile].Data = body
	s, err := newSite(files, places{}, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	s.pack(t.Context())
	server := httptest.NewServer(s.routes(func() error { return nil }))
	defer server.Close()
	addr := server.Listener.Addr().String()
	plain, _ := get(t, addr, "/reload.js")
	packed, _ := get(t, addr, "/reload.js", "Accept-Encoding: gzip")
	smallest, _ := get(t, addr, "/reload.js", "Accept-Encoding: gzip, br")
	tag, gzipTag, brotliTag := plain.Header.Get("Etag"), packed.Header.Get("Etag"), smallest.Header.Get("Etag")
	if !regexp.MustCompile(`^"[0-9a-f]{16}"$`).MatchString(tag) || gzipTag == tag || brotliTag == tag || gzipTag == brotliTag {
		t.Errorf("ETags %s, %s, %s", tag, gzipTag, brotliTag)
	}
	for _, c := range []struct {
		header []string
		status int
	}{
		{[]string{"If-None-Match: " + tag}, 304},
		{[]string{"If-None-Match: W/" + tag}, 304},
		{[]string{`If-None-Match: "x", ` + tag}, 304},
		{[]string{`If-None-Match: "x"`, "If-None-Match: " + tag}, 304},
		{[]string{"If-None-Match: *"}, 304},
		{[]string{"If-None-Match: " + gzipTag}, 200},
		{[]string{"If-None-Match: " + gzipTag, "Accept-Encoding: gzip"}, 304},
		{[]string{"If-None-Match: " + gzipTag, "Accept-Encoding: gzip, br"}, 200},
		{[]string{"If-None-Match: " + brotliTag, "Accept-Encoding: gzip, br"}, 304},
		{[]string{"If-None-Match: " + strings.Trim(tag, `"`)}, 200},
		{[]string{`If-None-Match: "0"`}, 200},
	} {
		response, body := get(t, addr, "/reload.js", c.header...)
		if response.StatusCode != c.status || (c.status == 304) != (body == "") {
			t.Errorf("%q: %d with %d bytes; want %d", c.header, response.StatusCode, len(body), c.status)
		}
		if h := response.Header; h.Get("Cache-Control") != "no-cache" || h.Get("Vary") != "Accept-Encoding" || h.Get("Etag") == "" {
			t.Errorf("%q: %v", c.header, h)
		}
	}
}

func TestCompression(t *testing.T) {
	original, err := fs.ReadFile(web.Files, "css/theme.css")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSite(pageOf(map[string]string{"theme.css": string(original)}), places{}, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	s.pack(t.Context())
	server := httptest.NewServer(s.routes(func() error { return nil }))
	defer server.Close()
	addr := server.Listener.Addr().String()
	for accept, want := range map[string]string{
		"":                               "",
		"gzip":                           "gzip",
		"GZIP":                           "gzip",
		"x-gzip":                         "gzip",
		"br":                             "br",
		"BR;Q=0.1":                       "br",
		"deflate, gzip;q=1.0, *;q=0.5":   "gzip",
		"gzip, deflate, br, zstd":        "br",
		"br;q=0.9, gzip":                 "gzip",
		"br;q=0, gzip":                   "gzip",
		"*":                              "br",
		"*;q=0":                          "",
		"*;q=0, gzip;q=0.1":              "gzip",
		"gzip;q=0":                       "",
		"gzip;q=0, *":                    "br",
		"gzip;q=0.000":                   "",
		"identity":                       "",
		"identity;q=0.5, gzip;q=0.4":     "",
		"identity;q=0.5, gzip; Q=0.5":    "gzip",
		"identity;q=0.5, br;q=0.4":       "",
		"deflate, zstd":                  "",
		"gzip;q=2":                       "",
		"gzip;level=9":                   "",
		"br;q=nan":                       "",
		strings.Repeat("a,", 500) + "br": "br",
	} {
		response, body := get(t, addr, s.release.path("theme.css"), "Accept-Encoding: "+accept)
		if got := response.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: %q, want %q", accept, got, want)
			continue
		}
		unpacked := io.Reader(strings.NewReader(body))
		switch want {
		case "br":
			unpacked = brotli.NewReader(unpacked)
		case "gzip":
			if unpacked, err = gzip.NewReader(unpacked); err != nil {
				t.Fatal(err)
			}
		}
		if content, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(content, original) {
			t.Errorf("Accept-Encoding %q: %v, %d bytes", accept, err, len(content))
		}
	}
	for _, a := range []*asset{newAsset([]byte("short"), "text/plain", immutable), newAsset(original, "image/png", immutable)} {
		if a.pack(); a.gzip != nil || a.brotli.Load() != nil {
			t.Error("what does not shrink is compressed")
		}
	}
}

// The window fits the file; what is larger than any window arrives whole, too.
func TestPackedWhole(t *testing.T) {
	for _, size := range []int{200, 1 << 10, 1<<16 - 1, 1 << 16, 1<<16 + 1} {
		a := newAsset(bytes.Repeat([]byte("0123456789abcdef"), size/16), contentTypes[".js"], immutable)
		a.pack()
		v, coding := a.choose([]string{"br"})
		body, err := io.ReadAll(brotli.NewReader(bytes.NewReader(v.body)))
		if err != nil || coding != "br" || !bytes.Equal(body, a.plain.body) {
			t.Errorf("%d bytes by %q: %d arrived, %v", len(a.plain.body), coding, len(body), err)
		}
	}
}

// A frontend serves at once, by gzip, and packs better while it does.
func TestPacksWhileItServes(t *testing.T) {
	addr, _ := start(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		response, _ := get(t, addr, prefix(t)+"css/main.css", "Accept-Encoding: gzip, br")
		switch coding := response.Header.Get("Content-Encoding"); coding {
		case "gzip":
		case "br":
			if _, metrics := get(t, addr, "/metrics"); !strings.Contains(metrics, `pixel_frontend_files_total{sent="br"} 1`) {
				t.Error("what brotli packed is not counted")
			}
			return
		default:
			t.Fatalf("packed by %q", coding)
		}
	}
	t.Error("brotli never came")
}

func TestConfigScript(t *testing.T) {
	addr, _ := start(t, Options{})
	response, body := get(t, addr, "/config.js")
	if body != `window.APP_CONFIG = {"WS_URL":"","API_URL":""};` {
		t.Errorf("%q", body)
	}
	if h := response.Header; h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%v", h)
	}
	addr, _ = start(t, Options{WSURL: "wss://ws.example.org/ws?a=</script>", APIURL: "/api"})
	if _, body = get(t, addr, "/config.js"); body != `window.APP_CONFIG = {"WS_URL":"wss://ws.example.org/ws?a=\u003c/script\u003e","API_URL":"/api"};` {
		t.Errorf("%q", body)
	}
}

// Browsers trace only where they are told a place for it, and their policy names
// that place and no other.
func TestTracesOfBrowsers(t *testing.T) {
	for _, c := range []struct {
		url    string
		ratio  float64
		config string
		policy string
	}{
		{"", 0.5, `window.APP_CONFIG = {"WS_URL":"","API_URL":""};`, " wss://pixel.test"},
		{"https://otel.example.org/v1/traces", 0.25, `window.APP_CONFIG = {"WS_URL":"","API_URL":"","TRACES_URL":"https://otel.example.org/v1/traces","TRACES_RATIO":0.25};`, " wss://pixel.test https://otel.example.org"},
		{":4318/v1/traces", 1, `window.APP_CONFIG = {"WS_URL":"","API_URL":"","TRACES_URL":"http://pixel.test:4318/v1/traces","TRACES_RATIO":1};`, " wss://pixel.test http://pixel.test:4318"},
		{"/v1/traces", 1, `window.APP_CONFIG = {"WS_URL":"","API_URL":"","TRACES_URL":"/v1/traces","TRACES_RATIO":1};`, " wss://pixel.test"},
	} {
		addr, _ := start(t, Options{TracesURL: c.url, TracesRatio: c.ratio})
		response, body := get(t, addr, "/config.js")
		if policy := response.Header.Get("Content-Security-Policy"); body != c.config || !strings.HasSuffix(policy, c.policy) {
			t.Errorf("%q: %s\n%s", c.url, body, policy)
		}
	}
	for _, bad := range []Options{{TracesURL: "otel:4318"}, {TracesURL: "ws://x"}, {TracesURL: "https://user@x/"}, {TracesRatio: -0.1}, {TracesRatio: 1.1}, {TracesRatio: math.NaN()}} {
		if err := Run(t.Context(), bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// Where only ports are told, the page goes to the host by which it was reached,
// and its policy lets it.
func TestPortsOfThePagesHost(t *testing.T) {
	addr, _ := start(t, Options{WSURL: ":30002/ws", APIURL: ":30001"})
	for host, want := range map[string][2]string{
		"node.example.org:30000": {"ws://node.example.org:30002/ws", "http://node.example.org:30001"},
		"node.example.org":       {"ws://node.example.org:30002/ws", "http://node.example.org:30001"},
		"[2001:db8::1]:30000":    {"ws://[2001:db8::1]:30002/ws", "http://[2001:db8::1]:30001"},
		"[2001:db8::1]":          {"ws://[2001:db8::1]:30002/ws", "http://[2001:db8::1]:30001"},
		`evil;script-src`:        {"", ""},
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/config.js", nil)
		request.Host = host
		recorder := httptest.NewRecorder()
		handler(t, Options{WSURL: ":30002/ws", APIURL: ":30001"}).ServeHTTP(recorder, request)
		if body := recorder.Body.String(); body != `window.APP_CONFIG = {"WS_URL":"`+want[0]+`","API_URL":"`+want[1]+`"};` {
			t.Errorf("%s: %s", host, body)
		}
		policy := recorder.Header().Get("Content-Security-Policy")
		for _, u := range want {
			if origin := strings.TrimSuffix(u, "/ws"); !strings.Contains(policy, origin) {
				t.Errorf("%s: the page may not talk to %s: %s", host, origin, policy)
			}
		}
		if strings.Contains(policy, "evil") {
			t.Errorf("the host became part of the policy: %s", policy)
		}
	}
	if _, body := get(t, addr, "/config.js"); !strings.Contains(body, `"ws://pixel.test:30002/ws"`) {
		t.Error(body)
	}
}

// handler returns what a frontend serves, without a network.
func handler(t *testing.T, o Options) http.Handler {
	t.Helper()
	s, err := newSite(web.Files, o.places(), NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	return secure(o.places(), s.routes(func() error { return nil }))
}

func TestSecurityHeaders(t *testing.T) {
	addr, _ := start(t, Options{WSURL: "https://ws.example.org:8443/x", APIURL: "http://api.example.org"})
	for _, path := range []string{"/", prefix(t) + "favicon.svg", "/sw.js", "/reload.js", "/config.js", "/health", "/nothing", "/../x"} {
		response, _ := get(t, addr, path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; " +
				"require-trusted-types-for 'script'; trusted-types pixel-worker; " +
				"connect-src 'self' ws://pixel.test wss://pixel.test wss://ws.example.org:8443 http://api.example.org",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Permissions-Policy":           "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q; want %q", path, name, got, want)
			}
		}
	}
}

// What is neither a page nor a worker goes without the headers of those.
func TestFilesOfAPageAreBare(t *testing.T) {
	addr, _ := start(t, Options{})
	for _, name := range []string{"js/main.js", "css/main.css", "icons/icon-192.png"} {
		response, _ := get(t, addr, prefix(t)+name)
		h := response.Header
		for _, header := range documentHeaders {
			if h.Get(header) != "" {
				t.Errorf("%s carries %s", name, header)
			}
		}
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, h)
		}
	}
}

// The Host header is the client's to choose; it must not change the policy.
func TestHostCannotChangeThePolicy(t *testing.T) {
	handler := secure(places{}, http.NotFoundHandler())
	for host, want := range map[string]string{
		"localhost:3000":     "connect-src 'self' ws://localhost:3000 wss://localhost:3000",
		"[::1]:3000":         "connect-src 'self' ws://[::1]:3000 wss://[::1]:3000",
		"":                   "connect-src 'self'",
		"x;script-src":       "connect-src 'self'",
		"x *":                "connect-src 'self'",
		"x,default-src":      "connect-src 'self'",
		"exämple.org":        "connect-src 'self'",
		"*":                  "connect-src 'self'",
		"x'unsafe-inline'":   "connect-src 'self'",
		"user@pixel.test":    "connect-src 'self'",
		"pixel.test/ignored": "connect-src 'self'",
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		handler.ServeHTTP(w, r)
		if policy := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, want) {
			t.Errorf("host %q: %s", host, policy)
		}
	}
}

func TestHealthAndMetrics(t *testing.T) {
	addr, debug := start(t, Options{DebugAddr: "127.0.0.1:0"})
	_, body := get(t, addr, "/health")
	if !regexp.MustCompile(`^\{"status":"ok","timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\}\n$`).MatchString(body) {
		t.Errorf("/health: %s", body)
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if response, body := get(t, addr, path); response.StatusCode != http.StatusOK || body != `{"status":"ok"}`+"\n" {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
	}
	get(t, addr, prefix(t)+"css/main.css", "Accept-Encoding: gzip")
	_, metrics := get(t, addr, "/metrics")
	for _, want := range []string{
		`pixel_frontend_files_total{sent="gzip"} 1`,
		`pixel_http_requests_total{code="2xx",method="GET",route="/{file...}"} 1`,
		`pixel_build_info{`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	if response, _ := get(t, debug, "/debug/pprof/"); response.StatusCode != http.StatusOK {
		t.Errorf("pprof: %d", response.StatusCode)
	}
	if response, _ := get(t, addr, "/debug/pprof/"); response.StatusCode != http.StatusNotFound {
		t.Errorf("pprof on the public port: %d", response.StatusCode)
	}
}

// While balancers are still told, the page is served, but not called ready.
func TestDrain(t *testing.T) {
	s, err := newSite(web.Files, places{}, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	var draining atomic.Bool
	routes := s.routes(readiness(&draining))
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	if status, _ := get("/readyz"); status != http.StatusOK {
		t.Errorf("before: %d", status)
	}
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error)
		go func() { done <- drain(&draining, time.Hour)(t.Context()) }()
		synctest.Wait()
		if status, body := get("/readyz"); status != http.StatusServiceUnavailable || body != `{"status":"unavailable","reason":"draining"}`+"\n" {
			t.Errorf("%d %s", status, body)
		}
		if status, _ := get("/"); status != http.StatusOK {
			t.Errorf("page: %d", status)
		}
		start := time.Now()
		if err := <-done; err != nil || time.Since(start) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cut := context.WithTimeout(t.Context(), time.Second)
		defer cut()
		start = time.Now()
		if err := drain(&draining, time.Hour)(ctx); err != nil || time.Since(start) != time.Second {
			t.Errorf("the time-out: %v after %v", err, time.Since(start))
		}
	})
}

func TestOptions(t *testing.T) {
	read := func(env map[string]string) (Options, error) {
		r := config.NewReader(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		o := OptionsFrom(r)
		return o, r.Err()
	}
	o, err := read(map[string]string{"WS_URL": "ws://localhost:3002", "API_URL": "http://localhost:3001", "POD_NAME": "frontend-0"})
	if err != nil || o.Addr != ":3000" || o.WSURL != "ws://localhost:3002" || o.APIURL != "http://localhost:3001" || o.Pod != "frontend-0" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"localhost:3002", "ftp://x", "ws://", "ws://user:secret@x/", "ws://x;y/", "ws://x y/", "//x/ws", "ws", "%", ":", ":0", ":65536", ":x/ws", ":30002ws"} {
		_, err := read(map[string]string{"WS_URL": bad})
		if err == nil || !strings.Contains(err.Error(), "WS_URL") {
			t.Errorf("WS_URL=%q: %v", bad, err)
		}
		if err := Run(t.Context(), Options{WSURL: bad}); err == nil {
			t.Errorf("Run with %q", bad)
		}
	}
	for _, good := range []string{"", "/ws", "wss://x", "ws://[::1]:3002/ws", "https://x/y?z=1", ":30002", ":30002/ws"} {
		if _, err := read(map[string]string{"WS_URL": good}); err != nil {
			t.Errorf("WS_URL=%q: %v", good, err)
		}
	}
	if _, err := read(map[string]string{"API_URL": "ws://x"}); err == nil {
		t.Error("API_URL with ws")
	}
}

func TestMetricNames(t *testing.T) {
	r := prometheus.NewRegistry()
	NewMetrics(r)
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
