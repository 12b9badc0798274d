package dashboards

import "github.com/cloud-pixel/playground/observability/internal/rules"

// delivery shows whether everybody gets everything, and sees the same.
func delivery(s rules.Sources) board {
	return board{
		uid: "pixel-delivery", title: "Pixel: delivery and convergence", vars: []variable{gatewayPod, canvases},
		about: "Does everybody get everything, and is every picture the same? Accounts of deliveries, gaps and their repair, recovery, audits.",
		rows: []row{
			{"Deliveries", []panel{
				{kind: number, title: "Delivered, of what was owed", width: 6, unit: "percentunit", base: "red", steps: []step{{0.999, "orange"}, {0.9999, "green"}},
					about:   "In five minutes. Objective: 99.99 %.",
					links:   []link{{"Runbook", runbooks + "DeliveryBudgetBurn.md"}},
					queries: []query{{expr: "1 - slo:error_ratio:rate5m{slo=\"delivery\"}"}}},
				{kind: number, title: "Proved by clients", width: 6, unit: "percentunit", base: "orange", steps: []step{{0.9, "green"}},
					about:   "Operations whose receipt a client has proved, of all that are decided, in half an hour. Lower than the other: who leaves without a word proves nothing.",
					queries: []query{{expr: "sum(rate(pixel_hub_confirmed_operations_total[30m])) / (sum(rate(pixel_hub_confirmed_operations_total[30m])) + sum(rate(pixel_hub_unconfirmed_operations_total[30m])) + sum(rate(pixel_hub_undelivered_operations_total[30m])))"}}},
				{kind: number, title: "Recovered within 500 ms", width: 6, unit: "percentunit", base: "red", steps: []step{{0.95, "orange"}, {0.99, "green"}},
					about: "Of returning clients, in five minutes. Empty while none returns. Objective: 99 %.", drill: "RecoveryBudgetBurn",
					links:   []link{{"Runbook", runbooks + "RecoveryBudgetBurn.md"}},
					queries: []query{{expr: "1 - slo:error_ratio:rate5m{slo=\"recovery\"}"}}},
				{kind: number, title: "Furthest replica behind", width: 6, unit: "none", steps: []step{{100, "orange"}, {1000, "red"}},
					about:   "Operations between the head of the log and the position of the replica that is furthest behind it.",
					queries: []query{{expr: `max(max by (canvas) (pixel_log_head{canvas=~"$canvas"}) - min by (canvas) (pixel_replica_position{canvas=~"$canvas"}))`}}},
				{kind: areas, title: "Deliveries by form", width: 8, unit: "ops",
					about:   "operation: by itself; range: conflated with others; picture: in a whole picture.",
					queries: []query{{expr: "sum by (form) (rate(pixel_hub_delivered_operations_total{" + gatewayPods + "}[$__rate_interval]))", legend: "{{form}}"}}},
				{kind: areas, title: "Not delivered", width: 8, unit: "ops",
					about:   "Owed when the connection ended, by why. closed is no loss: the client left, or gets it where it returns.",
					links:   []link{{"Runbook", runbooks + "DeliveryBudgetBurn.md"}},
					queries: []query{{expr: "sum by (reason) (rate(pixel_hub_undelivered_operations_total{" + gatewayPods + "}[$__rate_interval]))", legend: "{{reason}}"}}},
				{kind: lines, title: "Multiplier", width: 8, unit: "none",
					about:   "Deliveries for each operation that was stored: about the number of people on a canvas.",
					queries: []query{{expr: "sum(rate(pixel_hub_delivered_operations_total[$__rate_interval])) / sum(rate(pixel_append_operations_total[$__rate_interval]))", legend: "deliveries for one operation"}}},
			}},
			{"Recovery", []panel{
				{kind: lines, title: "Time to recover", width: 12, unit: "s", drill: "RecoveryBudgetBurn",
					about:   "From the loss of a connection to having caught up, as returning clients report it. Empty while none returns.",
					steps:   bound(threshold(s, "recovery")),
					queries: quantiles("pixel_recovery_duration_seconds", "", false, 0.5, 0.95, 0.99)},
				{kind: areas, title: "Whole pictures to connections", width: 12, unit: "ops",
					about:   "By why: join, lag (too far behind), epoch (the history ended).",
					queries: []query{{expr: "sum by (reason) (rate(pixel_hub_pictures_total{" + gatewayPods + "}[$__rate_interval]))", legend: "{{reason}}"}}},
			}},
			{"Convergence", []panel{
				{kind: lines, title: "Positions of replicas", width: 12, unit: "none",
					about:   "How far each process is behind the head of the log, in operations.",
					queries: []query{{expr: `max by (canvas) (pixel_log_head{canvas=~"$canvas"}) - on(canvas) group_right() max by (canvas, pod) (pixel_replica_position{canvas=~"$canvas"})`, legend: "{{pod}} {{canvas}}"}}},
				{kind: areas, title: "Audits", width: 6, unit: "ops",
					about:   "Comparisons of a replica's hash with a checkpoint's. different must not occur.",
					links:   []link{{"Runbook", runbooks + "ConvergenceMismatch.md"}},
					queries: []query{{expr: "sum by (result) (rate(pixel_replica_audits_total[1m]))", legend: "{{result}}"}}},
				{kind: areas, title: "Pictures recomputed", width: 6, unit: "ops",
					about:   "Pictures in memory whose hash was computed anew from all cells. damaged is memory that went bad.",
					queries: []query{{expr: "sum by (result) (rate(pixel_replica_scrubs_total[1m]))", legend: "{{result}}"}}},
				{kind: lines, title: "Gaps and repairs", width: 8, unit: "ops",
					about: "Messages that came before something that was missing, and operations read from the log instead.",
					links: []link{{"Runbook", runbooks + "GapRepairsRising.md"}},
					queries: []query{
						{expr: "sum(rate(pixel_replica_gaps_total[$__rate_interval]))", legend: "gaps"},
						{expr: "sum(rate(pixel_replica_repaired_operations_total[$__rate_interval]))", legend: "repaired operations"},
					}},
				{kind: lines, title: "Duplicates and strangers", width: 8, unit: "ops",
					about: "Messages that brought nothing new, or were of another epoch; operations that the log held already.",
					queries: []query{
						{expr: "sum(rate(pixel_replica_duplicate_messages_total[$__rate_interval]))", legend: "nothing new"},
						{expr: "sum(rate(pixel_replica_foreign_messages_total[$__rate_interval]))", legend: "another epoch"},
						{expr: "sum(rate(pixel_append_duplicates_total[$__rate_interval]))", legend: "appended before"},
					}},
				{kind: lines, title: "Unreadable records", width: 8, unit: "none",
					about:   "Records of an unknown version or form, in total. Must stay 0.",
					links:   []link{{"Runbook", runbooks + "UnreadableRecords.md"}},
					queries: []query{{expr: "sum by (pod) (pixel_replica_unreadable_total)", legend: "{{pod}}"}}},
			}},
		},
	}
}
