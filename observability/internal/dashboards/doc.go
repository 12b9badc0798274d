// Package dashboards holds the dashboards as code, made with Grafana's
// foundation SDK and rendered to JSON (`make observability`).
//
// A dashboard is a list of rows of panels. Every panel has a description, a
// unit and at least one query (or a text); widths are parts of 24.
package dashboards
