// Package rules makes Prometheus' rules from the sources in observability/alerts:
// objectives become recording rules and alerts on burn rates, causes become
// alerts, what is known of the deployment becomes constants. The same rules can
// be had over shorter windows (Shorten), for drills.
//
// Alerts on burn rates follow "Alerting on SLOs" in the Site Reliability
// Workbook (Google, 2018, chapter 5).
package rules
