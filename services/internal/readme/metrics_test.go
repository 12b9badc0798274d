package readme

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/cloud-pixel/playground/services/internal/api"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/frontend"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
)

const metricsPage = root + "observability/METRICS.md"

// openLabels are the labels whose values the code does not list, and what
// bounds them.
var openLabels = map[string]string{
	"canvas":    "the canvases of the configuration, `other` for all the rest",
	"route":     "patterns of the service's routes, `none`",
	"method":    "methods of HTTP, `other`",
	"code":      "see there",
	"version":   "one",
	"revision":  "one",
	"goversion": "one",
	"service":   "one",
}

// family is a metric as the running services show it.
type family struct {
	name, kind, help string
	labels           []string
	values           map[string]map[string]bool // by label
	buckets          []float64
	native, exemplar bool
	services         []string
}

// deadline bounds the test.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestMetricsPage holds observability/METRICS.md to what the services expose,
// and all names to the rules of Prometheus.
func TestMetricsPage(t *testing.T) {
	ctx := deadline(t)
	registries := runAll(t, ctx)
	families := make(map[string]*family)
	for _, service := range slices.Sorted(maps.Keys(registries)) {
		problems, err := testutil.GatherAndLint(registries[service])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: promlint: %s: %s", service, p.Metric, p.Text)
		}
		collect(t, service, registries[service], families)
	}
	want := page(t, families)
	stands, err := os.ReadFile(metricsPage)
	if err == nil && string(stands) == want {
		return
	}
	if !*update {
		t.Fatalf("observability/METRICS.md is stale (%v). Run `make docs`. It should be:\n%s", err, want)
	}
	if err := os.WriteFile(metricsPage, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// runAll runs one of each service on a real Redis, has them do a little of
// everything that makes a metric appear, and returns their registries.
func runAll(t *testing.T, ctx context.Context) map[string]*prometheus.Registry {
	t.Helper()
	redis, err := embedded.StartRedis(ctx, embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Close() })
	registries := make(map[string]*prometheus.Registry)
	addrs := make(map[string]string)
	for service, run := range map[string]func(context.Context, *config.Reader, *telemetry.Telemetry, net.Listener, func(net.Addr, net.Addr)) error{
		"gateway": func(ctx context.Context, r *config.Reader, tel *telemetry.Telemetry, l net.Listener, ready func(net.Addr, net.Addr)) error {
			o := gateway.OptionsFrom(r)
			o.Telemetry, o.Listener, o.OnReady = tel, l, ready
			return gateway.Run(ctx, o)
		},
		"api": func(ctx context.Context, r *config.Reader, tel *telemetry.Telemetry, l net.Listener, ready func(net.Addr, net.Addr)) error {
			o := api.OptionsFrom(r)
			o.Telemetry, o.Listener, o.OnReady = tel, l, ready
			return api.Run(ctx, o)
		},
		"frontend": func(ctx context.Context, r *config.Reader, tel *telemetry.Telemetry, l net.Listener, ready func(net.Addr, net.Addr)) error {
			o := frontend.OptionsFrom(r)
			o.Telemetry, o.Listener, o.OnReady = tel, l, ready
			return frontend.Run(ctx, o)
		},
	} {
		env := map[string]string{"REDIS_URL": redis.URL(), "DRAIN_DELAY": "0s", "DRAIN_SPREAD": "0s", "POD_NAME": service, "RESCUE_DIR": t.TempDir()}
		r := config.NewReader(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		tel := telemetry.New(service, service, telemetry.WithLogger(telemetry.NewLogger(12, "text", os.Stderr)))
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		running, stop := context.WithCancel(context.Background())
		ended, ready := make(chan error, 1), make(chan struct{})
		go func() { ended <- run(running, r, tel, listener, func(net.Addr, net.Addr) { close(ready) }) }()
		select {
		case <-ready:
		case err := <-ended:
			t.Fatalf("%s: %v", service, err)
		}
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", service, err)
			}
		})
		registries[service], addrs[service] = tel.Registry, listener.Addr().String()
	}
	for service, addr := range addrs {
		awaitReady(t, ctx, service, addr)
	}

	// One operation of a sampled trace, so that the exemplars show.
	ws, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+addrs["gateway"]+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	const draw = `{"type":"pixel_update","x":1,"y":1,"color":"#123456","op":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`
	if err := ws.WriteMessage(websocket.TextMessage, []byte(draw)); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, "the operation's exemplars, and what the api tells of the canvas", func() bool {
		seen := make(map[string]*family)
		for service, r := range registries {
			collect(t, service, r, seen)
		}
		broadcast, durability := seen["pixel_broadcast_latency_seconds"], seen["pixel_durability_seconds"]
		return broadcast.exemplar && durability.exemplar && seen["pixel_checkpoint_lag_seconds"] != nil && seen["pixel_log_head"] != nil
	})
	return registries
}

