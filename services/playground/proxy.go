package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
)

// errNobody: no instance of the service is ready.
var errNobody = errors.New("no instance is ready")

// proxy sends each request to an instance of the service that serves its path.
// Close it when no request is under way any more.
type proxy struct {
	*httputil.ReverseProxy
	transport *http.Transport
}

// newProxy returns the handler of the one port. Pools are by name of service.
func newProxy(pools map[string]*pool, log *slog.Logger) *proxy {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true, // pass on what the client asked for
	}
	return &proxy{transport: transport, ReverseProxy: &httputil.ReverseProxy{
		Transport: failover{pools, transport},
		Rewrite: func(p *httputil.ProxyRequest) {
			// Of the URL only the host is not known yet; failover sets it.
			p.Out.URL.Scheme = "http"
			p.Out.Host = p.In.Host // the gateway compares it with Origin
			p.SetXForwarded()
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			switch {
			case errors.Is(err, context.Canceled): // the client has gone
			case errors.Is(err, errNobody):
				httpkit.SetRetryAfter(w, time.Second)
				httpkit.Error(w, http.StatusServiceUnavailable, "Service not ready")
			default:
				httpkit.Error(w, http.StatusBadGateway, "Service did not answer")
			}
		},
	}}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/metrics" { // each instance has its own, at its own address
		httpkit.NotFound(w, r)
		return
	}
	p.ReverseProxy.ServeHTTP(w, r)
}

func (p *proxy) close() { p.transport.CloseIdleConnections() }

// serviceOf tells which service serves a request. WebSockets go to a gateway
// whatever their path: the first clients of the system connect to "/".
func serviceOf(r *http.Request) string {
	path := r.URL.Path
	switch {
	case path == "/api" || strings.HasPrefix(path, "/api/"):
		return "api"
	case path == "/ws" || strings.HasPrefix(path, "/ws/"):
		return "gateway"
	case path != "/health" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return "gateway"
	}
	return "frontend"
}

// failover sends a request to the instance whose turn it is, and to the next
// one when that cannot do harm.
type failover struct {
	pools     map[string]*pool
	transport http.RoundTripper
}

func (f failover) RoundTrip(r *http.Request) (*http.Response, error) {
	err := errNobody
	for _, addr := range f.pools[serviceOf(r)].next() {
		try := r.Clone(r.Context())
		try.URL.Host = addr
		body := &heldBody{ReadCloser: r.Body}
		if r.Body != nil {
			try.Body = body
		}
		var answer *http.Response
		if answer, err = f.transport.RoundTrip(try); err == nil {
			return answer, nil
		}
		if r.Context().Err() != nil || body.read.Load() || !repeatable(r, err) {
			return nil, err
		}
	}
	return nil, err
}

// repeatable tells whether a request that failed may go to another instance:
// the first was not reached, and so has seen nothing of it, or it died before
// it answered a question that changes nothing, a WebSocket's among them.
func repeatable(r *http.Request, err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return true
	}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Body == nil
}

// heldBody stays open when a transport gives up, for the next instance. The
// reverse proxy closes what is below.
type heldBody struct {
	io.ReadCloser
	read atomic.Bool
}

func (b *heldBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}

func (b *heldBody) Close() error { return nil }
