package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloud-pixel/playground/k6/metrics"
)

// Prefix of the metrics that a report shows.
const Prefix = "pixel_"

// summary is what k6 hands to a script's handleSummary.
// (https://grafana.com/docs/k6/latest/results-output/end-of-test/custom-summary/)
type summary struct {
	Metrics map[string]struct {
		Type       metrics.Kind       `json:"type"`
		Values     map[string]float64 `json:"values"`
		Thresholds map[string]struct {
			OK bool `json:"ok"`
		} `json:"thresholds"`
	} `json:"metrics"`
	State struct {
		Millis float64 `json:"testRunDurationMs"`
	} `json:"state"`
}

// Take takes figures, verdicts and the duration of the run from the summary of
// k6 (as JSON). known says what metrics mean, and in which order they are shown;
// its parts, by gateway and so on, are shown as well. The run has passed when
// all thresholds were met, and there were some.
func (r *Report) Take(text []byte, known *metrics.Set) error {
	var s summary
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("report: the summary of k6: %w", err)
	}
	r.Seconds = s.State.Millis / 1000
	names := slices.Sorted(maps.Keys(s.Metrics))
	order := map[string]int{}
	for i, m := range known.All() {
		order[m.Name] = i + 1
	}
	// What only the script knows comes first.
	slices.SortStableFunc(names, func(a, b string) int { return order[a] - order[b] })
	r.Passed = r.Error == ""
	for _, name := range names {
		m := s.Metrics[name]
		for _, condition := range slices.Sorted(maps.Keys(m.Thresholds)) {
			v := Verdict{Metric: name, Condition: condition, OK: m.Thresholds[condition].OK}
			if measured, ok := m.Values[aggregateOf(condition)]; ok {
				v.Measured = &measured
			}
			r.Passed = r.Passed && v.OK
			r.Verdicts = append(r.Verdicts, v)
		}
		if !strings.HasPrefix(name, Prefix) || strings.Contains(name, "{") {
			continue
		}
		f := Figure{Name: name, Kind: m.Type, Values: m.Values}
		if k := known.Get(name); k != nil {
			f.Help, f.Parts = k.Help, parts(k)
		}
		r.Metrics = append(r.Metrics, f)
	}
	slices.SortStableFunc(r.Verdicts, func(a, b Verdict) int { return strings.Compare(a.Metric, b.Metric) })
	r.Passed = r.Passed && len(r.Verdicts) > 0
	return nil
}

// aggregateOf returns what a condition like "p(95) < 200" is about.
func aggregateOf(condition string) string {
	if i := strings.IndexAny(condition, "<>=!"); i >= 0 {
		condition = condition[:i]
	}
	return strings.TrimSpace(condition)
}

// parts returns the figures of a metric by its tags.
func parts(m *metrics.Metric) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for _, tag := range m.Tags() {
		all[tag] = values(m.Parts[tag])
	}
	return all
}
