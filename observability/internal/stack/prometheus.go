package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/cloud-pixel/playground/observability/internal/dashboards"
	"github.com/cloud-pixel/playground/observability/internal/query"
	"github.com/cloud-pixel/playground/observability/internal/rules"
)

// Prometheus is one that runs.
type Prometheus struct{ api v1.API }

// NewPrometheus returns the one at a URL.
func NewPrometheus(url string) (*Prometheus, error) {
	c, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return nil, err
	}
	return &Prometheus{v1.NewAPI(c)}, nil
}

// Query returns the answer to a query as it is now: a sample for each series.
func (p *Prometheus) Query(ctx context.Context, text string) (model.Vector, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	value, _, _, err := p.api.Query(ctx, text, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("stack: %q: %w", text, err)
	}
	switch v := value.(type) {
	case model.Vector:
		return v, nil
	case *model.Scalar:
		return model.Vector{{Value: v.Value, Timestamp: v.Timestamp}}, nil
	default:
		return nil, fmt.Errorf("stack: %q is %s, not a vector", text, value.Type())
	}
}

// Numbers returns the answer's values without those that are no number.
func (p *Prometheus) Numbers(ctx context.Context, text string) ([]float64, error) {
	vector, err := p.Query(ctx, text)
	if err != nil {
		return nil, err
	}
	var all []float64
	for _, s := range vector {
		if !math.IsNaN(float64(s.Value)) {
			all = append(all, float64(s.Value))
		}
	}
	return all, nil
}

// Down returns the targets that are not scraped successfully, each with why,
// and how many there are in all.
func (p *Prometheus) Down(ctx context.Context) (down []string, all int, err error) {
	targets, err := p.api.Targets(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, t := range targets.Active {
		if t.Health != v1.HealthGood {
			down = append(down, fmt.Sprintf("%s (%s %s)", t.Labels["pod"], t.Health, t.LastError))
		}
	}
	return down, len(targets.Active), nil
}

// Firing returns the names of the alerts that fire, in order, each once,
// without the watchdog's.
func (p *Prometheus) Firing(ctx context.Context) ([]string, error) {
	got, err := p.Query(ctx, `ALERTS{alertstate="firing",alertname!="Watchdog"}`)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, s := range got {
		names[string(s.Metric["alertname"])] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// Overview returns the queries of the Overview dashboard that are not empty in
// a healthy system.
func Overview(s rules.Sources) []string {
	var all []string
	for _, q := range dashboards.Queries(s) {
		if q.Dashboard == "pixel-overview" && q.Drill == "" {
			all = append(all, query.Grafana(q.Expr, "30s", ".*"))
		}
	}
	return all
}

// Full waits until every query has an answer, and asks again only those that
// have none yet. The error of a query that fails stands beside those of ctx.
func (p *Prometheus) Full(ctx context.Context, queries []string) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		var missing []string
		var failed error
		for _, text := range queries {
			got, err := p.Query(ctx, text)
			if err != nil || len(got) == 0 {
				missing = append(missing, text)
				failed = errors.Join(failed, err)
			}
		}
		if queries = missing; len(queries) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), failed, fmt.Errorf("stack: %d queries are without an answer: %q", len(queries), queries))
		case <-tick.C:
		}
	}
}
