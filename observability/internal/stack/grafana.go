package stack

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

// grafanaImage is the version that Kubernetes runs.
const grafanaImage = "docker.io/grafana/grafana:12.3.1"

// StartGrafana starts Grafana with the committed dashboards and data sources,
// as a program where it is installed, else by a container engine, and tells
// which. An error that is ErrNotInstalled says how one gets it.
func (s *Stack) StartGrafana(ctx context.Context) (string, error) {
	host, port, _ := net.SplitHostPort(s.at["grafana"])
	dashboards, provisioning := filepath.Join(s.Root, "dashboards"), filepath.Join(s.Root, "grafana", "provisioning")
	env := func(dashboards string) []string {
		return []string{
			"GF_SERVER_HTTP_ADDR=" + host, "GF_SERVER_HTTP_PORT=" + port,
			"GF_AUTH_ANONYMOUS_ENABLED=true", "GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer", "GF_AUTH_DISABLE_LOGIN_FORM=true",
			"GF_ANALYTICS_REPORTING_ENABLED=false", "GF_ANALYTICS_CHECK_FOR_UPDATES=false",
			"GF_PLUGINS_PREINSTALL=victoriametrics-logs-datasource",
			"PROMETHEUS_URL=http://" + s.at["prometheus"], "JAEGER_URL=http://" + s.at["jaeger"], "LOGS_URL=http://" + s.at["victorialogs"],
			"DASHBOARDS=" + dashboards,
		}
	}
	ready := answers("http://" + s.at["grafana"] + "/api/health")
	path, err := find(filepath.Join(s.Build, "tools"), "grafana")
	if err == nil {
		args := []string{"server", "--homepath", "/usr/share/grafana"}
		if filepath.Base(path) == "grafana-server" {
			args = args[1:]
		}
		extra := append(env(dashboards), "GF_PATHS_PROVISIONING="+provisioning, "GF_PATHS_DATA="+s.dir("grafana"), "GF_PATHS_LOGS="+s.dir("logs"))
		return path, s.run(ctx, "grafana", path, args, extra, ready)
	}
	for _, engine := range []string{"docker", "podman"} {
		if !works(ctx, engine) {
			continue
		}
		args := []string{"run", "--rm", "--network", "host", "-v", dashboards + ":/dashboards:ro", "-v", provisioning + ":/etc/grafana/provisioning:ro"}
		for _, pair := range env("/dashboards") {
			args = append(args, "-e", pair)
		}
		return engine, s.run(ctx, "grafana", engine, append(args, grafanaImage), nil, ready)
	}
	return "", err
}

// works tells whether a container engine is there and answers.
func works(ctx context.Context, engine string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, engine, "info").Run() == nil
}

// Ended gives the name of the first part that ends by itself.
func (s *Stack) Ended() <-chan string {
	first := make(chan string, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range s.parts {
		go func() {
			<-p.Ended()
			select {
			case first <- name:
			default:
			}
		}()
	}
	return first
}
