package dashboards

import "github.com/cloud-pixel/playground/observability/internal/rules"

// gatewayPods chooses gateways; it stands in every query of its dashboard.
const gatewayPods = `job="gateway",pod=~"$pod"`

var gatewayPod = variable{"pod", "Gateway", `label_values(pixel_connections{job="gateway"}, pod)`, "Gateways to show", ""}

// gateway shows connections, fan-out and latency, by gateway.
func gateway(s rules.Sources) board {
	g := gatewayPods
	return board{
		uid: "pixel-gateway", title: "Pixel: gateway", vars: []variable{gatewayPod},
		about: "Connections and their share, fan-out, slow clients, latency, input: each by gateway.",
		rows: []row{
			{"Connections", []panel{
				{kind: areas, title: "Connections by gateway", width: 8, unit: "none",
					about:   "Open connections.",
					queries: []query{{expr: "sum by (pod) (pixel_connections{" + g + "})", legend: "{{pod}}"}}},
				{kind: lines, title: "Share of connections", width: 8, unit: "percentunit",
					about:   "The part of all connections that each gateway has. With four, 22 to 27 % each is even; a gateway far above sends some away.",
					links:   []link{{"Runbook", runbooks + "UnevenLoad.md"}},
					queries: []query{{expr: "sum by (pod) (pixel_connections{" + g + "}) / scalar(sum(pixel_connections))", legend: "{{pod}}"}}},
				{kind: areas, title: "Handshakes by outcome", width: 8, unit: "ops",
					about:   "Requests for a WebSocket: opened, or why not.",
					links:   []link{{"Runbook", runbooks + "ConnectionBudgetBurn.md"}},
					queries: []query{{expr: "sum by (outcome) (rate(pixel_handshakes_total{" + g + "}[$__rate_interval]))", legend: "{{outcome}}"}}},
				{kind: areas, title: "Ended connections by close code", width: 8, unit: "ops",
					about:   "1012 is a gateway that stops or balances; none means that the connection broke.",
					queries: []query{{expr: "sum by (code) (rate(pixel_connection_closes_total{" + g + "}[$__rate_interval]))", legend: "{{code}}"}}},
				{kind: areas, title: "Returning clients", width: 8, unit: "ops",
					about:   "How they got what they had missed: from the gateway's memory, the log, or a whole picture.",
					links:   []link{{"Runbook", runbooks + "ReconnectStorm.md"}},
					queries: []query{{expr: "sum by (from) (rate(pixel_resumes_total{" + g + "}[$__rate_interval]))", legend: "{{from}}"}}},
				{kind: lines, title: "Pings without an answer", width: 8, unit: "percentunit", steps: bound(0.2),
					about:   "Pings that were not answered when the next one was due, of those sent.",
					links:   []link{{"Runbook", runbooks + "HeartbeatsLost.md"}},
					queries: []query{{expr: "sum by (pod) (rate(pixel_hub_heartbeats_missed_total{" + g + "}[2m])) / sum by (pod) (rate(pixel_hub_pings_total{" + g + "}[2m]))", legend: "{{pod}}"}}},
			}},
			{"Latency", []panel{
				{kind: heat, title: "Broadcast latency", width: 12, unit: "s",
					about:   "Writes to sockets by how late they were. Points are single operations with a trace.",
					queries: []query{{expr: "sum by (le) (increase(pixel_broadcast_latency_seconds_bucket{" + g + "}[$__rate_interval]))", legend: "{{le}}", exemplars: true}}},
				{kind: lines, title: "Broadcast latency, p99 by gateway", width: 12, unit: "s", steps: latencySteps(s),
					about:   "One gateway above the others is busy or has a slow way to Redis; all together is Redis or the load.",
					links:   []link{{"Runbook", runbooks + "BroadcastLatencyBudgetBurn.md"}},
					queries: []query{{expr: "histogram_quantile(0.99, sum by (pod, le) (rate(pixel_broadcast_latency_seconds_bucket{" + g + "}[$__rate_interval])))", legend: "{{pod}}"}}},
				{kind: lines, title: "Where the time goes", width: 12, unit: "s",
					about: "95th percentiles of the parts: until the log has it (durability), the append alone, until it is written to others.",
					queries: []query{
						{expr: "histogram_quantile(0.95, sum by (le) (rate(pixel_durability_seconds_bucket{" + g + "}[$__rate_interval])))", legend: "stored", exemplars: true},
						{expr: "histogram_quantile(0.95, sum by (le) (rate(pixel_append_duration_seconds_bucket{" + g + "}[$__rate_interval])))", legend: "append"},
						{expr: "histogram_quantile(0.95, sum by (le) (rate(pixel_broadcast_latency_seconds_bucket{" + g + "}[$__rate_interval])))", legend: "at others"},
					}},
				{kind: lines, title: "Handshakes, p99", width: 12, unit: "s",
					about:   "From the request to the open connection.",
					queries: []query{{expr: "histogram_quantile(0.99, sum by (pod, le) (rate(pixel_handshake_duration_seconds_bucket{" + g + "}[5m])))", legend: "{{pod}}"}}},
			}},
			{"Fan-out", []panel{
				{kind: lines, title: "Work of the flusher", width: 8, unit: "percentunit", steps: []step{{0.7, "orange"}, {0.9, "red"}}, floor: 1,
					about:   "The part of time in which the one goroutine that writes to sockets works. Near 100 % the gateway can do no more: add gateways.",
					links:   []link{{"Runbook", runbooks + "scale-out.md"}},
					queries: []query{{expr: "sum by (pod) (rate(pixel_hub_flusher_busy_seconds_total{" + g + "}[$__rate_interval]))", legend: "{{pod}}"}}},
				{kind: lines, title: "Operations in a write", width: 8, unit: "none",
					about:   "Deliveries for each write to a socket: above 1, several travel together.",
					queries: []query{{expr: "sum by (pod) (rate(pixel_hub_delivered_operations_total{" + g + "}[$__rate_interval])) / sum by (pod) (rate(pixel_hub_socket_writes_total{" + g + "}[$__rate_interval]))", legend: "{{pod}}"}}},
				{kind: areas, title: "Bytes to clients", width: 8, unit: "Bps",
					about:   "Bytes written to sockets.",
					queries: []query{{expr: "sum by (pod) (rate(pixel_hub_written_bytes_total{" + g + "}[$__rate_interval]))", legend: "{{pod}}"}}},
				{kind: lines, title: "Clients whose socket is full", width: 8, unit: "none",
					about:   "Connections that take nothing at this moment. After SLOW_CONSUMER_TIMEOUT they are closed.",
					links:   []link{{"Runbook", runbooks + "SlowClients.md"}},
					queries: []query{{expr: "sum by (pod) (pixel_hub_blocked_connections{" + g + "})", legend: "{{pod}}"}}},
				{kind: lines, title: "Closed because they did not read", width: 8, unit: "ops",
					about: "Slow consumers closed, and connections found dead, per second.",
					queries: []query{
						{expr: "sum by (pod) (rate(pixel_hub_slow_consumers_total{" + g + "}[$__rate_interval]))", legend: "slow {{pod}}"},
						{expr: "sum by (pod) (rate(pixel_dead_connections_total{" + g + "}[$__rate_interval]))", legend: "dead {{pod}}"},
					}},
				{kind: lines, title: "Greatest lag of a connection", width: 8, unit: "none",
					about:   "Operations that the connection which is furthest behind has still to get.",
					queries: []query{{expr: "max by (pod) (pixel_hub_max_lag_operations{" + g + "})", legend: "{{pod}}"}}},
			}},
			{"Input", []panel{
				{kind: areas, title: "Messages of clients", width: 8, unit: "ops",
					about:   "By type; bad ones could not be read.",
					queries: []query{{expr: "sum by (type) (rate(pixel_messages_received_total{" + g + "}[$__rate_interval]))", legend: "{{type}}"}}},
				{kind: areas, title: "Refused messages", width: 8, unit: "ops",
					about:   "By code (docs/PROTOCOL.md). rate_limited, busy and degraded are sent again by their client.",
					links:   []link{{"Runbook", runbooks + "InputRefused.md"}},
					queries: []query{{expr: "sum by (code) (rate(pixel_messages_refused_total{" + g + "}[$__rate_interval]))", legend: "{{code}}"}}},
				{kind: lines, title: "Operations that wait to be stored", width: 8, unit: "none",
					about:   "In the queues of the gateways. Above a few, appends are slower than what arrives.",
					links:   []link{{"Runbook", runbooks + "AppendQueueSaturated.md"}},
					queries: []query{{expr: "sum by (pod) (pixel_append_queue_operations{" + g + "})", legend: "{{pod}}"}}},
			}},
		},
	}
}
