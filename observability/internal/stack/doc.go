// Package stack runs the playground in the shape of production and all that
// watches it, as plain processes on the loopback interface: Prometheus,
// Alertmanager, the OpenTelemetry Collector, Jaeger, VictoriaLogs, the
// exporters, the canary, and Grafana where there is one.
//
// They read the configuration files that a cluster reads. `make observe` gives
// them the addresses that stand there; tests and drills take free ports, and
// the files with other addresses and shorter times (settings.go).
//
//	process.go    a program, started, signalled, stopped and started again
//	programs.go   where programs are found, and how one gets those that are not
//	settings.go   configuration files, copied into the folder of a run
//	targets.go    what Prometheus scrapes, from the playground's state file
//	webhook.go    where Alertmanager sends alerts
//	prometheus.go questions to Prometheus
//	stack.go      starts and stops all of it in order
//	parts.go      how each program is started
//	usage.go      what it needs, and when the first dashboard is full
package stack
