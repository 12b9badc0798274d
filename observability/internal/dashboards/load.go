package dashboards

import "github.com/cloud-pixel/playground/observability/internal/rules"

// load shows what k6 measures beside what the servers do. k6's metrics come by
// Prometheus remote write (K6_PROMETHEUS_RW_SERVER_URL), with the percentiles
// that K6_PROMETHEUS_RW_TREND_STATS names.
func load(s rules.Sources) board {
	const test = "LoadTest" // no drill, but a load test fills these
	k := `testid=~"$testid"`
	return board{
		uid: "pixel-load", title: "Pixel: load test",
		about: "A load test as k6 sees it, beside what it costs the servers. Run k6 with K6_PROMETHEUS_RW_TREND_STATS=p(50),p(95),p(99) and a tag testid.",
		vars:  []variable{{"testid", "Test", "label_values(k6_vus, testid)", "Runs to show, by their tag testid", test}},
		rows: []row{
			{"As clients see it (k6)", []panel{
				{kind: lines, title: "Virtual users", width: 8, unit: "none", drill: test,
					about:   "Virtual users of k6; in a swarm each of them holds many clients.",
					queries: []query{{expr: "sum(k6_vus{" + k + "})", legend: "virtual users"}}},
				{kind: lines, title: "To other clients", width: 8, unit: "s", drill: test, steps: latencySteps(s),
					about: "From when a stroke was due to its arrival at the other clients, corrected for coordinated omission.",
					queries: []query{
						{expr: "max(k6_pixel_e2e_latency_p50{" + k + "})", legend: "p50"},
						{expr: "max(k6_pixel_e2e_latency_p95{" + k + "})", legend: "p95"},
						{expr: "max(k6_pixel_e2e_latency_p99{" + k + "})", legend: "p99"},
					}},
				{kind: lines, title: "Own echo, p99", width: 8, unit: "s", drill: test,
					about:   "From a client's send to the return of its own stroke.",
					queries: []query{{expr: "max(k6_pixel_echo_latency_p99{" + k + "})", legend: "p99"}}},
				{kind: lines, title: "Delivered and owed", width: 8, unit: "ops", drill: test,
					about: "Operations that clients got, and should have got.",
					queries: []query{
						{expr: "sum(rate(k6_pixel_delivered_total{" + k + "}[$__rate_interval]))", legend: "delivered"},
						{expr: "sum(rate(k6_pixel_owed_total{" + k + "}[$__rate_interval]))", legend: "owed"},
					}},
				{kind: lines, title: "Wrong at clients", width: 8, unit: "none", drill: test,
					about: "Gaps, duplicates, operations out of order and final pictures that differ from the api's, in total. All must be 0.",
					queries: []query{
						{expr: "sum(k6_pixel_gaps_total{" + k + "})", legend: "gaps"},
						{expr: "sum(k6_pixel_duplicates_total{" + k + "})", legend: "duplicates"},
						{expr: "sum(k6_pixel_out_of_order_total{" + k + "})", legend: "out of order"},
						{expr: "sum(k6_pixel_diverged_total{" + k + "})", legend: "diverged"},
					}},
				{kind: lines, title: "Recovery, p99", width: 8, unit: "s", drill: test, steps: bound(threshold(s, "recovery")),
					about:   "Of clients that were cut off.",
					queries: []query{{expr: "max(k6_pixel_recovery_time_p99{" + k + "})", legend: "p99"}}},
			}},
			{"As the servers see it", []panel{
				{kind: lines, title: "Broadcast latency", width: 8, unit: "s", steps: latencySteps(s),
					about:   "From the receipt at the author's gateway to the write to a client's socket.",
					queries: quantiles("pixel_broadcast_latency_seconds", "", true, 0.5, 0.95, 0.99)},
				{kind: lines, title: "Strokes and deliveries", width: 8, unit: "ops",
					about: "Operations stored, and written to connections.",
					queries: []query{
						{expr: "sum(rate(pixel_append_operations_total[$__rate_interval]))", legend: "stored"},
						{expr: "sum(rate(pixel_hub_delivered_operations_total[$__rate_interval]))", legend: "delivered"},
					}},
				{kind: areas, title: "Connections by gateway", width: 8, unit: "none",
					about:   "Open connections.",
					queries: []query{{expr: "sum by (pod) (pixel_connections)", legend: "{{pod}}"}}},
				{kind: lines, title: "Processor by process", width: 12, unit: "none",
					about:   "Cores in use.",
					queries: []query{{expr: `sum by (pod) (rate(process_cpu_seconds_total{job=~"gateway|api"}[$__rate_interval]))`, legend: "{{pod}}"}}},
				{kind: lines, title: "Deliveries for one second of processor", width: 12, unit: "none",
					about:   "What a second of all gateways' processor time delivers.",
					queries: []query{{expr: `sum(rate(pixel_hub_delivered_operations_total[$__rate_interval])) / sum(rate(process_cpu_seconds_total{job="gateway"}[$__rate_interval]))`, legend: "operations"}}},
			}},
		},
	}
}
