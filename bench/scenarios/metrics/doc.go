// Package metrics is what a run measures: counters, rates, gauges and trends
// (distributions of times) by name, and thresholds on them.
//
// A trend is an HDR histogram, so percentiles are within 0.1 % and two trends
// can be added. A metric may have parts by a tag, for example by gateway.
package metrics
