package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/cloud-pixel/playground/bench/scenarios/metrics"
	"github.com/cloud-pixel/playground/bench/scenarios/scenario"
)

// exporter serves the metrics of a run while it is under way.
type exporter struct{ stop func() }

// export begins to serve at an address; with none it does nothing.
func export(address string, r *scenario.Run) (*exporter, error) {
	if address == "" {
		return &exporter{stop: func() {}}, nil
	}
	listener, err := net.Listen("tcp", address) //nolint:noctx // it returns at once
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector{r}); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }() // ends with stop
	r.Say("metrics at http://%s/metrics", listener.Addr())
	return &exporter{stop: func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(ctx) // a scrape that takes longer is cut off
		_ = server.Close()
		<-done
	}}, nil
}

// collector reads a run's metrics when it is asked, so that measuring costs
// nothing more.
type collector struct{ run *scenario.Run }

// buckets are those of the targets, in seconds.
var buckets = []float64{.001, .0025, .005, .01, .025, .06, .1, .2, .3, .5, 1, 2.5, 5, 10, 30}

// Describe sends nothing: which metrics there are depends on the scenario.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics as they are now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c.run.Live().All() {
		if len(m.Parts) > 0 && summable(m) {
			for _, tag := range m.Tags() {
				name, value, _ := strings.Cut(tag, "=")
				send(out, m, m.Parts[tag], prometheus.Labels{name: value})
			}
			continue
		}
		send(out, m, m, nil)
	}
}

// summable tells whether the parts are all of it, so that sending both would
// count twice.
func summable(m *metrics.Metric) bool { return m.Kind != metrics.Gauge }

func send(out chan<- prometheus.Metric, m, part *metrics.Metric, labels prometheus.Labels) {
	desc := func(ending string) *prometheus.Desc {
		return prometheus.NewDesc(m.Name+ending, m.Help, nil, labels)
	}
	switch m.Kind {
	case metrics.Counter:
		out <- prometheus.MustNewConstMetric(desc("_total"), prometheus.CounterValue, part.Value)
	case metrics.Gauge:
		out <- prometheus.MustNewConstMetric(desc(""), prometheus.GaugeValue, part.Value)
	case metrics.Rate:
		if part.All > 0 {
			out <- prometheus.MustNewConstMetric(desc("_ratio"), prometheus.GaugeValue, float64(part.Good)/float64(part.All))
		}
	case metrics.Trend:
		h := part.Times
		counts := map[float64]uint64{}
		i, below := 0, uint64(0)
		for _, bar := range h.Distribution() {
			for i < len(buckets) && float64(bar.To)/1e6 > buckets[i] {
				counts[buckets[i]] = below
				i++
			}
			below += uint64(bar.Count)
		}
		for ; i < len(buckets); i++ {
			counts[buckets[i]] = below
		}
		sum := h.Mean() / 1e6 * float64(h.TotalCount())
		metric, err := prometheus.NewConstHistogram(desc("_seconds"), uint64(h.TotalCount()), sum, counts)
		if err != nil {
			metric = prometheus.NewInvalidMetric(desc("_seconds"), fmt.Errorf("%s: %w", m.Name, err))
		}
		out <- metric
	}
}
