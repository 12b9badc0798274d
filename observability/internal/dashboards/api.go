package dashboards

import (
	"fmt"

	"github.com/cloud-pixel/playground/observability/internal/rules"
)

var canvases = variable{"canvas", "Canvas", "label_values(pixel_log_head, canvas)", "Canvases to show; those that are not of the configuration are one, other", ""}

// api shows the REST service and persistence.
func api(s rules.Sources) board {
	const a = `job="api",pod=~"$pod",route=~"/api/.*"`
	const c = `canvas=~"$canvas"`
	within := le(threshold(s, "api-latency-p99"))
	return board{
		uid: "pixel-api", title: "Pixel: canvas API and persistence",
		about: "The REST service: requests, latency, errors; and what is stored: the log, checkpoints, trimming.",
		vars:  []variable{{"pod", "Api", `label_values(pixel_ready{job="api"}, pod)`, "Apis to show", ""}, canvases},
		rows: []row{
			{"Requests", []panel{
				{kind: areas, title: "Requests by route", width: 8, unit: "reqps",
					about:   "Requests to the api, by the pattern of their route.",
					queries: []query{{expr: "sum by (method, route) (rate(pixel_http_requests_total{" + a + "}[$__rate_interval]))", legend: "{{method}} {{route}}"}}},
				{kind: lines, title: "Answers with 5xx", width: 8, unit: "percentunit", steps: bound(0.001),
					about:   "The share of requests that failed for a reason of ours. The line is the objective.",
					links:   []link{{"Runbook", runbooks + "ApiAvailabilityBudgetBurn.md"}},
					queries: []query{{expr: `(sum by (pod) (rate(pixel_http_requests_total{` + a + `,code="5xx"}[$__rate_interval])) or sum by (pod) (rate(pixel_http_requests_total{` + a + `}[$__rate_interval])) * 0) / sum by (pod) (rate(pixel_http_requests_total{` + a + `}[$__rate_interval]))`, legend: "{{pod}}"}}},
				{kind: lines, title: "Within 300 ms", width: 8, unit: "percentunit", max: 1,
					about:   "The share of requests answered within the objective's time.",
					links:   []link{{"Runbook", runbooks + "ApiLatencyBudgetBurn.md"}},
					queries: []query{{expr: fmt.Sprintf("sum by (pod) (rate(pixel_http_request_duration_seconds_bucket{%s,%s}[$__rate_interval])) / sum by (pod) (rate(pixel_http_request_duration_seconds_count{%s}[$__rate_interval]))", a, within, a), legend: "{{pod}}"}}},
				{kind: lines, title: "Latency by route, p99", width: 12, unit: "s", steps: bound(threshold(s, "api-latency-p99")),
					about:   "From the request's header to the end of the answer.",
					queries: []query{{expr: "histogram_quantile(0.99, sum by (route, le) (rate(pixel_http_request_duration_seconds_bucket{" + a + "}[5m])))", legend: "{{route}}"}}},
				{kind: areas, title: "What became of writes", width: 6, unit: "ops",
					about:   "done, refused (certainly not stored), unconfirmed (not known in time), unavailable (the log was away).",
					queries: []query{{expr: `sum by (result) (rate(pixel_rest_writes_total{job="api",pod=~"$pod"}[$__rate_interval]))`, legend: "{{result}}"}}},
				{kind: areas, title: "Whole pictures", width: 6, unit: "ops",
					about:   "By form, and whether one was at hand.",
					queries: []query{{expr: `sum by (form, source) (rate(pixel_pictures_total{job="api",pod=~"$pod"}[$__rate_interval]))`, legend: "{{form}} {{source}}"}}},
			}},
			{"Persistence", []panel{
				{kind: lines, title: "Checkpoints behind, time", width: 8, unit: "s", steps: []step{{5, "orange"}, {20, "red"}}, floor: 6,
					about:   "Time since the oldest operation that the stored checkpoint lacks. Target: 5 s.",
					links:   []link{{"Runbook", runbooks + "CheckpointsLagging.md"}},
					queries: []query{{expr: "max by (canvas) (pixel_checkpoint_lag_seconds{" + c + "})", legend: "{{canvas}}"}}},
				{kind: lines, title: "Checkpoints behind, operations", width: 8, unit: "none", steps: []step{{10000, "orange"}}, floor: 100,
					about:   "Operations that the stored checkpoint lacks. Target: 10,000.",
					queries: []query{{expr: "max by (canvas) (pixel_checkpoint_lag_operations{" + c + "})", legend: "{{canvas}}"}}},
				{kind: areas, title: "Checkpoints by result", width: 8, unit: "ops",
					about:   "saved; conflict (another api was first); failed; damaged (the picture in memory was, and was not written).",
					queries: []query{{expr: "sum by (result) (rate(pixel_checkpoints_total[$__rate_interval]))", legend: "{{result}}"}}},
				{kind: lines, title: "Log against its cap", width: 8, unit: "percentunit", steps: bound(0.8), floor: 1,
					about:   "Entries in the log of the entries that it may hold. At 100 % writes are refused.",
					links:   []link{{"Runbook", runbooks + "LogNearCap.md"}},
					queries: []query{{expr: "max by (canvas) (pixel_log_entries{" + c + "}) / on() group_left() pixel:log_entries:limit", legend: "{{canvas}}"}}},
				{kind: lines, title: "Time of a checkpoint, p99", width: 8, unit: "s",
					about:   "Time to write one.",
					queries: []query{{expr: "histogram_quantile(0.99, sum by (le) (rate(pixel_checkpoint_duration_seconds_bucket[5m])))", legend: "p99"}}},
				{kind: lines, title: "Who holds the leases", width: 8, unit: "none",
					about:   "Leases by api: for each canvas one of them writes checkpoints.",
					queries: []query{{expr: "sum by (pod, canvas) (pixel_checkpoint_leases_held{" + c + "}) > 0", legend: "{{pod}} {{canvas}}"}}},
				{kind: lines, title: "Tiles written", width: 12, unit: "ops",
					about:   "Tiles of 256×256 cells stored with checkpoints: only those that changed.",
					queries: []query{{expr: "sum(rate(pixel_store_checkpoint_tiles_written_total[$__rate_interval]))", legend: "tiles"}}},
				{kind: lines, title: "Entries trimmed", width: 12, unit: "ops",
					about:   "Log entries removed behind checkpoints. 0 while the log is shorter than what it keeps.",
					queries: []query{{expr: "sum(rate(pixel_log_trimmed_entries_total[$__rate_interval]))", legend: "entries"}}},
			}},
		},
	}
}
