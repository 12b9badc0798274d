package frontend

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// exchange sends text as it is and returns the answer.
func exchange(t *testing.T, addr, text string) (*http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func get(t *testing.T, addr, path string, header ...string) (*http.Response, string) {
	t.Helper()
	text := "GET " + path + " HTTP/1.1\r\nHost: pixel.test\r\nConnection: close\r\n"
	for _, h := range header {
		text += h + "\r\n"
	}
	return exchange(t, addr, text+"\r\n")
}

const (
	notFound   = `{"error":"Not found"}` + "\n"
	notAllowed = `{"error":"Method not allowed"}` + "\n"
	jsonType   = "application/json; charset=utf-8"
	textType   = "text/plain; charset=utf-8"
)

// Whatever the path, the answer is one of the embedded files or a refusal that
// repeats nothing of the request.
func TestRawRequests(t *testing.T) {
	addr, _ := start(t, Options{})
	for _, c := range []struct {
		line   string
		status int
		kind   string
		body   string
	}{
		{"GET /../../../../etc/passwd", 404, jsonType, notFound},
		{"GET /js/../../../../etc/passwd", 404, jsonType, notFound},
		{"GET /js/../index.html", 404, jsonType, notFound},
		{"GET /./index.html", 404, jsonType, notFound},
		{"GET //etc/passwd", 404, jsonType, notFound},
		{"GET //index.html", 404, jsonType, notFound},
		{"GET /%2e%2e/%2e%2e/%2e%2e/etc/passwd", 404, jsonType, notFound},
		{"GET /..%2f..%2f..%2fetc%2fpasswd", 404, jsonType, notFound},
		{"GET /%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, jsonType, notFound},
		{"GET /%252e%252e%252fetc%252fpasswd", 404, jsonType, notFound},
		{"GET /..%5c..%5c..%5cetc%5cpasswd", 404, jsonType, notFound},
		{`GET /..\..\..\etc\passwd`, 404, jsonType, notFound},
		{`GET /js\main.js`, 404, jsonType, notFound},
		{"GET /index.html%00", 404, jsonType, notFound},
		{"GET /index.html%00.js", 404, jsonType, notFound},
		{"GET /etc/passwd", 404, jsonType, notFound},
		{"GET /js", 404, jsonType, notFound},
		{"GET /js/", 404, jsonType, notFound},
		{"GET /index.html/", 404, jsonType, notFound},
		{"GET /embed.go", 404, jsonType, notFound},
		{"GET /test/grid.test.js", 404, jsonType, notFound},
		{"GET /<script>alert(1)</script>", 404, jsonType, notFound},
		{"GET http://pixel.test/../../etc/passwd", 404, jsonType, notFound},
		{"HEAD /nothing", 404, jsonType, ""},
		{"POST /", 405, jsonType, notAllowed},
		{"PUT /config.js", 405, jsonType, notAllowed},
		{"DELETE /../../etc/passwd", 404, jsonType, notFound},
		{"OPTIONS /js/main.js", 405, jsonType, notAllowed},
		{"TRACE /", 405, jsonType, notAllowed},
		{"BREW /health", 405, jsonType, notAllowed},
		{"GET /index.html\x00", 400, textType, "400 Bad Request"},
		{"GET /%", 400, textType, "400 Bad Request"},
		{"GET etc/passwd", 400, textType, "400 Bad Request"},
		{"GET /a b", 400, textType, "400 Bad Request"},
	} {
		response, body := exchange(t, addr, c.line+" HTTP/1.1\r\nHost: pixel.test\r\nConnection: close\r\n\r\n")
		if response.StatusCode != c.status || response.Header.Get("Content-Type") != c.kind || body != c.body {
			t.Errorf("%q: %d %s %q; want %d %s %q", c.line, response.StatusCode, response.Header.Get("Content-Type"), body, c.status, c.kind, c.body)
		}
		if allow := response.Header.Get("Allow"); c.status == 405 && allow != "GET, HEAD" {
			t.Errorf("%q: Allow %q", c.line, allow)
		}
	}
}
