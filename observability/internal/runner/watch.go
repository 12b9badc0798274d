package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/cloud-pixel/playground/observability/internal/dashboards"
	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/query"
	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/stack"
)

// matches tells whether an arrival is the alert that a drill expects.
func matches(d drill.Drill, a stack.Arrival) bool {
	for name, value := range d.Labels() {
		if value != "" && a.Labels[name] != value {
			return false
		}
	}
	return true
}

// firing tells whether the alert that a drill expects fires, in Prometheus.
func (w *world) firing(ctx context.Context, d drill.Drill) (bool, error) {
	matchers := []string{`alertstate="firing"`}
	for name, value := range d.Labels() {
		if value != "" {
			matchers = append(matchers, fmt.Sprintf("%s=%q", name, value))
		}
	}
	got, err := w.stack.Prometheus.Query(ctx, "ALERTS{"+strings.Join(matchers, ",")+"}")
	return len(got) > 0, err
}

// arrived waits for the first arrival since then that is as it is asked for.
func (w *world) arrived(ctx context.Context, since time.Time, is func(stack.Arrival) bool) (stack.Arrival, error) {
	for {
		all, more := w.webhook.Arrivals()
		for _, a := range all {
			if !a.At.Before(since) && is(a) {
				return a, nil
			}
		}
		select {
		case <-ctx.Done():
			return stack.Arrival{}, ctx.Err()
		case <-more:
		}
	}
}

// names returns the alerts that arrived, firing, in a time, each once.
func (w *world) names(from, to time.Time) []string {
	all, _ := w.webhook.Arrivals()
	names := map[string]bool{}
	for _, a := range all {
		if a.Firing && !a.At.Before(from) && a.At.Before(to) {
			names[a.Labels["alertname"]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// words returns what the first arrival of an alert since then says of itself.
func (w *world) words(name string, since time.Time) string {
	all, _ := w.webhook.Arrivals()
	for _, a := range all {
		if a.Firing && a.Labels["alertname"] == name && !a.At.Before(since) {
			return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", a.Labels["severity"], a.Labels["slo"], a.Labels["pod"], a.Summary))
		}
	}
	return ""
}

// look asks what a panel shows now, over windows as short as the rules', and
// tells whether that is what the drill says, and what it is.
func (w *world) look(ctx context.Context, s rules.Sources, p drill.Panel) (seen bool, what string, err error) {
	n, known := 0, false
	var values []float64
	for _, q := range dashboards.Queries(s) {
		if q.Dashboard != p.Dashboard || q.Panel != p.Title {
			continue
		}
		if n++; p.Query != 0 && n != p.Query {
			continue
		}
		known = true
		text, err := query.Shorten(query.Grafana(q.Expr, "3m", ".*"), factor, floor)
		if err != nil {
			return false, "", err
		}
		got, err := w.stack.Prometheus.Query(ctx, text)
		if err != nil {
			return false, "", err
		}
		for _, sample := range got {
			if counts(p.Where, sample.Metric) && !math.IsNaN(float64(sample.Value)) {
				values = append(values, float64(sample.Value))
			}
		}
	}
	if !known {
		return false, "", fmt.Errorf("runner: there is no panel %v", p)
	}
	switch {
	case len(values) == 0:
		return p.Empty, "no series", nil
	case p.Above != nil:
		v := slices.Max(values)
		return v > *p.Above, fmt.Sprintf("%.4g", v), nil
	case p.Below != nil:
		v := slices.Min(values)
		return v < *p.Below, fmt.Sprintf("%.4g", v), nil
	default:
		return false, fmt.Sprintf("%d series", len(values)), nil
	}
}

// fills returns the queries that a healthy system leaves empty and that the
// drill must fill, over windows as short as the rules'.
func (r *running) fills(d drill.Drill) []string {
	var all []string
	for _, q := range dashboards.Queries(r.sources) {
		if q.Drill == d.Alert {
			all = append(all, q.Expr)
		}
	}
	all = append(all, d.Fills...)
	for i, text := range all {
		// What has parsed in tests parses here.
		if made, err := query.Shorten(query.Grafana(text, "3m", ".*"), factor, floor); err == nil {
			all[i] = made
		}
	}
	return all
}

// counts tells whether a series is one of those that a panel's condition is
// about.
func counts(where map[string]string, labels model.Metric) bool {
	for name, pattern := range where {
		if ok, err := regexp.MatchString("^(?:"+pattern+")$", string(labels[model.LabelName(name)])); err != nil || !ok {
			return false
		}
	}
	return true
}

// until asks each half second until the answer is yes.
func until(ctx context.Context, holds func(context.Context) (bool, error)) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		ok, err := holds(ctx)
		if ok {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-tick.C:
		}
	}
}

// calm waits until every target is scraped, all queries of the Overview
// dashboard have answers, and no alert has been firing or pending for some
// seconds: whatever the start has raised has cleared.
func (w *world) calm(ctx context.Context, s rules.Sources) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	if err := w.stack.Prometheus.Full(ctx, stack.Overview(s)); err != nil {
		return err
	}
	var since time.Time
	why := ""
	err := until(ctx, func(ctx context.Context) (bool, error) {
		down, _, err := w.stack.Prometheus.Down(ctx)
		if err != nil {
			return false, err
		}
		loud, err := w.stack.Prometheus.Query(ctx, `count by (alertname) (ALERTS{alertname!="Watchdog"})`)
		if err != nil {
			return false, err
		}
		if len(down) > 0 || len(loud) > 0 {
			since, why = time.Time{}, fmt.Sprintf("targets down: %s; alerts: %v", strings.Join(down, ", "), loud)
			return false, nil
		}
		if since.IsZero() {
			since = time.Now()
		}
		return time.Since(since) >= 8*time.Second, nil
	})
	if err != nil {
		return fmt.Errorf("runner: %w: %w; %s", ErrRestless, err, why)
	}
	return nil
}
