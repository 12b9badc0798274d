package rules

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/cloud-pixel/playground/observability/internal/tree"
)

// Case is a test of one alert: series, and the moments at which it must not
// fire yet, must fire, and must have cleared.
type Case struct {
	Alert string `yaml:"alert"`
	// Severity and SLO tell apart alerts of one name.
	Severity string `yaml:"severity"`
	SLO      string `yaml:"slo"`
	// Interval between samples, 15 s by default.
	Interval model.Duration    `yaml:"interval"`
	Series   map[string]string `yaml:"series"`
	Quiet    model.Duration    `yaml:"quiet"`
	Firing   model.Duration    `yaml:"firing"`
	Cleared  model.Duration    `yaml:"cleared"` // 0: it never clears (Watchdog)
	// Labels that the alert has besides severity and slo, and what it says.
	Labels  map[string]string `yaml:"labels"`
	Summary string            `yaml:"summary"`
}

// The form of promtool's tests.
type testFile struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []unitTest     `yaml:"tests"`
}

type unitTest struct {
	Name           string         `yaml:"name"`
	Interval       model.Duration `yaml:"interval"`
	InputSeries    []inputSeries  `yaml:"input_series"`
	AlertRuleTests []alertTest    `yaml:"alert_rule_test,omitempty"`
	PromqlTests    []promqlTest   `yaml:"promql_expr_test"`
}

type inputSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type alertTest struct {
	EvalTime  model.Duration `yaml:"eval_time"`
	Alertname string         `yaml:"alertname"`
	ExpAlerts []expAlert     `yaml:"exp_alerts"`
}

type expAlert struct {
	ExpLabels      map[string]string `yaml:"exp_labels"`
	ExpAnnotations map[string]string `yaml:"exp_annotations"`
}

type promqlTest struct {
	Expr       string         `yaml:"expr"`
	EvalTime   model.Duration `yaml:"eval_time"`
	ExpSamples []expSample    `yaml:"exp_samples"`
}

type expSample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

// LoadCases reads alerts/cases.yaml.
func LoadCases(root string) ([]Case, error) {
	var cases []Case
	return cases, Read(filepath.Join(root, "alerts", "cases.yaml"), &cases)
}

// Tests renders the cases into files for promtool, one for each alert. An
// alert (by name, severity and objective) without a case is an error, and so
// is a case without an alert.
func Tests(root string, built Built) (tree.Files, error) {
	cases, err := LoadCases(root)
	if err != nil {
		return nil, err
	}
	files := map[string]*testFile{}
	open := map[string]Rule{}
	for _, r := range built.Alerts() {
		open[key(r.Alert, r.Labels["severity"], r.Labels["slo"])] = r
	}
	for _, c := range cases {
		k := key(c.Alert, c.Severity, c.SLO)
		r, ok := open[k]
		if !ok {
			return nil, fmt.Errorf("rules: cases.yaml: there is no alert %s, or it has a case already", k)
		}
		delete(open, k)
		test, err := c.unitTest(r)
		if err != nil {
			return nil, fmt.Errorf("rules: cases.yaml: %s: %w", k, err)
		}
		if files[c.Alert] == nil {
			files[c.Alert] = &testFile{EvaluationInterval: test.Interval}
			files[c.Alert].RuleFiles = built.files(c.Alert)
		}
		files[c.Alert].EvaluationInterval = min(files[c.Alert].EvaluationInterval, test.Interval)
		files[c.Alert].Tests = append(files[c.Alert].Tests, test)
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("rules: cases.yaml has no case for %s", strings.Join(slices.Sorted(maps.Keys(open)), ", "))
	}
	rendered := tree.Files{}
	for name, file := range files {
		content, err := Encode("Rendered from observability/alerts/cases.yaml by `make observability`; not to be edited.", file)
		if err != nil {
			return nil, err
		}
		rendered["rules/tests/"+name+".yaml"] = content
	}
	return rendered, nil
}

// files returns those that an alert needs, relative to rules/tests: a test
// evaluates all rules of its files at each moment.
func (b Built) files(alert string) []string {
	var needed []string
	for _, name := range slices.Sorted(maps.Keys(b)) {
		for _, r := range (Built{name: b[name]}).Alerts() {
			if r.Alert == alert {
				needed = append(needed, "../"+name+".yaml")
				break
			}
		}
	}
	if slices.Contains(needed, "../causes.yaml") {
		needed = append(needed, "../deployment.yaml")
	}
	return needed
}

func key(alert, severity, slo string) string {
	return strings.TrimRight(alert+"/"+severity+"/"+slo, "/")
}

func (c Case) unitTest(r Rule) (unitTest, error) {
	if c.Firing <= c.Quiet || (c.Cleared != 0 && c.Cleared <= c.Firing) || (c.Quiet == 0 && c.Alert != "Watchdog") {
		return unitTest{}, fmt.Errorf("quiet, firing and cleared must follow each other")
	}
	t := unitTest{Name: key(c.Alert, c.Severity, c.SLO), Interval: c.Interval}
	if t.Interval == 0 {
		t.Interval = model.Duration(15e9)
	}
	for _, series := range slices.Sorted(maps.Keys(c.Series)) {
		t.InputSeries = append(t.InputSeries, inputSeries{series, c.Series[series]})
	}
	labels := maps.Clone(r.Labels)
	maps.Copy(labels, c.Labels)
	said := maps.Clone(r.Annotations)
	said["summary"] = c.Summary
	said["dashboard_url"] = strings.ReplaceAll(said["dashboard_url"], grafana, "")
	// The summary shows only one of the alerts of a name when all fire, so the
	// other ones are left to queries for ALERTS, which tell them apart.
	only := Rule{Alert: r.Alert, Labels: r.Labels}
	firing := fmt.Sprintf("count(ALERTS{alertname=%q,alertstate=\"firing\",%s}) or vector(0)", only.Alert, matchers(labels))
	at := func(when model.Duration, n float64) promqlTest {
		return promqlTest{Expr: firing, EvalTime: when, ExpSamples: []expSample{{"{}", n}}}
	}
	if c.Quiet != 0 {
		t.PromqlTests = append(t.PromqlTests, at(c.Quiet, 0))
	}
	t.PromqlTests = append(t.PromqlTests, at(c.Firing, 1))
	if c.Cleared != 0 {
		t.PromqlTests = append(t.PromqlTests, at(c.Cleared, 0))
	}
	if c.Summary != "" {
		t.AlertRuleTests = []alertTest{{c.Firing, c.Alert, []expAlert{{labels, said}}}}
	}
	return t, nil
}

func matchers(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return strings.Join(all, ",")
}
