// Package observability has no code of its own: its tests hold rules,
// dashboards, runbooks and drills to each other, to the metrics that exist, and
// to the real promtool and Alertmanager.
package observability
