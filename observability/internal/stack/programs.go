package stack

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// program is one that is not part of this repository.
type program struct {
	name  string
	names []string // on the PATH
	get   string   // how one gets it
}

// All of them but the exporters are built by `make tools`, from Go modules with
// pinned versions (observability/tools).
var programs = map[string]program{
	"redis-server":   {"Redis", []string{"redis-server"}, "apt-get install redis-server"},
	"prometheus":     {"Prometheus", []string{"prometheus"}, "make tools, or apt-get install prometheus"},
	"alertmanager":   {"Alertmanager", []string{"alertmanager", "prometheus-alertmanager"}, "make tools, or apt-get install prometheus-alertmanager"},
	"collector":      {"the OpenTelemetry Collector", []string{"otelcol-contrib"}, "make tools"},
	"jaeger":         {"Jaeger", []string{"jaeger-all-in-one"}, "make tools"},
	"victorialogs":   {"VictoriaLogs", []string{"victoria-logs"}, "make tools"},
	"redis-exporter": {"the exporter of Redis", []string{"redis_exporter", "prometheus-redis-exporter"}, "apt-get install prometheus-redis-exporter"},
	"node-exporter":  {"the exporter of the machine", []string{"node_exporter", "prometheus-node-exporter"}, "apt-get install prometheus-node-exporter"},
	"grafana":        {"Grafana", []string{"grafana", "grafana-server"}, "https://grafana.com/grafana/download, or a container engine (docker, podman)"},
}

// ErrNotInstalled is part of the error for a program that is not there.
var ErrNotInstalled = errors.New("is not installed")

// find returns the path of a program: the one that was built into the folder,
// else one of the system's.
func find(tools, key string) (string, error) {
	p := programs[key]
	if path, err := exec.LookPath(filepath.Join(tools, key)); err == nil {
		return path, nil
	}
	for _, name := range p.names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("stack: %s %w: %s", p.name, ErrNotInstalled, p.get)
}
