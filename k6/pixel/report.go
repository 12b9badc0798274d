package pixel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/grafana/sobek"

	"github.com/cloud-pixel/playground/k6/faults"
	"github.com/cloud-pixel/playground/k6/metrics"
	"github.com/cloud-pixel/playground/k6/report"
)

// report is the script's report(about, data): about says what ran, data is what
// k6 hands to handleSummary.
func (i *instance) report(about, data sobek.Value) map[string]any {
	var o struct {
		Scenario, Summary, System string
		Settings                  []report.Setting
		Meanings                  map[string]string
	}
	if err := decode(about, &o); err != nil {
		i.throw(err)
	}
	text, err := json.Marshal(data.Export())
	if err != nil {
		i.throw(err)
	}
	m := i.module
	m.mu.Lock()
	found := m.results
	m.mu.Unlock()
	r := report.Report{
		Scenario: o.Scenario, Summary: o.Summary, System: o.System, Settings: o.Settings, Machine: machine(),
		Error: found.failure, Points: found.points, Events: merge(found.events), Notes: found.notes,
	}
	if err := r.Take(text, explained(found.set, o.Meanings)); err != nil {
		i.throw(err)
	}
	r.Started = time.Now().Add(-time.Duration(r.Seconds * float64(time.Second)))
	if !found.painted.IsZero() {
		r.Offset = found.painted.Sub(r.Started).Seconds()
	}
	result := map[string]any{"passed": r.Passed, "started": r.Started.UTC().Format("20060102-150405")}
	var b bytes.Buffer
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text": func(b *bytes.Buffer) error { return r.Text(b) },
		"json": func(b *bytes.Buffer) error { return r.JSON(b) },
		"html": func(b *bytes.Buffer) error { return r.HTML(b) },
	} {
		b.Reset()
		if err := write(&b); err != nil {
			i.throw(fmt.Errorf("report: %w", err))
		}
		result[name] = b.String()
	}
	return result
}

// explained returns what may be in a report, in order: the script's own metrics,
// what a swarm has measured, and what else there is; without figures, but for the
// swarm's.
func explained(measured *metrics.Set, own map[string]string) *metrics.Set {
	all := &metrics.Set{}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		all.Add(metrics.Metric{Name: name, Help: own[name]})
	}
	for _, m := range measured.All() {
		if all.Get(m.Name) == nil {
			all.Add(*m)
		}
	}
	for _, m := range Known().All() {
		if all.Get(m.Name) == nil {
			all.Add(metrics.Metric{Name: m.Name, Kind: m.Kind, Help: m.Help})
		}
	}
	return all
}

// merge makes one of the beginning and the end of each fault.
func merge(told []faults.Event) (events []faults.Event) {
	for _, e := range told {
		i := slices.IndexFunc(events, func(o faults.Event) bool { return o.At.Equal(e.At) && o.Target == e.Target && o.Kind == e.Kind })
		if i >= 0 {
			events[i] = e
		} else {
			events = append(events, e)
		}
	}
	return events
}
