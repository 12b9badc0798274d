// Package canary keeps the objectives defined when nobody draws: on a canvas of
// its own it draws one pixel a second through each gateway and waits for it at
// another one, connects anew from time to time, and writes and reads by REST.
package canary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// Options of a canary.
type Options struct {
	// Gateways are the WebSocket addresses to draw through, each a gateway or a
	// balancer.
	Gateways []string
	// API is the base of the REST service, as http://host:3001. Empty: REST is
	// not tried.
	API string
	// Canvas that is the canary's own, and with -quiet behind it another one;
	// both are created where there is an API and they do not exist.
	Canvas string
	// Every is the time between two strokes through one gateway, Timeout how
	// long each attempt may take.
	Every, Timeout time.Duration
	Registerer     prometheus.Registerer
	Log            *slog.Logger
}

// size of the canary's canvas, and so the greatest number of gateways: each has
// a column of its own.
const size = 64

// connectEvery is how many strokes lie between two new connections.
const connectEvery = 10

// Validate tells what is wrong with the options.
func (o Options) Validate() error {
	var problems []error
	if len(o.Gateways) == 0 || len(o.Gateways) > size-1 {
		problems = append(problems, fmt.Errorf("canary: %d gateways are not 1 to %d", len(o.Gateways), size-1))
	}
	if err := canvas.CheckID(quiet(o.Canvas)); err != nil {
		problems = append(problems, fmt.Errorf("canary: canvas %q: %w", o.Canvas, err))
	}
	if u, err := url.Parse(o.API); o.API != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		problems = append(problems, fmt.Errorf("canary: the api %q is not of the form http://host", o.API))
	}
	if o.Every <= 0 || o.Timeout <= 0 {
		problems = append(problems, errors.New("canary: every and timeout must be above 0"))
	}
	for _, u := range o.Gateways {
		check := client.Options{URLs: []string{u}}
		if err := check.Validate(); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// metrics of the canary. Safe for concurrent use.
type metrics struct {
	probes  *prometheus.CounterVec
	latency *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pixel_canary_probes_total",
			Help: "Attempts of the canary, by gateway (api for REST), what was tried, and outcome.",
		}, []string{"gateway", "check", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pixel_canary_latency_seconds",
			Help: "Time from the canary's send of a stroke to its arrival at the canary's other client, by gateway of the sender.",
			// Those of the services' latencies: the targets are among them.
			Buckets:                     []float64{.0005, .001, .002, .005, .01, .02, .04, .06, .1, .15, .2, .3, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
		}, []string{"gateway"}),
	}
	r.MustRegister(m.probes, m.latency)
	return m
}

// expect makes all outcomes of a check appear, so that the first failure is an
// increase from 0.
func (m *metrics) expect(gateway string, checks ...string) {
	for _, check := range checks {
		for _, outcome := range []string{"ok", "failed", "timeout"} {
			m.probes.WithLabelValues(gateway, check, outcome)
		}
	}
}

// note counts an attempt by the error with which it ended.
func (m *metrics) note(gateway, check string, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		outcome = "timeout"
	case err != nil:
		outcome = "failed"
	}
	m.probes.WithLabelValues(gateway, check, outcome).Inc()
}

// Run probes until ctx ends. An error means that it could not begin.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := newMetrics(o.Registerer)
	if o.API != "" {
		for _, id := range []string{o.Canvas, quiet(o.Canvas)} {
			own := o
			own.Canvas = id
			if err := create(ctx, own); err != nil {
				return err
			}
		}
	}
	var running sync.WaitGroup
	for i, u := range o.Gateways {
		watched := o.Gateways[(i+1)%len(o.Gateways)]
		p, err := newProbe(o, m, i, u, watched)
		if err != nil {
			return err
		}
		running.Go(func() { p.run(ctx) })
	}
	if o.API != "" {
		m.expect("api", "write", "read")
		running.Go(func() { rest(ctx, o, m) })
	}
	running.Wait()
	return nil
}

// quiet is the canvas for new connections. Nobody draws there, so that they are
// owed nothing when they end: on the other one an operation that is under way
// at that moment counts as not delivered, and with few people about the canary
// itself would use up the error budget.
func quiet(id string) string { return id + "-quiet" }

// every calls f at once and then each interval, until ctx ends. A call that
// takes longer makes the next one late, not two.
func every(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		f()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// create makes the canary's canvas. The api may still be starting.
func create(ctx context.Context, o Options) error {
	var err error
	give, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	every(give, 500*time.Millisecond, func() {
		body := fmt.Sprintf(`{"width":%d,"height":%d}`, size, size)
		if _, err = call(give, o, http.MethodPut, "", []byte(body)); err == nil {
			cancel()
		}
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("canary: cannot create its canvas: %w", err)
	}
	return ctx.Err()
}

// call asks the api for something below the canary's canvas.
func call(ctx context.Context, o Options, method, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(o.API, "/")+"/api/canvases/"+o.Canvas+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end below, or of no use
	got, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %.200s", method, path, answer.Status, got)
	}
	return got, err
}

// rest writes a pixel and reads it back: another api may answer, and must have
// it.
func rest(ctx context.Context, o Options, m *metrics) {
	n := uint32(0)
	every(ctx, o.Every, func() {
		n++
		color := canvas.Color(n & 0xFFFFFF)
		x, y := size-1, int(n%size)
		_, err := call(ctx, o, http.MethodPut, "/pixels", fmt.Appendf(nil, `{"pixels":[{"x":%d,"y":%d,"color":%q}]}`, x, y, color))
		if ctx.Err() != nil {
			return
		}
		m.note("api", "write", err)
		if err != nil {
			o.Log.Warn("cannot write", "error", err)
			return
		}
		got, err := call(ctx, o, http.MethodGet, fmt.Sprintf("/pixels/%d/%d", x, y), nil)
		var pixel struct{ Color string }
		if err == nil {
			err = json.Unmarshal(got, &pixel)
		}
		if err == nil && pixel.Color != color.String() {
			err = fmt.Errorf("read %s after writing %s", pixel.Color, color)
		}
		if ctx.Err() != nil {
			return
		}
		m.note("api", "read", err)
		if err != nil {
			o.Log.Warn("cannot read", "error", err)
		}
	})
}
