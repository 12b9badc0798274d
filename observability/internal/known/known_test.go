package known

import (
	"testing"

	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

func load(t *testing.T) Metrics {
	t.Helper()
	root, err := tree.Root()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(root, rules.Built{"x": {Groups: []rules.Group{{Rules: []rules.Rule{{Record: "recorded:by:rules"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCheckLetsPassWhatExists(t *testing.T) {
	m := load(t)
	for _, text := range []string{
		`pixel_connections{job="gateway",pod=~"a|b"}`,
		`rate(pixel_handshakes_total{outcome=~"opened|full"}[5m])`,
		`pixel_hub_undelivered_operations_total{reason!="closed"}`,
		`pixel_messages_refused_total{code=~"invalid_.+|out_of_bounds"}`,
		`pixel_http_requests_total{route=~"/api/.*",code="5xx"}`,
		`histogram_quantile(0.9, sum by (le) (rate(pixel_durability_seconds_bucket[5m])))`,
		`pixel_durability_seconds_bucket{le="0.05"} / on() pixel_durability_seconds_count`,
		`histogram_fraction(0, 0.05, rate(pixel_durability_seconds[5m]))`,
		`recorded:by:rules{slo="x"}`, `up`, `go_goroutines`, `process_start_time_seconds`,
	} {
		for _, problem := range m.Check(text) {
			t.Error(problem)
		}
	}
}

func TestCheckRefusesWhatDoesNot(t *testing.T) {
	m := load(t)
	for _, text := range []string{
		`pixel_conections`,
		`pixel_connections_bucket`,
		`pixel_connections{nod="a"}`,
		`pixel_handshakes_total{outcome="open"}`,
		`pixel_handshakes_total{outcome=~"opened|ful"}`,
		`pixel_hub_undelivered_operations_total{reason!="close"}`,
		`pixel_durability_seconds_bucket{le="0.06"}`,
		`sum(`,
	} {
		if len(m.Check(text)) == 0 {
			t.Errorf("%s passed", text)
		}
	}
}
