package report

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/k6/metrics"
)

// known has a counter with a part, and a trend.
func known() *metrics.Set {
	var s metrics.Set
	times := metrics.NewTimes()
	metrics.Note(times, 50*time.Millisecond)
	s.Trend("pixel_e2e_latency", "how long it took", times).Part("pod", "gateway-1", metrics.Metric{Times: times})
	s.Count("pixel_gaps", "what was missing", 3)
	return &s
}

const text = `{
	"metrics": {
		"pixel_gaps": {"type": "counter", "values": {"count": 3, "rate": 1}, "thresholds": {"count==0": {"ok": %v}}},
		"pixel_e2e_latency": {"type": "trend", "values": {"count": 1, "avg": 50, "p(95)": 50}, "thresholds": {"p(95) < 200": {"ok": true}, "avg<=100": {"ok": true}}},
		"pixel_own": {"type": "rate", "values": {"rate": 0.999999}},
		"http_reqs": {"type": "counter", "values": {"count": 9, "rate": 1}},
		"pixel_gaps{pod:gateway-1}": {"type": "counter", "values": {"count": 1}}
	},
	"state": {"testRunDurationMs": 61500}
}`

func TestTake(t *testing.T) {
	for _, ok := range []bool{true, false} {
		r := Report{Scenario: "stress", Started: time.Now()}
		if err := r.Take(fmt.Appendf(nil, text, ok), known()); err != nil {
			t.Fatal(err)
		}
		if r.Passed != ok || r.Seconds != 61.5 || len(r.Verdicts) != 3 || len(r.Metrics) != 3 {
			t.Errorf("%+v", r)
		}
		for _, v := range r.Verdicts {
			if want := map[string]float64{"count==0": 3, "p(95) < 200": 50, "avg<=100": 50}[v.Condition]; v.Measured == nil || *v.Measured != want {
				t.Errorf("%s was judged by %v, not %v", v.Condition, v.Measured, want)
			}
		}
		var b bytes.Buffer
		if err := r.Text(&b); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{map[bool]string{true: "PASSED", false: "FAILED"}[ok], "pod=gateway-1", "99.999900 %", "took 1m1.5s"} {
			if !strings.Contains(b.String(), part) {
				t.Errorf("the text lacks %q:\n%s", part, &b)
			}
		}
		b.Reset()
		if err := r.HTML(&b); err != nil || !strings.Contains(b.String(), "how long it took") {
			t.Errorf("%v: %s", err, &b)
		}
	}
}

// A run that broke off has failed whatever its thresholds say, and so has one
// that has none.
func TestNotPassed(t *testing.T) {
	r := Report{Error: "it broke off"}
	if err := r.Take(fmt.Appendf(nil, text, true), known()); err != nil || r.Passed {
		t.Errorf("passed: %v, %v", r.Passed, err)
	}
	r = Report{}
	if err := r.Take([]byte(`{"metrics": {}}`), known()); err != nil || r.Passed {
		t.Errorf("passed: %v, %v", r.Passed, err)
	}
	if err := r.Take([]byte(`rubbish`), known()); err == nil {
		t.Error("rubbish was taken for a summary")
	}
}
