// Package report shows what a run has measured: on a terminal, as JSON for
// programs, and as a page of HTML that needs nothing else.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/k6/faults"
	"github.com/cloud-pixel/playground/k6/metrics"
)

// Report is all there is to tell of one run.
type Report struct {
	Scenario string         `json:"scenario"`
	Summary  string         `json:"summary"`
	Passed   bool           `json:"passed"`
	Error    string         `json:"error,omitempty"` // why it did not come to its end
	Started  time.Time      `json:"started"`
	Seconds  float64        `json:"seconds"`
	Offset   float64        `json:"paintingAfter"` // seconds from Started to the first write
	System   string         `json:"system"`        // what was measured
	Machine  string         `json:"machine"`       // that it ran on
	Settings []Setting      `json:"settings"`
	Verdicts []Verdict      `json:"thresholds"`
	Metrics  []Figure       `json:"metrics"`
	Events   []faults.Event `json:"faults"`
	Points   []fanout.Point `json:"points"` // each second
	Notes    []string       `json:"notes"`
}

// Figure is a metric in a report. Values are by aggregate, times in ms.
type Figure struct {
	Name   string                        `json:"name"`
	Kind   metrics.Kind                  `json:"kind"`
	Help   string                        `json:"help"`
	Values map[string]float64            `json:"values"`
	Parts  map[string]map[string]float64 `json:"parts,omitempty"`
}

// Aggregates that a report has of each kind.
var aggregates = map[metrics.Kind][]string{
	metrics.Counter: {"count"}, metrics.Gauge: {"value"}, metrics.Rate: {"rate"},
	metrics.Trend: {"count", "min", "avg", "p(50)", "p(95)", "p(99)", "p(99.9)", "max"},
}

// Setting is a variable of the environment that a script has read.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Meaning string `json:"meaning"`
}

// Verdict is what became of one threshold.
type Verdict struct {
	Metric    string   `json:"metric"`
	Condition string   `json:"condition"`
	OK        bool     `json:"ok"`
	Measured  *float64 `json:"measured,omitempty"` // nil when it is not told
}

func values(m *metrics.Metric) map[string]float64 {
	v := map[string]float64{}
	for _, a := range aggregates[m.Kind] {
		if x, err := m.Ask(a); err == nil && !math.IsNaN(x) {
			v[a] = x
		}
	}
	return v
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// number writes a figure with as many digits as mean something to people.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case v == math.Trunc(v) && a < 1e15:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 100:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands puts commas into the digits of a whole number.
func thousands(digits string) string {
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// percent writes a rate so that what is not all never looks like it.
func percent(rate float64) string {
	text := strconv.FormatFloat(100*rate, 'f', 2, 64)
	if rate < 1 && text == "100.00" {
		text = strconv.FormatFloat(100*rate, 'f', 6, 64)
	}
	return text + " %"
}

// shown writes what a verdict measured.
func shown(v Verdict) string {
	if v.Measured == nil {
		return "–"
	}
	return strconv.FormatFloat(*v.Measured, 'g', 5, 64)
}

// value writes a figure that is no trend.
func (f *Figure) value(values map[string]float64) string {
	v, ok := values[aggregates[f.Kind][0]]
	switch {
	case !ok:
		return "–"
	case f.Kind == metrics.Rate:
		return percent(v)
	}
	return number(v)
}

// milliseconds writes one aggregate of a trend.
func milliseconds(values map[string]float64, aggregate string) string {
	v, ok := values[aggregate]
	if !ok {
		return "–"
	}
	return fmt.Sprintf("%.1f", v)
}
