package runner

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/stack"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

// The committed catalogue makes runs whose settings do not contradict each
// other, and each drill is in one.
func TestRuns(t *testing.T) {
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	all, err := drill.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range Runs(all) {
		n += len(r.Drills)
		if _, err := r.env(); err != nil {
			t.Error(err)
		}
		if limits, err := r.limits(); err != nil || (r.Name == "LogNearCap") != (len(limits) == 1) {
			t.Errorf("%s: %v %v", r.Name, limits, err)
		}
		during, after := r.tolerated()
		for _, d := range r.Drills {
			for _, name := range d.Silent {
				if !after[name] {
					t.Errorf("%s: %s may not come when its cause has gone", r.Name, name)
				}
			}
			if !during[d.Alert] {
				t.Errorf("%s: %s may not come", r.Name, d.Alert)
			}
		}
	}
	if n != len(all) {
		t.Errorf("%d of %d drills are in a run", n, len(all))
	}
}

func TestRunsRefuseContradictions(t *testing.T) {
	with := func(v string) drill.Drill {
		return drill.Drill{Shared: "x", Fault: drill.Fault{With: map[string]string{"PING_INTERVAL": v}}}
	}
	if _, err := Runs([]drill.Drill{with("1s"), with("2s")})[0].env(); err == nil {
		t.Error("two values of one setting are taken")
	}
}

func TestMatches(t *testing.T) {
	d := drill.Drill{Alert: "A", Expect: drill.Expect{SLO: "x", Severity: "critical"}}
	arrival := func(name, slo, severity string) stack.Arrival {
		return stack.Arrival{Labels: map[string]string{"alertname": name, "slo": slo, "severity": severity}}
	}
	if !matches(d, arrival("A", "x", "critical")) {
		t.Error("the alert itself is not taken")
	}
	for _, a := range []stack.Arrival{arrival("B", "x", "critical"), arrival("A", "y", "critical"), arrival("A", "x", "warning")} {
		if matches(d, a) {
			t.Errorf("%v is taken", a.Labels)
		}
	}
}

func TestCounts(t *testing.T) {
	where := map[string]string{"reason": "slow|broken"}
	if !counts(where, model.Metric{"reason": "slow"}) || counts(where, model.Metric{"reason": "slower"}) || counts(where, model.Metric{}) || !counts(nil, model.Metric{}) {
		t.Error("the wrong series count")
	}
}

func TestReport(t *testing.T) {
	good := Outcome{Alert: "A", Run: "r", Fired: 3 * time.Second, Within: 5 * time.Second, Clears: 9 * time.Second, Besides: []string{"C"}}
	bad := Outcome{Alert: "B", Run: "r", Problems: []string{"the alert did not arrive"}}
	r := NewReport([]Outcome{good, bad}, time.Minute)
	text := r.Markdown()
	for _, want := range []string{"1 of 2 drills", "| 3.0 s / 5.0 s |", "**failed**", "- B: the alert did not arrive", "| r | C | – |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
	mended := r.Amend(Report{Took: time.Second, Outcomes: []Outcome{{Alert: "B", Run: "r", Tries: 1}}})
	if text := mended.Markdown(); mended.Failed() != 0 || !strings.Contains(text, "2 of 2 drills") || !strings.Contains(text, "| ok, at try 2 |") {
		t.Errorf("mended:\n%s", text)
	}
	if r.Failed() != 1 || slices.Contains(strings.Fields(text), "%!") {
		t.Error(r.Failed())
	}
}
