package dashboards

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/cloud-pixel/playground/observability/internal/rules"
)

// overview shows whether all is well: what people notice, the objectives, what
// runs.
func overview(s rules.Sources) board {
	return board{
		uid: "pixel-overview", title: "Pixel: overview and SLOs",
		about: "Is all well? What people notice, the objectives and their budgets, and what runs.",
		rows: []row{
			{"At a glance", []panel{
				{kind: number, title: "Connections", width: 4, unit: "short", base: "blue",
					about:   "Open WebSocket connections to all gateways.",
					queries: []query{{expr: "sum(pixel_connections)"}}},
				{kind: number, title: "Strokes drawn", width: 4, unit: "ops", base: "blue",
					about:   "Operations stored in the log per second.",
					queries: []query{{expr: "sum(rate(pixel_append_operations_total[$__rate_interval]))"}}},
				{kind: number, title: "Deliveries", width: 4, unit: "ops", base: "blue",
					about:   "Operations written to connections per second, one for each operation and connection.",
					queries: []query{{expr: "sum(rate(pixel_hub_delivered_operations_total[$__rate_interval]))"}}},
				{kind: number, title: "p99 to other screens", width: 4, unit: "s",
					about:   "Of all writes to sockets in the last five minutes, how late the slowest hundredth was, from the receipt at the author's gateway. Target: 300 ms.",
					steps:   []step{{0.2, "orange"}, {0.3, "red"}},
					queries: []query{{expr: "histogram_quantile(0.99, sum by (le) (rate(pixel_broadcast_latency_seconds_bucket[5m])))"}}},
				{kind: number, title: "Pictures that differed", width: 4, unit: "none", steps: bound(1),
					about:   "Replicas that had another picture than the log makes, in the last hour. Must be 0, ever.",
					links:   []link{{"Runbook", runbooks + "ConvergenceMismatch.md"}},
					queries: []query{{expr: `sum(increase(pixel_replica_audits_total{result="different"}[1h])) + sum(increase(pixel_replica_scrubs_total{result="damaged"}[1h]))`}}},
				{kind: number, title: "Alerts firing", width: 4, unit: "none", steps: bound(1),
					about:   "Alerts that fire now, the watchdog not counted.",
					queries: []query{{expr: `count(ALERTS{alertstate="firing",severity=~"critical|warning"}) or vector(0)`}}},
			}},
			{"Objectives", []panel{
				{kind: bars, title: "Error budgets left", width: 12, height: 12, unit: "percentunit", max: 1, base: "red",
					about:   "What is left of each objective's error budget over 30 days, or over what history there is. At 0 the objective is missed.",
					steps:   []step{{0, "orange"}, {0.25, "green"}},
					queries: []query{{expr: "clamp_min(slo:error_budget_remaining:ratio, -1)", legend: "{{slo}}"}}},
				{kind: lines, title: "Burn rates over an hour", width: 12, height: 12, unit: "none", floor: 2,
					about:   "How many times faster than evenly over 30 days each budget burns. At 14.4 for an hour somebody is woken; at 1 the budget just lasts.",
					steps:   []step{{1, "orange"}, {14.4, "red"}},
					queries: []query{{expr: "slo:burn_rate:rate1h", legend: "{{slo}}"}}},
				{kind: lines, title: "Latency against its targets", width: 12, unit: "s",
					about:   "Broadcast latency: from the receipt at the author's gateway to the write to a client's socket, at every gateway. The lines are the targets of p50, p95 and p99.",
					steps:   latencySteps(s),
					queries: quantiles("pixel_broadcast_latency_seconds", "", true, 0.5, 0.95, 0.99)},
				{kind: lines, title: "End to end, as the canary sees it", width: 12, unit: "s",
					about:   "From the canary's send to the arrival at its other client, by the gateway through which it was sent. It also tells when nobody else draws.",
					steps:   bound(threshold(s, "end-to-end-latency-p99")),
					queries: []query{{expr: "histogram_quantile(0.99, sum by (le, gateway) (rate(pixel_canary_latency_seconds_bucket[1m])))", legend: "p99 {{gateway}}"}}},
				{kind: lines, title: "Good events of all", width: 24, unit: "percentunit", max: 1, from: 0.99,
					about:   "The share of good events in five minutes, by objective. Gaps mean that there was nothing to judge.",
					queries: []query{{expr: "1 - slo:error_ratio:rate5m", legend: "{{slo}}"}}},
			}},
			{"Targets of the product", targets()},
			{"What runs", []panel{
				{kind: lines, title: "Ready processes", width: 8, unit: "none",
					about:   "Processes that would answer /readyz with 200, by service.",
					queries: []query{{expr: "pixel:replicas:ready", legend: "{{job}}"}}},
				{kind: bars, title: "Missing processes", width: 8, unit: "none", steps: bound(1),
					about:   "How many fewer are ready than the deployment wants.",
					links:   []link{{"Runbook", runbooks + "ReplicasMissing.md"}},
					queries: []query{{expr: "clamp_min(pixel:replicas:wanted - pixel:replicas:ready, 0)", legend: "{{job}}"}}},
				{kind: bars, title: "Versions", width: 8, unit: "none", base: "blue",
					about:   "Processes by service and version: two versions of one service are a rollout under way.",
					queries: []query{{expr: "count by (job, version) (pixel_build_info)", legend: "{{job}} {{version}}"}}},
				{kind: lines, title: "Processor", width: 12, unit: "none",
					about:   "Processor cores in use, by process.",
					queries: []query{{expr: `sum by (pod) (rate(process_cpu_seconds_total{job=~"gateway|api|frontend"}[$__rate_interval]))`, legend: "{{pod}}"}}},
				{kind: lines, title: "Memory", width: 12, unit: "bytes",
					about:   "Resident memory, by process.",
					links:   []link{{"Runbook", runbooks + "MemoryNearLimit.md"}},
					queries: []query{{expr: `max by (pod) (process_resident_memory_bytes{job=~"gateway|api|frontend"})`, legend: "{{pod}}"}}},
				{kind: lines, title: "Memory against its limit", width: 12, unit: "percentunit", steps: bound(0.9), floor: 1,
					about:   "Resident memory against GOMEMLIMIT, by process. Where no limit is set, it is near 0.",
					links:   []link{{"Runbook", runbooks + "MemoryNearLimit.md"}},
					queries: []query{{expr: `max by (pod) (process_resident_memory_bytes{job=~"gateway|api|frontend"}) / max by (pod) (go_gc_gomemlimit_bytes{job=~"gateway|api|frontend"})`, legend: "{{pod}}"}}},
				{kind: lines, title: "Goroutines", width: 12, unit: "none",
					about:   "Goroutines, by process. They grow with connections and must fall with them.",
					queries: []query{{expr: `max by (pod) (go_goroutines{job=~"gateway|api|frontend"})`, legend: "{{pod}}"}}},
			}},
		},
	}
}

