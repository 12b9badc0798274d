// Package scenario has the load and fault scenarios: what each does to a
// running system, which settings it has, and what it measures. Their
// thresholds stand in one file, thresholds.json.
package scenario
