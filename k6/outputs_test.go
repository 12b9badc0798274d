package main

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	prometheus "buf.build/gen/go/prometheus/prometheus/protocolbuffers/go"
	"github.com/klauspost/compress/snappy"
	otlp "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/cloud-pixel/playground/k6/pixel"
)

// received is what a server of metrics got: names, and of each the labels that
// it ever had.
type received struct {
	mu     sync.Mutex
	labels map[string]map[string]bool
}

func (r *received) add(name string, labels ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.labels[name] == nil {
		r.labels[name] = map[string]bool{}
	}
	for _, l := range labels {
		r.labels[name][l] = true
	}
}

// metricServers returns the addresses of a server that takes Prometheus' remote
// write, and of one that takes OpenTelemetry's metrics.
func metricServers(t *testing.T) (prom, otel *received, promURL, otelAddress string) {
	t.Helper()
	prom, otel = &received{labels: map[string]map[string]bool{}}, &received{labels: map[string]map[string]bool{}}
	serve := func(take func(body []byte) error) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
				var z *gzip.Reader
				if z, err = gzip.NewReader(strings.NewReader(string(body))); err == nil {
					body, err = io.ReadAll(z)
				}
			}
			if err == nil {
				err = take(body)
			}
			if err != nil {
				t.Errorf("%s: %v", r.URL, err)
			}
			w.WriteHeader(http.StatusOK)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	promURL = serve(func(body []byte) error {
		plain, err := snappy.Decode(nil, body)
		if err != nil {
			return err
		}
		var w prometheus.WriteRequest
		if err := proto.Unmarshal(plain, &w); err != nil {
			return err
		}
		for _, series := range w.GetTimeseries() {
			name, labels := "", []string{}
			for _, l := range series.GetLabels() {
				if l.GetName() == "__name__" {
					name = l.GetValue()
				} else {
					labels = append(labels, l.GetName())
				}
			}
			prom.add(name, labels...)
		}
		return nil
	})
	otelAddress = strings.TrimPrefix(serve(func(body []byte) error {
		var e otlp.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &e); err != nil {
			return err
		}
		for _, resource := range e.GetResourceMetrics() {
			for _, scope := range resource.GetScopeMetrics() {
				for _, m := range scope.GetMetrics() {
					otel.add(m.GetName())
					for _, point := range m.GetHistogram().GetDataPoints() {
						for _, a := range point.GetAttributes() {
							otel.add(m.GetName(), a.GetKey())
						}
					}
				}
			}
		}
		return nil
	}), "http://")
	return prom, otel, promURL + "/api/v1/write", otelAddress
}

// What arrives at Prometheus and at a collector has the names that the
// dashboards ask for, and the tags.
func TestOutputs(t *testing.T) {
	state := start(t)
	prom, otel, promURL, otelAddress := metricServers(t)
	code, said, r := run(t, "scripts/chaos.js", "STATE="+state, "TEST_DURATION=4s", "CHAOS_INTERVAL=2s",
		"K6_OUT=experimental-prometheus-rw,opentelemetry",
		"K6_PROMETHEUS_RW_SERVER_URL="+promURL, "K6_PROMETHEUS_RW_TREND_STATS=p(50),p(95),p(99)", "K6_PROMETHEUS_RW_PUSH_INTERVAL=500ms",
		"K6_OTEL_EXPORTER_PROTOCOL=http/protobuf", "K6_OTEL_HTTP_EXPORTER_ENDPOINT="+otelAddress, "K6_OTEL_HTTP_EXPORTER_INSECURE=true", "K6_OTEL_EXPORT_INTERVAL=500ms")
	if r == nil || code != exitPassed && code != exitThresholds {
		t.Fatalf("it ends with %d: %s", code, said)
	}
	text, err := os.ReadFile("../observability/metrics-elsewhere.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`(?m)^ +- (k6_\w+)$`).FindAllStringSubmatch(string(text), -1)
	if len(asked) < 10 {
		t.Fatalf("dashboards ask for %v", asked)
	}
	prom.mu.Lock()
	defer prom.mu.Unlock()
	otel.mu.Lock()
	defer otel.mu.Unlock()
	for _, a := range asked {
		if prom.labels[a[1]] == nil {
			t.Errorf("Prometheus never got %s, for which a dashboard asks", a[1])
		}
	}
	for _, label := range []string{"pod", "codec", "scenario"} {
		if !prom.labels["k6_pixel_e2e_latency_p99"][label] || !prom.labels["k6_pixel_delivered_total"][label] {
			t.Errorf("Prometheus got no label %s", label)
		}
		if !otel.labels["pixel_e2e_latency"][label] {
			t.Errorf("OpenTelemetry got no attribute %s: %v", label, otel.labels["pixel_e2e_latency"])
		}
	}
	for _, name := range []string{"pixel_delivered", "pixel_delivery.total", "pixel_recovery_time", "pixel_faults", "pixel_connections"} {
		if otel.labels[name] == nil {
			t.Errorf("OpenTelemetry never got %s, but %v", name, slices.Sorted(maps.Keys(otel.labels)))
		}
	}
}

// The README lists every metric.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range pixel.Known().All() {
		if !strings.Contains(string(text), "`"+m.Name+"`") {
			t.Errorf("README.md lacks %s: %s", m.Name, m.Help)
		}
	}
}