// targets are the figures of the product's promise, as numbers.
func targets() []panel {
	return []panel{
		{kind: number, title: "p50", width: 4, unit: "s", steps: bound(0.06),
			about:   "Median of the broadcast latency in five minutes. Target: 60 ms.",
			queries: []query{{expr: "histogram_quantile(0.5, sum by (le) (rate(pixel_broadcast_latency_seconds_bucket[5m])))"}}},
		{kind: number, title: "p95", width: 4, unit: "s", steps: bound(0.2),
			about:   "Broadcast latency, 95th percentile in five minutes. Target: 200 ms.",
			queries: []query{{expr: "histogram_quantile(0.95, sum by (le) (rate(pixel_broadcast_latency_seconds_bucket[5m])))"}}},
		{kind: number, title: "Mean", width: 4, unit: "s", steps: bound(0.1),
			about:   "Mean broadcast latency in five minutes. Target: 100 ms.",
			queries: []query{{expr: "sum(rate(pixel_broadcast_latency_seconds_sum[5m])) / sum(rate(pixel_broadcast_latency_seconds_count[5m]))"}}},
		{kind: number, title: "Connection success", width: 4, unit: "percentunit", base: "red", steps: []step{{0.95, "orange"}, {0.999, "green"}},
			about:   "Handshakes that became connections, of those not refused for a reason of the client's, in an hour. Target: 95 %, objective: 99.9 %.",
			queries: []query{{expr: `sum(rate(pixel_handshakes_total{outcome="opened"}[1h])) / sum(rate(pixel_handshakes_total{outcome=~"opened|full|draining|not_ready|failed"}[1h])) >= 0`}}},
		{kind: number, title: "Recovered within 500 ms", width: 4, unit: "percentunit", base: "red", steps: []step{{0.95, "orange"}, {0.99, "green"}},
			about: "Of the clients that lost a connection and came back, the share that had caught up within 500 ms, in an hour. Target: 95 %, objective: 99 %. Empty while nobody has lost a connection.",
			drill: "RecoveryBudgetBurn", links: []link{{"Runbook", runbooks + "RecoveryBudgetBurn.md"}},
			queries: []query{{expr: `sum(rate(pixel_recovery_duration_seconds_bucket{le="0.5"}[1h])) / sum(rate(pixel_recovery_duration_seconds_count[1h])) >= 0`}}},
		{kind: number, title: "Delivered", width: 4, unit: "percentunit", base: "red", steps: []step{{0.999, "orange"}, {0.9999, "green"}},
			about:   "Operations that were owed to connections and written to them, in an hour. Objective: 99.99 %.",
			queries: []query{{expr: `sum(rate(pixel_hub_delivered_operations_total[1h])) / (sum(rate(pixel_hub_delivered_operations_total[1h])) + sum(rate(pixel_hub_undelivered_operations_total{reason!="closed"}[1h])))`}}},
	}
}

// threshold returns the bound of an objective in seconds. An objective that
// does not exist is a mistake of the program.
func threshold(s rules.Sources, name string) float64 {
	i := slices.IndexFunc(s.Objectives.Objectives, func(o rules.Objective) bool { return o.Name == name })
	if i < 0 || s.Objectives.Objectives[i].Threshold == 0 {
		panic("dashboards: there is no objective of time " + name)
	}
	return s.Objectives.Objectives[i].Threshold
}

func latencySteps(s rules.Sources) []step {
	return []step{
		{threshold(s, "broadcast-latency-p50"), "yellow"},
		{threshold(s, "broadcast-latency-p95"), "orange"},
		{threshold(s, "broadcast-latency-p99"), "red"},
	}
}

// le writes a threshold as the label of its bucket.
func le(seconds float64) string {
	return fmt.Sprintf("le=%q", strconv.FormatFloat(seconds, 'f', -1, 64))
}
