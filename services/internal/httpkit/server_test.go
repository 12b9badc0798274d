package httpkit

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// started runs s until the test ends; stop tells it to and returns its error.
func started(t *testing.T, s Server) (addr, debug string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan [2]string, 1)
	s.OnReady = func(addr, debug net.Addr) {
		two := [2]string{"http://" + addr.String()}
		if debug != nil {
			two[1] = "http://" + debug.String()
		}
		ready <- two
	}
	result := make(chan error, 1)
	go func() { result <- Serve(ctx, s) }()
	t.Cleanup(func() { cancel() })
	select {
	case two := <-ready:
		return two[0], two[1], func() error { cancel(); return <-result }
	case err := <-result:
		t.Fatal(err)
		return
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func testRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "pixel_test", Help: "x"}))
	return r
}

func TestServeOnGivenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, _, stop := started(t, Server{Listener: l, Addr: "256.0.0.1:1", Handler: http.HandlerFunc(Livez), Gatherer: testRegistry()})
	if code, body := get(t, addr+"/"); code != 200 || body != `{"status":"ok"}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, body := get(t, addr+"/metrics"); code != 200 || !strings.Contains(body, "pixel_test 0") {
		t.Errorf("metrics: %d %s", code, body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if code, _ := get(t, addr); code != 0 {
		t.Error("still listens")
	}
}

func TestServeMovesMetricsAndDebug(t *testing.T) {
	addr, debug, stop := started(t, Server{
		Addr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", DebugAddr: "127.0.0.1:0",
		Handler: http.HandlerFunc(NotFound), Gatherer: testRegistry(),
		State: func() any { return map[string]int{"connections": 3} },
	})
	if code, _ := get(t, addr+"/metrics"); code != 404 {
		t.Errorf("/metrics stayed on the service's port: %d", code)
	}
	for path, want := range map[string]string{
		"/metrics": "pixel_test", "/debug/state": `{"connections":3}`, "/debug/build": "goVersion",
		"/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/cmdline": "httpkit",
	} {
		if code, body := get(t, debug+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.100s", path, code, body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// While it drains the server still answers, also the request that came before.
func TestServeDrains(t *testing.T) {
	var addr string
	inside, finish := make(chan struct{}), make(chan struct{})
	drained := make(chan string, 1)
	s := Server{
		Addr: "127.0.0.1:0",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				close(inside)
				<-finish
				if r.Context().Err() != nil {
					t.Error("a request under way was cut off by the stop")
				}
			}
			Livez(w, r)
		}),
		Drain: []func(context.Context) error{
			func(ctx context.Context) error {
				if _, ok := ctx.Deadline(); !ok || ctx.Err() != nil {
					t.Error("the drain is unbounded, or over before it began")
				}
				_, body := get(t, addr+"/")
				drained <- body
				close(finish)
				return errors.New("first")
			},
			func(context.Context) error { return errors.New("second") },
		},
	}
	addr, _, stop := started(t, s)
	slow := make(chan int, 1)
	go func() { code, _ := get(t, addr+"/slow"); slow <- code }()
	<-inside
	err := stop()
	if body := <-drained; body != `{"status":"ok"}`+"\n" {
		t.Errorf("while draining: %s", body)
	}
	if code := <-slow; code != 200 {
		t.Errorf("the request under way got %d", code)
	}
	if err == nil || err.Error() != "first\nsecond" {
		t.Errorf("errors of the drain: %v", err)
	}
}

// A drain that does not end, and a request that does not either, hold up the
// stop only as long as is allowed.
// Clients that keep their connection, and draw all the time, meet no closed one
// when a server ends: each is told before that it sees its connection's last
// answer.
func TestServeTakesLeaveOfConnections(t *testing.T) {
	draining, finish := make(chan struct{}), make(chan struct{})
	addr, _, stop := started(t, Server{
		Addr: "127.0.0.1:0", Handler: http.HandlerFunc(Livez),
		Drain: []func(context.Context) error{func(context.Context) error { close(draining); <-finish; return nil }},
	})
	var kept http.Transport
	defer kept.CloseIdleConnections()
	put := func() *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, addr, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := kept.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp
	}
	if put().Close {
		t.Error("the connection ends before the server does")
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	<-draining
	if !put().Close {
		t.Error("the client believes that it can go on on this connection")
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeStopIsBounded(t *testing.T) {
	inside := make(chan struct{})
	addr, _, stop := started(t, Server{
		Addr: "127.0.0.1:0", DrainTimeout: 10 * time.Millisecond,
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(inside)
			<-r.Context().Done()
		}),
		Drain: []func(context.Context) error{func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	})
	gone := make(chan struct{})
	go func() { get(t, addr); close(gone) }()
	<-inside
	if err := stop(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "cut off") {
		t.Error(err)
	}
	<-gone
}

func TestServeRefusesTakenAddress(t *testing.T) {
	addr, _, stop := started(t, Server{Addr: "127.0.0.1:0", Handler: http.HandlerFunc(Livez)})
	defer func() { _ = stop() }()
	taken := strings.TrimPrefix(addr, "http://")
	for _, s := range []Server{{Addr: taken}, {Addr: "127.0.0.1:0", DebugAddr: taken}, {Addr: "127.0.0.1:0", MetricsAddr: taken, Gatherer: testRegistry()}} {
		s.OnReady = func(net.Addr, net.Addr) { t.Error("ready without its listeners") }
		if err := Serve(t.Context(), s); err == nil || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), taken) {
			t.Errorf("%v", err)
		}
	}
}

// A listener that breaks ends the server, with its error, after a drain.
func TestServeEndsWithItsListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	drained := false
	err = Serve(t.Context(), Server{
		Listener: l, Handler: http.HandlerFunc(Livez),
		OnReady: func(net.Addr, net.Addr) { l.Close() },
		Drain:   []func(context.Context) error{func(context.Context) error { drained = true; return nil }},
	})
	if !errors.Is(err, net.ErrClosed) || !drained {
		t.Errorf("%v, drained %t", err, drained)
	}
}

func TestHealth(t *testing.T) {
	var reason atomic.Pointer[error]
	mux := http.NewServeMux()
	HandleHealth(mux, func() error {
		if err := reason.Load(); err != nil {
			return *err
		}
		return nil
	}, func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, 200, map[string]int{"connections": 1})
	})
	addr, _, stop := started(t, Server{Addr: "127.0.0.1:0", Handler: Routes(mux)})
	check := func(path string, wantCode int, want string) {
		t.Helper()
		if code, body := get(t, addr+path); code != wantCode || body != want+"\n" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	check("/livez", 200, `{"status":"ok"}`)
	check("/readyz", 200, `{"status":"ok"}`)
	check("/health", 200, `{"connections":1}`)
	notYet := errors.New("not caught up")
	reason.Store(&notYet)
	check("/readyz", 503, `{"status":"unavailable","reason":"not caught up"}`)
	check("/livez", 200, `{"status":"ok"}`)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
