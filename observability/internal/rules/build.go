package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/cloud-pixel/playground/observability/internal/query"
)

const (
	// runbooks is where the runbook of an alert stands, below a name.
	runbooks = "https://github.com/cloud-pixel/playground/blob/main/runbooks/"
	// grafana is the address of Grafana, an external label of Prometheus that
	// is dropped before alerts are sent (prometheus/prometheus.yaml).
	grafana = "{{ $externalLabels.grafana }}"
)

// Built are the rules by the name of their file.
type Built map[string]File

// Build makes the rules of the sources: one file for the deployment, one for
// the causes, one for each objective.
func Build(s Sources) Built {
	b := Built{"deployment": deployment(s.Deployment), "causes": causes(s.Causes)}
	for _, o := range s.Objectives.Objectives {
		b["slo-"+o.Name] = File{Groups: []Group{short(o), long(o, s.Objectives.Period), burns(o)}}
	}
	return b
}

// Alerts returns all alerts, in the order of the names of the files.
func (b Built) Alerts() []Rule {
	var all []Rule
	for _, name := range slices.Sorted(maps.Keys(b)) {
		for _, g := range b[name].Groups {
			for _, r := range g.Rules {
				if r.Alert != "" {
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// Recorded returns the names of all that is recorded.
func (b Built) Recorded() map[string]bool {
	names := map[string]bool{}
	for _, f := range b {
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.Record != "" {
					names[r.Record] = true
				}
			}
		}
	}
	return names
}

func deployment(d Deployment) File {
	g := Group{Name: "deployment"}
	for _, job := range slices.Sorted(maps.Keys(d.Replicas)) {
		g.Rules = append(g.Rules, Rule{
			Record: "pixel:replicas:wanted", Expr: fmt.Sprintf("vector(%d)", d.Replicas[job]),
			Labels: map[string]string{"job": job},
		})
	}
	for _, name := range slices.Sorted(maps.Keys(d.Limits)) {
		g.Rules = append(g.Rules, Rule{Record: "pixel:" + name + ":limit", Expr: fmt.Sprintf("vector(%s)", decimal(d.Limits[name]))})
	}
	// Zero where none is ready or none is there at all.
	g.Rules = append(g.Rules, Rule{
		Record: "pixel:replicas:ready",
		Expr:   "count by (job) (pixel_ready == 1) or pixel:replicas:wanted * 0",
	})
	return File{Groups: []Group{g}}
}

func causes(c Causes) File {
	var f File
	for _, g := range c.Groups {
		group := Group{Name: "causes-" + g.Name}
		for _, a := range g.Alerts {
			group.Rules = append(group.Rules, Rule{
				Alert: a.Alert, Expr: pretty(a.Expr), For: a.For,
				Labels:      map[string]string{"severity": a.Severity},
				Annotations: annotations(a.Alert, a.Summary, a.Description, a.Dashboard),
			})
		}
		f.Groups = append(f.Groups, group)
	}
	return f
}

func annotations(alert, summary, description, dashboard string) map[string]string {
	return map[string]string{
		"summary": summary, "description": description,
		"runbook_url":   runbooks + alert + ".md",
		"dashboard_url": grafana + "/d/" + dashboard,
	}
}

// short records the events of five minutes. A ratio is missing, not 0/0, while
// there are no events.
func short(o Objective) Group {
	labels := map[string]string{"slo": o.Name}
	bad := o.Bad
	if bad == "" {
		bad = fmt.Sprintf("clamp_min((%s) - (%s), 0)", o.Total, o.Good)
	}
	return Group{Name: "slo-" + o.Name, Rules: []Rule{
		{Record: "slo:events:rate5m", Labels: labels, Expr: pretty(o.Total)},
		{Record: "slo:bad_events:rate5m", Labels: labels, Expr: pretty(fmt.Sprintf("(%s) or (%s) * 0", bad, o.Total))},
		{Record: "slo:error_ratio:rate5m", Labels: labels, Expr: fmt.Sprintf(
			`slo:bad_events:rate5m{slo=%q} / (slo:events:rate5m{slo=%q} > 0)`, o.Name, o.Name)},
		{Record: "slo:objective:ratio", Labels: labels, Expr: "vector(" + decimal(o.Objective/100) + ")"},
	}}
}

// long records the ratios of longer windows, each from the rates of five
// minutes: every moment counts by its events, and no query reads hours of
// histograms.
func long(o Objective, period model.Duration) Group {
	labels := map[string]string{"slo": o.Name}
	g := Group{Name: "slo-" + o.Name + "-windows", Interval: model.Duration(30 * time.Second)}
	for _, w := range append(slices.Clone(windows), period) {
		g.Rules = append(g.Rules, Rule{Record: ratio(w), Labels: labels, Expr: fmt.Sprintf(
			"sum_over_time(slo:bad_events:rate5m{slo=%q}[%s]) / (sum_over_time(slo:events:rate5m{slo=%q}[%s]) > 0)", o.Name, w, o.Name, w)})
	}
	budget := decimal(o.Budget())
	return Group{Name: g.Name, Interval: g.Interval, Rules: append(g.Rules,
		Rule{Record: "slo:burn_rate:rate1h", Labels: labels, Expr: fmt.Sprintf("%s{slo=%q} / %s", ratio(hours(1)), o.Name, budget)},
		Rule{Record: "slo:error_budget_remaining:ratio", Labels: labels, Expr: fmt.Sprintf("1 - %s{slo=%q} / %s", ratio(period), o.Name, budget)},
	)}
}

func ratio(window model.Duration) string { return "slo:error_ratio:rate" + window.String() }

// burns makes one alert for each severity: any of its pairs of windows.
func burns(o Objective) Group {
	g := Group{Name: "slo-" + o.Name + "-alerts"}
	pairs := map[string][]string{}
	wait := map[string]model.Duration{}
	for _, b := range o.Burns {
		bound := decimal(b.Factor * o.Budget())
		pairs[b.Severity] = append(pairs[b.Severity], fmt.Sprintf(
			"%s{slo=%q} > %s and %s{slo=%q} > %s and max_over_time(slo:bad_events:rate5m{slo=%q}[%s]) >= %s / 300",
			ratio(b.Long), o.Name, bound, ratio(b.Short), o.Name, bound, o.Name, b.Long, decimal(o.MinBadEvents)))
		wait[b.Severity] = max(wait[b.Severity], b.For)
	}
	for _, severity := range slices.Sorted(maps.Keys(pairs)) {
		g.Rules = append(g.Rules, Rule{
			Alert: o.Alert, For: wait[severity],
			Expr:   pretty("(" + strings.Join(pairs[severity], ") or (") + ")"),
			Labels: map[string]string{"severity": severity, "slo": o.Name},
			Annotations: annotations(o.Alert,
				"{{ $value | humanizePercentage }}: "+o.What+"; the objective leaves "+decimal(100-o.Objective)+" %.",
				"At this pace the error budget of "+o.Name+" ends before its 30 days do. "+o.Why, o.Dashboard),
		})
	}
	return g
}

// pretty breaks a query that has parsed into lines.
func pretty(text string) string {
	expr, err := query.Parse(text)
	if err != nil {
		panic(err) // validate has parsed its parts
	}
	return expr.Pretty(0)
}
