// Package metrics is what a group of clients measures: counters, rates, gauges
// and trends (distributions of times) by name.
//
// A trend is an HDR histogram, so percentiles are within 0.1 % and two trends
// can be added. A metric may have parts by a tag, for example by gateway.
package metrics
