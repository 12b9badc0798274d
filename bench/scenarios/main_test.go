package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/bench/scenarios/report"
	"github.com/cloud-pixel/playground/bench/scenarios/scenario"
	"github.com/cloud-pixel/playground/services/fleet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// playground builds the program once.
var playground = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pixel-scenarios-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "playground")
	build := exec.Command("go", "-C", "../..", "build", "-o", program, "./services/playground")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	return program, nil
})

// start starts the shape of production once for a test, and returns the
// options with which a scenario runs against it.
func start(t *testing.T, name string) options {
	t.Helper()
	program, err := playground()
	if err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"-playground", program, "-reports", "", name}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// figure finds a value in a report; NaN when there is none.
func figure(r *report.Report, name, aggregate string) float64 {
	for _, f := range r.Metrics {
		if v, ok := f.Values[aggregate]; ok && f.Name == name {
			return v
		}
	}
	return math.NaN()
}

// Every scenario runs, in a short form, against the real system in the shape
// of production. What must hold at any speed is checked: nothing is lost, and
// what the scenario is for has taken place. Speed is for longer runs on a
// machine at rest.
func TestScenarios(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		want map[string]func(float64) bool // "metric aggregate"
	}{
		{"load-balancing", map[string]string{"TEST_DURATION": "2s"}, map[string]func(float64) bool{
			"pixel_gateways value": is(4), "pixel_share_least value": is(0.25), "pixel_share_greatest value": is(0.25), "pixel_routes count": is(16),
			"pixel_compared value": is(23), "pixel_writes count": is(40),
		}},
		{"stress", map[string]string{"TEST_DURATION": "3s", "MAX_CLIENTS": "30", "CODEC": "json", "TRACEPARENT": "on"}, map[string]func(float64) bool{
			"pixel_writes count": is(150), "pixel_cut_off count": is(0), "pixel_e2e_latency count": atLeast(2000), "pixel_connects rate": is(1),
		}},
		{"chaos", map[string]string{"TEST_DURATION": "5s", "CHAOS_INTERVAL": "2s"}, map[string]func(float64) bool{
			"pixel_faults count": atLeast(1), "pixel_affected count": atLeast(1), "pixel_affected_back rate": is(1), "pixel_unaffected_cut count": is(0),
		}},
		{"concurrent", map[string]string{"PIXELS_PER_CLIENT": "20"}, map[string]func(float64) bool{
			"pixel_races count": atLeast(100), "pixel_consistent rate": is(1), "pixel_cells value": is(10), "pixel_unseen count": is(0),
		}},
		{"thundering-herd", map[string]string{"TEST_DURATION": "3s", "NUM_CLIENTS": "40"}, map[string]func(float64) bool{
			"pixel_faults count": is(4), "pixel_cut_off count": is(40), "pixel_reconnected rate": is(1),
		}},
		{"rollout", map[string]string{"NUM_CLIENTS": "20", "ROLLOUT_PAUSE": "100ms"}, map[string]func(float64) bool{
			"pixel_faults count": is(7), "pixel_cut_off count": atLeast(20), "pixel_reconnected rate": is(1),
		}},
		{"redis-outage", map[string]string{"TEST_DURATION": "4s", "OUTAGE_DURATION": "500ms"}, map[string]func(float64) bool{
			"pixel_faults count": is(2), "pixel_cut_off count": is(0),
		}},
		{"spike", map[string]string{"TEST_DURATION": "4s", "MAX_CLIENTS": "60", "SPIKE_DURATION": "500ms"}, map[string]func(float64) bool{
			"pixel_connections value": is(60), "pixel_join_failures count": is(0),
		}},
		{"soak", map[string]string{"TEST_DURATION": "4s", "STEADY_STATE_CLIENTS": "10"}, map[string]func(float64) bool{
			"pixel_memory_growth value": atLeast(0.01), "pixel_cut_off count": is(0),
		}},
		{"slow-client", map[string]string{"TEST_DURATION": "2s"}, map[string]func(float64) bool{"pixel_cut_off count": is(0)}},
		{"abuse", map[string]string{"TEST_DURATION": "3s"}, map[string]func(float64) bool{
			"pixel_abuse_messages count": atLeast(100), "pixel_abuse_closed count": atLeast(1), "pixel_cut_off count": is(0),
		}},
		{"crowd", map[string]string{"TEST_DURATION": "2s", "NUM_CLIENTS": "200", "JOIN_DURATION": "1s"}, map[string]func(float64) bool{
			"pixel_generator_memory_mb value": atLeast(1), "pixel_generator_cores value": atLeast(0.001), "pixel_connections value": is(200),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			r, err := run(t.Context(), start(t, test.name), t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if r.Error != "" {
				t.Errorf("it did not come to its end: %s", r.Error)
			}
			for what, holds := range test.want {
				name, aggregate, _ := strings.Cut(what, " ")
				if v := figure(r, name, aggregate); !holds(v) {
					t.Errorf("%s is %v", what, v)
				}
			}
			for name, want := range map[string]float64{"pixel_lost": 0, "pixel_unacked": 0, "pixel_gaps": 0, "pixel_out_of_order": 0, "pixel_conflicts": 0, "pixel_diverged": 0} {
				if v := figure(r, name, "count"); v != want {
					t.Errorf("%s is %v", name, v)
				}
			}
			if v := figure(r, "pixel_delivery", "rate"); v != 1 {
				t.Errorf("pixel_delivery is %v", v)
			}
			if t.Failed() {
				_ = r.Text(t.Output())
			}
			for _, v := range r.Verdicts {
				if v.Why != "" {
					t.Errorf("threshold %s %s cannot be judged: %s", v.Metric, v.Condition, v.Why)
				}
			}
			for _, write := range []func(io.Writer) error{r.Text, r.JSON, r.HTML} {
				if err := write(io.Discard); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func is(want float64) func(float64) bool      { return func(v float64) bool { return v == want } }
func atLeast(want float64) func(float64) bool { return func(v float64) bool { return v >= want } }

// The whole command, as `make` calls it: against a playground that runs, with
// files, and exit codes that tell whether the thresholds were met.
func TestCommand(t *testing.T) {
	program, err := playground()
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.Start(fleet.Options{Program: program, Gateways: 2, APIs: 1, Frontends: 1, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := f.Ready(ctx, 2, 1, 1); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state.json")
	now, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.WriteState(state, now); err != nil {
		t.Fatal(err)
	}
	thresholds := filepath.Join(t.TempDir(), "thresholds.json")
	reports := t.TempDir()
	t.Setenv("TEST_DURATION", "1s")
	for condition, want := range map[string]int{"count==20": exitPassed, "count==21": exitFailed} {
		text := fmt.Sprintf(`{"load-balancing": {"pixel_writes": [%q]}}`, condition)
		if err := os.WriteFile(thresholds, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, problems bytes.Buffer
		code := command([]string{"-state", state, "-reports", reports, "-thresholds", thresholds, "-metrics", "127.0.0.1:0", "load-balancing"}, &out, &problems)
		if code != want {
			t.Errorf("with %s it ends with %d, not %d: %s%s", condition, code, want, &problems, &out)
		}
		for _, part := range []string{"load-balancing  ", "2 gateways, 1 apis", "pixel_e2e_latency", "pod=gateway-1", condition, "report: "} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("the report lacks %q:\n%s", part, &out)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(reports, "load-balancing-*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("reports: %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil || figure(&r, "pixel_delivered", "count") != 400 || len(r.Settings) == 0 {
		t.Errorf("%v: %s", err, text)
	}
	for _, ending := range []string{".txt", ".html"} {
		if _, err := os.Stat(strings.TrimSuffix(files[0], ".json") + ending); err != nil {
			t.Error(err)
		}
	}
}

// What Prometheus gets while a run is under way.
func TestExport(t *testing.T) {
	o := start(t, "load-balancing")
	o.metricsAddr = "127.0.0.1:0"
	t.Setenv("TEST_DURATION", "3s")
	address := make(chan string, 1)
	log := lines(func(line string) {
		if m := regexp.MustCompile(`http://\S+/metrics`).FindString(line); m != "" {
			address <- m
		}
	})
	done := make(chan error, 1)
	go func() { _, err := run(t.Context(), o, log); done <- err }()
	url := <-address
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	want := regexp.MustCompile(`(?m)^pixel_e2e_latency_seconds_bucket\{pod="gateway-\d",le="0.06"\} [1-9]`)
	deadline := time.Now().Add(20 * time.Second)
	for {
		answer, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v: %s", answer.Status, err, text)
		}
		if want.Match(text) && bytes.Contains(text, []byte("\npixel_delivered_total ")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never came to that:\n%s", text)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// lines calls for each write.
type lines func(string)

func (l lines) Write(b []byte) (int, error) { l(string(b)); return len(b), nil }

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{nil, nil, "which scenario"},
		{[]string{"stres"}, nil, `no scenario "stres"`},
		{[]string{"stress", "-state", "x"}, nil, "flags stand before"},
		{[]string{"-gateways", "0", "stress"}, nil, "at least 1"},
		{[]string{"-selectors", "gateway", "chaos"}, nil, "service:selector"},
		{[]string{"stress"}, map[string]string{"MAX_CLIENTS": "many", "TEST_DURATION": "-1s"}, "MAX_CLIENTS is \"many\", not a number from 1 to 20000\nTEST_DURATION"},
		{[]string{"stress"}, map[string]string{"CODEC": "xml"}, "CODEC"},
		{[]string{"stress"}, map[string]string{"WS_URL": "ws://localhost:1/ws"}, "belong together"},
		{[]string{"stress"}, map[string]string{"WS_URL": "ws://example.org/ws", "API_URL": "http://localhost:1"}, "-remote"},
		{[]string{"-thresholds", "/nowhere", "stress"}, nil, "/nowhere"},
		{[]string{"-playground", "/nowhere/playground", "stress"}, nil, "make build"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			var out, problems bytes.Buffer
			if code := command(append([]string{"-reports", ""}, test.args...), &out, &problems); code != exitBroken || !strings.Contains(problems.String(), test.want) {
				t.Errorf("ends with %d: %s", code, &problems)
			}
		})
	}
}

// Each scenario has thresholds and each threshold a scenario, and help tells
// all settings.
func TestHelp(t *testing.T) {
	all, err := scenario.Thresholds(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenario.All() {
		if len(all[s.Name]) == 0 {
			t.Errorf("%s has no thresholds", s.Name)
		}
		delete(all, s.Name)
		var out bytes.Buffer
		if code := command([]string{"help", s.Name}, &out, io.Discard); code != exitPassed || !strings.Contains(out.String(), "CODEC") || !strings.Contains(out.String(), "pixel_delivery") {
			t.Errorf("help %s: %s", s.Name, &out)
		}
	}
	if len(all) > 0 {
		t.Errorf("thresholds of no scenario: %v", all)
	}
	var out bytes.Buffer
	if code := command([]string{"help"}, &out, io.Discard); code != exitPassed || !strings.Contains(out.String(), "thundering-herd") {
		t.Errorf("help: %s", &out)
	}
}
