package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

var discardLog = slog.New(slog.DiscardHandler)

func TestPool(t *testing.T) {
	p := &pool{}
	if p.next() != nil {
		t.Error("somebody is ready")
	}
	for _, addr := range []string{"a", "b", "c", "a"} {
		p.set(addr, true)
	}
	var got []string
	for range 4 {
		got = append(got, strings.Join(p.next(), ""))
	}
	p.set("a", false) // before the one whose turn it is
	p.set("x", false)
	got = append(got, strings.Join(p.next(), ""), strings.Join(p.next(), ""))
	if fmt.Sprint(got) != "[abc bca cab abc bc cb]" {
		t.Error(got)
	}
}

func TestServiceOf(t *testing.T) {
	for _, c := range []struct {
		path string
		ws   bool
		want string
	}{
		{"/", false, "frontend"},
		{"/", true, "gateway"},
		{"/any/path", true, "gateway"},
		{"/ws", false, "gateway"},
		{"/ws/", true, "gateway"},
		{"/wsx", false, "frontend"},
		{"/api", false, "api"},
		{"/api/canvas", false, "api"},
		{"/api/canvas", true, "api"},
		{"/apis", true, "gateway"},
		{"/health", true, "frontend"},
		{"/config.js", false, "frontend"},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		if c.ws {
			r.Header.Set("Upgrade", "WebSocket")
		}
		if got := serviceOf(r); got != c.want {
			t.Errorf("%s, WebSocket %t: %s, want %s", c.path, c.ws, got, c.want)
		}
	}
}

// front serves a proxy before n fakes of each service, and returns its URL.
func front(t *testing.T, n int) (url string, pools map[string]*pool) {
	pools = map[string]*pool{"gateway": {}, "api": {}, "frontend": {}}
	for name, p := range pools {
		for i := range n {
			f := &fakeServer{name: name, pod: fmt.Sprintf("%s-%d", name, i), open: make(map[*websocket.Conn]bool)}
			s := httptest.NewServer(f)
			t.Cleanup(func() { s.Close(); f.handlers.Wait() })
			p.set(s.Listener.Addr().String(), true)
		}
	}
	h := newProxy(pools, discardLog)
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.Close(); h.close() })
	return s.URL, pools
}

// deadAddr is an address where nobody listens.
func deadAddr(t *testing.T) string {
	l, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestProxyTakesTurns(t *testing.T) {
	url, _ := front(t, 3)
	pods := map[string]int{}
	for range 6 {
		conn, a, err := dialWS(url + "/ws")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		pods[a.Pod]++
		if want := strings.TrimPrefix(url, "http://"); a.Host != want || a.Forwarded != "127.0.0.1" {
			t.Errorf("host %q from %q, want %q from 127.0.0.1", a.Host, a.Forwarded, want)
		}
		for _, text := range []string{"hello", strings.Repeat("x", 100_000)} {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, data, err := conn.ReadMessage(); err != nil || string(data) != text {
				t.Fatalf("echo of %d bytes: %d, %v", len(text), len(data), err)
			}
		}
	}
	for pod, n := range pods {
		if n != 2 {
			t.Errorf("%s has %d of 6 connections", pod, n)
		}
	}
}

// Whoever cannot be reached is left out, and the next one gets the request
// whole, body included.
func TestProxyFailsOver(t *testing.T) {
	url, pools := front(t, 1)
	dying := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer dying.Close()
	for _, p := range pools {
		p.set(deadAddr(t), true)
		p.set(deadAddr(t), true)
	}
	pools["gateway"].set(dying.Listener.Addr().String(), true)
	body := strings.Repeat("pixel", 10_000)
	for range 4 { // each has its turn
		a, code, err := ask("PUT", url+"/api/pixels", body)
		if err != nil || code != 200 || a.Body != body {
			t.Errorf("%d, %d bytes arrived, %v", code, len(a.Body), err)
		}
		conn, _, err := dialWS(url + "/ws")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// What may have been done already is not done again.
func TestProxyDoesNotRepeatWrites(t *testing.T) {
	url, pools := front(t, 1)
	dying := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer dying.Close()
	pools["api"].set(dying.Listener.Addr().String(), true)
	codes := map[int]int{}
	for range 4 {
		_, code, err := ask("POST", url+"/api/canvas/reset", "")
		if err != nil {
			t.Fatal(err)
		}
		codes[code]++
	}
	if codes[200] != 2 || codes[502] != 2 {
		t.Errorf("answers by code: %v", codes)
	}
}

func TestProxyErrors(t *testing.T) {
	url, pools := front(t, 0)
	pools["api"].set(deadAddr(t), true)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{
		"/ws":         `503 {"error":"Service not ready"}`,
		"/":           `503 {"error":"Service not ready"}`,
		"/api/canvas": `502 {"error":"Service did not answer"}`,
		"/metrics":    `404 {"error":"Not found"}`,
	} {
		resp, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if resp.StatusCode == 503 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: without Retry-After", path)
		}
	}
}
