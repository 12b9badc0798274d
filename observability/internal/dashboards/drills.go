package dashboards

// drills shows what happens while things are broken on purpose.
func drills() board {
	return board{
		uid: "pixel-drills", title: "Pixel: drills and chaos",
		about: "What faults do, and which alerts they raise. Vertical lines are kills, rollouts and drills (Grafana's annotations with the tags drill, chaos, rollout), starts of processes, and alerts.",
		rows: []row{
			{"Alerts", []panel{
				{kind: areas, title: "Alerts that fire", width: 16, unit: "none",
					about:   "By name. The watchdog always does.",
					queries: []query{{expr: `count by (alertname) (ALERTS{alertstate="firing"})`, legend: "{{alertname}}"}}},
				{kind: number, title: "Pending", width: 8, height: 8, unit: "none", base: "blue",
					about:   "Alerts whose condition holds, but not for long enough yet.",
					queries: []query{{expr: `count(ALERTS{alertstate="pending"}) or vector(0)`}}},
			}},
			{"The fault", []panel{
				{kind: lines, title: "Ready processes", width: 6, unit: "none",
					about:   "By service.",
					queries: []query{{expr: "pixel:replicas:ready", legend: "{{job}}"}}},
				{kind: lines, title: "Redis, as processes see it", width: 6, unit: "percentunit", max: 1,
					about:   "The share of gateways and apis that reach it.",
					queries: []query{{expr: "avg by (job) (pixel_store_redis_up)", legend: "{{job}}"}}},
				{kind: lines, title: "Spans lost by the collector", width: 6, unit: "ops", drill: "CollectorDroppingSpans",
					about: "Spans a second that the collector could not hand on, or refused. Empty until it loses the first.",
					links: []link{{"Runbook", runbooks + "CollectorDroppingSpans.md"}},
					queries: []query{
						{expr: "sum by (job) (rate(otelcol_exporter_send_failed_spans_total[$__rate_interval]))", legend: "not handed on"},
						{expr: "sum by (job) (rate(otelcol_receiver_refused_spans_total[$__rate_interval]))", legend: "refused"},
					}},
				{kind: lines, title: "Starts of processes", width: 6, unit: "none",
					about:   "Restarts in ten minutes, by process.",
					queries: []query{{expr: `changes(process_start_time_seconds{job=~"gateway|api|frontend"}[10m])`, legend: "{{pod}}"}}},
			}},
			{"What people notice", []panel{
				{kind: areas, title: "Connections", width: 8, unit: "none",
					about:   "Open connections by gateway.",
					queries: []query{{expr: "sum by (pod) (pixel_connections)", legend: "{{pod}}"}}},
				{kind: lines, title: "The canary's attempts", width: 8, unit: "ops",
					about:   "By outcome: anything but ok is what somebody would meet.",
					queries: []query{{expr: "sum by (outcome) (rate(pixel_canary_probes_total[$__rate_interval]))", legend: "{{outcome}}"}}},
				{kind: lines, title: "Burn rates", width: 8, unit: "none",
					about:   "By objective, over five minutes: how many times faster than evenly the budget burns.",
					queries: []query{{expr: "slo:error_ratio:rate5m / (1 - slo:objective:ratio)", legend: "{{slo}}"}}},
				{kind: areas, title: "Returning clients", width: 8, unit: "ops",
					about:   "By how they got what they had missed.",
					queries: []query{{expr: "sum by (from) (rate(pixel_resumes_total[$__rate_interval]))", legend: "{{from}}"}}},
				{kind: lines, title: "Operations that wait", width: 8, unit: "none",
					about:   "Queued at gateways and apis; they are stored when Redis is back.",
					queries: []query{{expr: "sum by (pod) (pixel_append_queue_operations)", legend: "{{pod}}"}}},
				{kind: areas, title: "Refused operations", width: 8, unit: "ops",
					about:   "By code. Their clients keep them and send them again.",
					queries: []query{{expr: "sum by (code) (rate(pixel_operations_refused_total[$__rate_interval]))", legend: "{{code}}"}}},
			}},
		},
	}
}
