package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/k6/internal/livesystem"
	"github.com/cloud-pixel/playground/k6/report"
	"github.com/cloud-pixel/playground/services/fleet"
)

func TestMain(m *testing.M) { livesystem.Main(m) }

// Exit codes of k6.
const (
	exitPassed     = 0
	exitThresholds = 99
	exitAborted    = 108
	exitException  = 107
)

// start starts the shape of production for a test, with the limits of
// production, and returns its state file.
func start(t *testing.T) string {
	t.Helper()
	return livesystem.Start(t, fleet.Options{
		Gateways: 4, APIs: 3, Frontends: 2, Env: []string{"MESSAGES_PER_SECOND=60", "PIXELS_PER_SECOND=2000"},
	})
}

// run runs a script by the built program and returns its exit code, what it
// said, and its report, nil when there is none.
func run(t *testing.T, script string, env ...string) (code int, said string, r *report.Report) {
	t.Helper()
	program, err := livesystem.Generator()
	if err != nil {
		t.Fatal(err)
	}
	reports := t.TempDir()
	c := exec.CommandContext(t.Context(), program, "run", "--quiet", "--address", "", script)
	c.Env = append(os.Environ(), "K6_AUTO_EXTENSION_RESOLUTION=false", "K6_NO_USAGE_REPORT=true", "REPORTS="+reports, "WS_URL=", "API_URL=")
	c.Env = append(c.Env, env...)
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	var exit *exec.ExitError
	if err := c.Run(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(reports + "/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 1 {
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		for _, ending := range []string{".txt", ".html"} {
			if _, err := os.Stat(strings.TrimSuffix(files[0], ".json") + ending); err != nil {
				t.Error(err)
			}
		}
	}
	return code, b.String(), r
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

func is(want float64) func(float64) bool      { return func(v float64) bool { return v == want } }
func atLeast(want float64) func(float64) bool { return func(v float64) bool { return v >= want } }

// Every script runs, in a short form, against the real system in the shape of
// production. What must hold at any speed is checked: nothing is lost, and what
// the script is for has taken place. Speed is for longer runs on a machine at
// rest, so a threshold that was not met is no failure here.
func TestScripts(t *testing.T) {
	state := start(t)
	for _, test := range []struct {
		name string
		env  []string
		want map[string]func(float64) bool // "metric aggregate"
	}{
		{"smoke", nil, map[string]func(float64) bool{"pixel_acked count": is(2), "pixel_echo_latency count": is(2), "pixel_e2e_latency count": is(2)}},
		{"smoke", []string{"CODEC=json"}, map[string]func(float64) bool{"pixel_acked count": is(3), "pixel_e2e_latency count": is(3)}},
		{"load-balancing", []string{"TEST_DURATION=2s"}, map[string]func(float64) bool{
			"pixel_gateways value": is(4), "pixel_share_least value": is(0.25), "pixel_share_greatest value": is(0.25), "pixel_routes value": is(16),
			"pixel_compared value": is(23), "pixel_writes count": is(40), "pixel_delivered count": is(800),
		}},
		{"stress", []string{"TEST_DURATION=3s", "MAX_CLIENTS=30", "CODEC=json", "TRACEPARENT=on"}, map[string]func(float64) bool{
			"pixel_writes count": is(150), "pixel_cut_off count": is(0), "pixel_e2e_latency count": atLeast(2000), "pixel_connects rate": is(1),
		}},
		{"chaos", []string{"TEST_DURATION=5s", "CHAOS_INTERVAL=2s"}, map[string]func(float64) bool{
			"pixel_faults count": is(2), "pixel_fault_time count": is(2), "pixel_affected count": atLeast(1), "pixel_affected_back rate": is(1), "pixel_unaffected_cut count": is(0),
		}},
		{"concurrent", []string{"PIXELS_PER_CLIENT=20"}, map[string]func(float64) bool{
			"pixel_races count": atLeast(100), "pixel_consistent rate": is(1), "pixel_cells value": is(10), "pixel_unseen count": is(0),
		}},
		{"thundering-herd", []string{"TEST_DURATION=3s", "NUM_CLIENTS=40"}, map[string]func(float64) bool{
			"pixel_faults count": is(4), "pixel_affected count": is(40), "pixel_reconnected rate": is(1),
		}},
		{"rollout", []string{"NUM_CLIENTS=20", "ROLLOUT_PAUSE=100ms"}, map[string]func(float64) bool{
			"pixel_faults count": is(7), "pixel_cut_off count": atLeast(20), "pixel_reconnected rate": is(1),
		}},
		{"redis-outage", []string{"TEST_DURATION=4s", "OUTAGE_DURATION=500ms"}, map[string]func(float64) bool{
			"pixel_faults count": is(2), "pixel_cut_off count": is(0),
		}},
		{"spike", []string{"TEST_DURATION=4s", "MAX_CLIENTS=60", "SPIKE_DURATION=500ms"}, map[string]func(float64) bool{
			"pixel_connections value": is(60), "pixel_join_failures count": is(0),
		}},
		{"soak", []string{"TEST_DURATION=4s", "STEADY_STATE_CLIENTS=10"}, map[string]func(float64) bool{
			"pixel_memory_growth value": atLeast(0.01), "pixel_cut_off count": is(0),
		}},
		{"slow-client", []string{"TEST_DURATION=2s"}, map[string]func(float64) bool{"pixel_cut_off count": is(0), "pixel_slow_closed count": atLeast(0)}},
		{"abuse", []string{"TEST_DURATION=3s"}, map[string]func(float64) bool{
			"pixel_abuse_messages count": atLeast(100), "pixel_abuse_closed count": atLeast(1), "pixel_cut_off count": is(0),
		}},
		{"crowd", []string{"TEST_DURATION=2s", "NUM_CLIENTS=200", "JOIN_DURATION=1s"}, map[string]func(float64) bool{
			"pixel_generator_memory_mb value": atLeast(1), "pixel_generator_cores value": atLeast(0.001), "pixel_connections value": is(200),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, said, r := run(t, "scripts/"+test.name+".js", append(test.env, "STATE="+state)...)
			if r == nil || code != exitPassed && code != exitThresholds {
				t.Fatalf("it ends with %d:\n%s", code, said)
			}
			if (code == exitPassed) != r.Passed || len(r.Verdicts) == 0 || r.Error != "" || r.System == "" || len(r.Settings) < 10 {
				t.Errorf("it ends with %d, and says: %s", code, said)
			}
			for what, holds := range test.want {
				name, aggregate, _ := strings.Cut(what, " ")
				if v := figure(r, name, aggregate); !holds(v) {
					t.Errorf("%s is %v", what, v)
				}
			}
			for _, name := range []string{"pixel_lost", "pixel_unacked", "pixel_gaps", "pixel_out_of_order", "pixel_conflicts", "pixel_diverged"} {
				if v := figure(r, name, "count"); v != 0 {
					t.Errorf("%s is %v", name, v)
				}
			}
			if v := figure(r, "pixel_delivery", "rate"); v != 1 {
				t.Errorf("pixel_delivery is %v", v)
			}
			for _, f := range r.Metrics {
				if f.Help == "" {
					t.Errorf("the report does not say what %s means", f.Name)
				}
			}
			for _, v := range r.Verdicts {
				if v.Measured == nil {
					t.Errorf("it is not told what %s %s was judged by", v.Metric, v.Condition)
				}
			}
			if t.Failed() {
				t.Log(said)
			}
		})
	}
	t.Run("thresholds", func(t *testing.T) { thresholds(t, state) })
}

// The exit code tells whether the thresholds were met.
func thresholds(t *testing.T, state string) {
	for condition, want := range map[string]int{"count==20": exitPassed, "count==21": exitThresholds} {
		file := filepath.Join(t.TempDir(), "thresholds.json")
		if err := os.WriteFile(file, fmt.Appendf(nil, `{"load-balancing": {"pixel_writes": [%q]}}`, condition), 0o600); err != nil {
			t.Fatal(err)
		}
		code, said, r := run(t, "scripts/load-balancing.js", "STATE="+state, "TEST_DURATION=1s", "THRESHOLDS="+file)
		if code != want || r == nil || r.Passed != (want == exitPassed) {
			t.Errorf("with %s it ends with %d, not %d: %s", condition, code, want, said)
		}
		for _, part := range []string{"load-balancing  ", "4 gateways, 3 apis", "pixel_e2e_latency", "pod=gateway-1", condition, "report: "} {
			if !strings.Contains(said, part) {
				t.Errorf("the report lacks %q:\n%s", part, said)
			}
		}
	}
}

// Mistakes end a run before anything is loaded, in clear words.
func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		script string
		env    []string
		code   int
		want   string
	}{
		{"stress", []string{"MAX_CLIENTS=many", "TEST_DURATION=-1s"}, exitException, `MAX_CLIENTS is \"many\", not a number from 1 to 20000\nTEST_DURATION`},
		{"stress", []string{"CODEC=xml"}, exitException, "CODEC"},
		{"stress", []string{"WS_URL=ws://localhost:1/ws"}, exitException, "belong together"},
		{"stress", []string{"WS_URL=ws://example.org/ws", "API_URL=http://localhost:1"}, exitException, "REMOTE=on"},
		{"stress", []string{"STATE=/nowhere"}, exitException, "/nowhere"},
		{"stress", []string{"THRESHOLDS=/nowhere.json"}, exitException, "/nowhere.json"},
	} {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			if code, said, _ := run(t, "scripts/"+test.script+".js", test.env...); code != test.code || !strings.Contains(said, test.want) {
				t.Errorf("it ends with %d: %s", code, said)
			}
		})
	}
	t.Run("nothing to break", func(t *testing.T) {
		code, said, r := run(t, "testdata/broken.js")
		if code != exitAborted || r == nil || r.Passed || !strings.Contains(r.Error, "the script breaks off") {
			t.Errorf("it ends with %d: %s", code, said)
		}
	})
}

// Each script has thresholds, and each threshold a script.
func TestThresholds(t *testing.T) {
	text, err := os.ReadFile("scripts/thresholds.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string][]string
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("scripts/*.js")
	if err != nil || len(files) < 12 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".js")
		if len(all[name]) == 0 {
			t.Errorf("%s has no thresholds", file)
		}
		delete(all, name)
	}
	if len(all) > 0 {
		t.Errorf("thresholds of no script: %v", all)
	}
}
