package api

import (
	"net/http"
	"testing"
)

func TestResetToken(t *testing.T) {
	p := run(t, newRedis(t), env{"RESET_TOKEN": "right-token"})
	p.put("/api/pixel", `{"x":1,"y":1,"color":"#FF0000"}`)
	const done, required, wrong = `{"success":true,"message":"Canvas reset to white"}`, `{"error":"Reset token required"}`, `{"error":"Invalid reset token"}`
	for _, c := range []struct {
		header []string
		status int
		want   string
	}{
		{nil, 401, required},
		{[]string{"Authorization", "Basic cmlnaHQtdG9rZW4="}, 401, required},
		{[]string{"Authorization", "Bearer"}, 401, required},
		{[]string{"Authorization", "right-token"}, 401, required},
		{[]string{"Authorization", "Bearer wrong-token"}, 403, wrong},
		{[]string{"Authorization", "Bearer right-token2"}, 403, wrong},
		{[]string{"X-Reset-Token", "wrong-token"}, 403, wrong},
		{[]string{"X-Reset-Token", "right-token", "Authorization", "Bearer wrong-token"}, 403, wrong},
	} {
		got := p.do(http.MethodPost, "/api/canvas/reset", "", c.header...)
		equal(t, got, c.status, c.want)
		if challenge := got.header.Get("WWW-Authenticate"); (c.status == 401) != (challenge != "") {
			t.Errorf("%d, WWW-Authenticate %q", c.status, challenge)
		}
		equal(t, p.do(http.MethodPost, "/api/canvases/main/reset", "", c.header...), c.status, c.want)
	}
	equal(t, p.get("/api/pixel/1/1"), 200, `{"x":1,"y":1,"color":"#FF0000"}`)
	for _, header := range [][]string{{"Authorization", "Bearer right-token"}, {"Authorization", "bearer  right-token"}, {"X-Reset-Token", "right-token"}} {
		equal(t, p.do(http.MethodPost, "/api/canvas/reset", "", header...), 200, done)
	}
	equal(t, p.get("/api/pixel/1/1"), 200, `{"x":1,"y":1,"color":"#FFFFFF"}`)
}

func TestRateLimit(t *testing.T) {
	// A token comes back after a bit less than three hours.
	p := run(t, newRedis(t), env{"REST_REQUESTS_PER_SECOND": "0.0001", "REST_REQUESTS_BURST": "3"})
	for range 3 {
		equal(t, p.get("/api/pixel/1/1"), 200, `{"x":1,"y":1,"color":"#FFFFFF"}`)
	}
	for _, path := range []string{"/api/pixel/1/1", "/api/canvas", "/api/nothing"} {
		got := p.get(path)
		equal(t, got, 429, `{"error":"Too many requests"}`)
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if p.metric(`pixel_http_limited_total{limit="requests"}`) != 3 {
		t.Error("refusals are not counted")
	}
	// Probes and scrapes are not limited.
	for _, path := range []string{"/livez", "/readyz", "/health", "/metrics"} {
		if got := p.get(path); got.status != 200 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	// What comes by an unknown proxy may be many clients.
	if got := p.get("/api/pixel/1/1", "X-Forwarded-For", "192.0.2.1"); got.status != 200 {
		t.Errorf("%d through a proxy", got.status)
	}
}

// Behind a trusted proxy each client has its own limit.
func TestRateLimitBehindProxy(t *testing.T) {
	p := run(t, newRedis(t), env{"REST_REQUESTS_PER_SECOND": "0.0001", "REST_REQUESTS_BURST": "1", "TRUSTED_PROXIES": "127.0.0.0/8"})
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		for n, want := range []int{200, 429} {
			if got := p.get("/api/pixel/1/1", "X-Forwarded-For", client); got.status != want {
				t.Errorf("request %d of %s: %d", n, client, got.status)
			}
		}
	}
}

func TestCORS(t *testing.T) {
	server := newRedis(t)
	open := run(t, server, nil)
	for _, path := range []string{"/api/canvas", "/api/pixel", "/api/canvases/main/pixels", "/anything"} {
		got := open.do(http.MethodOptions, path, "", "Origin", "https://example.org", "Access-Control-Request-Method", "PUT")
		if got.status != 204 || got.body != "" || got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Access-Control-Allow-Methods") == "" {
			t.Errorf("OPTIONS %s: %d %q %v", path, got.status, got.body, got.header)
		}
	}
	for _, path := range []string{"/api/canvas", "/api/pixel/99/99", "/api/nothing"} { // errors can be read, too
		if got := open.get(path); got.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("GET %s: %v", path, got.header)
		}
	}
	strict := run(t, server, env{"CORS_ORIGINS": "https://good.example"})
	if got := strict.get("/api/canvas", "Origin", "https://good.example"); got.header.Get("Access-Control-Allow-Origin") != "https://good.example" {
		t.Errorf("%v", got.header)
	}
	if got := strict.get("/api/canvas", "Origin", "https://bad.example"); got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("Vary") != "Origin" {
		t.Errorf("%v", got.header)
	}
}