func awaitReady(t *testing.T, ctx context.Context, service, addr string) {
	t.Helper()
	await(t, ctx, service+" is ready", func() bool {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

func await(t *testing.T, ctx context.Context, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// description reads what a Desc tells of itself: there is no other way to see
// the metrics that have no series yet.
var description = regexp.MustCompile(`^Desc{fqName: "([^"]+)"`)

// collect adds what a service exposes.
func collect(t *testing.T, service string, r *prometheus.Registry, all map[string]*family) {
	t.Helper()
	gathered, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, g := range gathered {
		shown[g.GetName()] = true
		f := all[g.GetName()]
		if f == nil {
			f = &family{
				name: g.GetName(), kind: strings.ToLower(g.GetType().String()), help: g.GetHelp(),
				values: make(map[string]map[string]bool),
			}
			all[f.name] = f
		}
		if !slices.Contains(f.services, service) {
			f.services = append(f.services, service)
		}
		for _, m := range g.GetMetric() {
			f.add(m)
		}
	}
	descs := make(chan *prometheus.Desc)
	go func() {
		r.Describe(descs)
		close(descs)
	}()
	for d := range descs {
		if m := description.FindStringSubmatch(d.String()); m != nil && strings.HasPrefix(m[1], "pixel_") && !shown[m[1]] {
			// What only shows when something has happened cannot be relied upon
			// by a dashboard: its panel would say "no data".
			if service != "api" || !strings.HasPrefix(m[1], "pixel_checkpoint_") && m[1] != "pixel_log_entries" {
				t.Errorf("%s: %s has no series until something happens", service, m[1])
			}
		}
	}
}

func (f *family) add(m *dto.Metric) {
	for _, l := range m.GetLabel() {
		if f.values[l.GetName()] == nil {
			f.values[l.GetName()] = make(map[string]bool)
			f.labels = append(f.labels, l.GetName())
		}
		f.values[l.GetName()][l.GetValue()] = true
	}
	h := m.GetHistogram()
	if h == nil {
		return
	}
	f.native = f.native || h.Schema != nil
	f.exemplar = f.exemplar || len(h.GetExemplars()) > 0
	f.buckets = f.buckets[:0]
	for _, b := range h.GetBucket() {
		f.buckets = append(f.buckets, b.GetUpperBound())
		f.exemplar = f.exemplar || b.GetExemplar() != nil
	}
}

func (f *family) row() string {
	kind := f.kind
	if f.native {
		kind += ", native too"
	}
	if f.exemplar {
		kind += ", exemplars"
	}
	var labels []string
	for _, l := range f.labels {
		text := openLabels[l]
		if text == "" || l == "code" && !strings.HasPrefix(f.name, "pixel_http_") {
			text = "`" + strings.Join(slices.Sorted(maps.Keys(f.values[l])), "` `") + "`"
		}
		if l == "code" && strings.HasPrefix(f.name, "pixel_http_") {
			text = "`1xx` … `5xx`"
		}
		labels = append(labels, "**"+l+"**: "+text)
	}
	help := strings.ReplaceAll(f.help, "|", "\\|")
	if len(f.buckets) > 0 {
		var bounds []string
		for _, b := range f.buckets {
			bounds = append(bounds, strconv.FormatFloat(b, 'g', -1, 64))
		}
		help += " Buckets: " + strings.Join(bounds, " ")
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.name, kind, strings.Join(labels, "<br>"), help)
}

// page returns METRICS.md.
func page(t *testing.T, families map[string]*family) string {
	t.Helper()
	groups := make(map[string][]*family)
	var foreign []string
	for name, f := range families {
		if !strings.HasPrefix(name, "pixel_") {
			if strings.HasPrefix(name, "go_") {
				foreign = append(foreign, "`"+name+"`")
			}
			continue
		}
		slices.Sort(f.services)
		by := strings.Join(f.services, ", ")
		groups[by] = append(groups[by], f)
	}
	var b strings.Builder
	b.WriteString(`# Metrics

Every metric that the services expose, written by ` + "`make docs`" + ` from what they do expose: a test fails when this page is stale. What they are good for stands in [docs/OBSERVABILITY.md](../docs/OBSERVABILITY.md).

All are at ` + "`/metrics`" + ` of each process, on its service port unless ` + "`METRICS_ADDR`" + ` moves them. Times are in seconds, sizes in bytes. A histogram has classic buckets whose boundaries are the targets; where it says *native too*, a scraper that asks for it (Prometheus: ` + "`scrape_native_histograms`" + `) gets a native histogram of the same observations, which tells any quantile within 10 %. *Exemplars* are trace ids of sampled operations, in the OpenMetrics and protobuf formats; the times of requests and handshakes have them too where traces are exported. The values of labels are bounded: nothing that a client says becomes one.
`)
	for _, by := range slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		if n := strings.Count(b, ",") - strings.Count(a, ","); n != 0 {
			return n
		}
		return strings.Compare(b, a) // the gateway before the frontend before the api
	}) {
		title := map[string]string{
			"api, frontend, gateway": "Every service", "api, gateway": "Gateway and api", "gateway": "Gateway", "api": "Api", "frontend": "Frontend",
		}[by]
		if title == "" {
			t.Errorf("no title for the metrics of %s", by)
		}
		fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n", title)
		slices.SortFunc(groups[by], func(a, b *family) int { return strings.Compare(a.name, b.name) })
		for _, f := range groups[by] {
			b.WriteString(f.row())
		}
	}
	slices.Sort(foreign)
	b.WriteString("\n## Of the Go runtime and the process\n\nEvery service has, from the Prometheus client library:\n")
	b.WriteString(strings.Join(foreign, ", ") + "; and what the system tells of the process, on Linux among others ")
	process := []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"}
	for i, name := range process {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
		process[i] = "`" + name + "`"
	}
	b.WriteString(strings.Join(process, ", ") + ".\n")
	return b.String()
}
