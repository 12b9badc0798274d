package frontend

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

// defaultPort is where the page has always been.
const defaultPort = 3000

// Options says what [Run] does.
type Options struct {
	// Addr to listen on, host:port. Listener, when not nil, is used instead,
	// and closed.
	Addr     string
	Listener net.Listener
	// MetricsAddr moves /metrics away from Addr; empty leaves it there.
	MetricsAddr string
	// DebugAddr has pprof and the like; empty means that nobody has.
	DebugAddr string
	// DrainDelay is how long requests are still accepted after the stop began;
	// DrainTimeout bounds the whole stop (0: 20 s).
	DrainDelay, DrainTimeout time.Duration
	// Telemetry to report through. When nil, Run makes it from Pod, this
	// process's name among its equals, Log and Export.
	Telemetry *telemetry.Telemetry
	Pod       string
	Log       config.Log
	Export    config.Telemetry
	// WSURL is where the page finds a gateway, APIURL where it finds an api:
	// absolute, or a path on the page's own origin, or another port of its own
	// host (:3002/ws), or empty: the page's own origin, as behind one ingress.
	WSURL, APIURL string
	// TracesURL is where the page sends its spans, in the same forms: OTLP over
	// HTTP as JSON. Empty: the page traces nothing. TracesRatio is the share of
	// operations that it traces, from 0 to 1.
	TracesURL   string
	TracesRatio float64
	// OnReady is called once when everything listens. debug is nil without
	// DebugAddr.
	OnReady func(addr, debug net.Addr)
}

// OptionsFrom reads the frontend's settings. What is wrong with them is told
// by r.Err.
func OptionsFrom(r *config.Reader) Options {
	l := config.ListenFrom(r, defaultPort)
	return Options{
		Addr: l.Addr, MetricsAddr: l.MetricsAddr, DebugAddr: l.DebugAddr,
		DrainDelay: l.DrainDelay, DrainTimeout: l.DrainTimeout,
		Pod: r.Pod(), Log: config.LogFrom(r), Export: config.TelemetryFrom(r),
		WSURL: r.String("WS_URL", "", "Where browsers find a gateway, as wss://ws.example.org/ws, or :3002/ws for another port of the page's own host. Empty: /ws of the page's own origin.",
			func(s string) error { return checkURL(s, "ws", "wss", "http", "https") }),
		APIURL: r.String("API_URL", "", "Where browsers find an api, as https://api.example.org, or :3001. Empty: /api of the page's own origin.",
			func(s string) error { return checkURL(s, "http", "https") }),
		TracesURL: r.String("BROWSER_TRACES_URL", "", "Where browsers send their spans by OTLP over HTTP, as https://otel.example.org/v1/traces, or :4318/v1/traces. Empty: browsers trace nothing.",
			func(s string) error { return checkURL(s, "http", "https") }),
		TracesRatio: r.Float("BROWSER_TRACES_RATIO", 0.01, "Share of the operations that browsers trace, from 0 to 1.", checkRatio),
	}
}

// places are the addresses that the page is told.
type places struct {
	ws, api, traces string
	ratio           float64
}

func (o Options) places() places { return places{o.WSURL, o.APIURL, o.TracesURL, o.TracesRatio} }

// resolve returns the addresses as the page needs them that came by this
// request.
func (p places) resolve(r *http.Request) places {
	return places{resolve(p.ws, "ws", r), resolve(p.api, "http", r), resolve(p.traces, "http", r), p.ratio}
}

// Validate refuses addresses that the page cannot use.
func (o Options) Validate() error {
	return errors.Join(
		named("WSURL", checkURL(o.WSURL, "ws", "wss", "http", "https")),
		named("APIURL", checkURL(o.APIURL, "http", "https")),
		named("TracesURL", checkURL(o.TracesURL, "http", "https")),
		named("TracesRatio", checkRatio(o.TracesRatio)),
	)
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("frontend: %s %w", name, err)
}

func checkRatio(ratio float64) error {
	if ratio >= 0 && ratio <= 1 { // not so of NaN
		return nil
	}
	return errors.New("is not between 0 and 1")
}

// checkURL accepts the empty text, a path, and absolute URLs of the schemes.
// Everybody who opens the page reads them: a password has no place there.
func checkURL(s string, schemes ...string) error {
	if s == "" {
		return nil
	}
	if isPort(s) {
		if !validPort(s) {
			return errors.New("begins with a colon, but no port from 1 to 65535 follows")
		}
		return nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("is not a URL")
	}
	if u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") {
		return nil
	}
	for _, scheme := range schemes {
		if u.Scheme != scheme {
			continue
		}
		switch {
		case u.User != nil:
			return errors.New("has a user or password in it, which every visitor could read")
		case !safeHost(u.Host):
			return errors.New("has no host, or one with characters that no host has")
		}
		return nil
	}
	return fmt.Errorf("is neither a path nor an absolute URL that starts with %s://", strings.Join(schemes, "://, "))
}
