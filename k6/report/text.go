package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cloud-pixel/playground/k6/metrics"
)

// columns of a trend's line.
var columns = []string{"avg", "p(50)", "p(95)", "p(99)", "max"}

// Text writes the report for a terminal.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	result := "PASSED"
	if !r.Passed {
		result = "FAILED"
	}
	say("")
	say("%s  %s", r.Scenario, result)
	say("  %s", r.Summary)
	say("")
	say("  system    %s", r.System)
	say("  machine   %s", r.Machine)
	say("  started   %s, took %s", r.Started.Format(time.RFC3339), time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	var set []string
	for _, s := range r.Settings {
		if s.Value != "" {
			set = append(set, s.Name+"="+s.Value)
		}
	}
	say("  settings  %s", strings.Join(set, " "))
	if r.Error != "" {
		say("")
		say("  It did not come to its end: %s", r.Error)
	}

	say("")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "  times in ms\t%s\tcount\t\n", strings.Join(columns, "\t"))
	for _, f := range r.Metrics {
		if f.Kind != metrics.Trend || f.Values["count"] == 0 {
			continue
		}
		line(t, f.Name, f.Values)
		for _, tag := range sorted(f.Parts) {
			line(t, "· "+tag, f.Parts[tag])
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}

	say("")
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range r.Metrics {
		if f.Kind != metrics.Trend {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", f.Name, f.value(f.Values), f.parts())
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}

	if len(r.Events) > 0 {
		say("")
		for _, e := range r.Events {
			after := "not recovered"
			if !e.Recovered.IsZero() {
				after = "whole again after " + e.Recovered.Sub(e.At).Round(time.Millisecond).String()
			}
			say("  at %5.1f s  %s, %s", e.At.Sub(r.Started).Seconds(), e, after)
		}
	}
	say("")
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, v := range r.Verdicts {
		mark := "✓"
		if !v.OK {
			mark = "✗"
		}
		fmt.Fprintf(t, "  %s %s\t%s\t%s\n", mark, v.Metric, v.Condition, shown(v))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, n := range r.Notes {
		if i == 0 {
			say("")
		}
		say("  note: %s", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func line(t io.Writer, name string, values map[string]float64) {
	fmt.Fprintf(t, "  %s\t", name)
	for _, c := range columns {
		fmt.Fprintf(t, "%s\t", milliseconds(values, c))
	}
	fmt.Fprintf(t, "%s\t\n", number(values["count"]))
}

func sorted(parts map[string]map[string]float64) []string {
	var tags []string
	for tag := range parts {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags
}

// parts writes the parts of a figure that is no trend in one line.
func (f *Figure) parts() string {
	var all []string
	some := false
	for _, p := range f.Parts {
		some = some || p[aggregates[f.Kind][0]] != 0
	}
	if !some {
		return ""
	}
	for i, tag := range sorted(f.Parts) {
		if i == 6 {
			all = append(all, fmt.Sprintf("and %d more", len(f.Parts)-i))
			break
		}
		_, name, _ := strings.Cut(tag, "=")
		all = append(all, name+" "+f.value(f.Parts[tag]))
	}
	return strings.Join(all, ", ")
}
