package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/cloud-pixel/playground/services/fleet"
)

func (s *Stack) dir(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

// tool starts a program that is not part of this repository.
func (s *Stack) tool(ctx context.Context, name string, args, env []string, ready func(context.Context) error) error {
	path, err := find(filepath.Join(s.Build, "tools"), name)
	if err != nil {
		return err
	}
	return s.run(ctx, name, path, args, env, ready)
}

// StartRedis starts a Redis of its own, as production runs it, with its data in
// RedisData.
func (s *Stack) StartRedis(ctx context.Context) error {
	if err := os.MkdirAll(s.RedisData, 0o700); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(s.at["redis"]) // its form is ours
	return s.tool(ctx, "redis-server", []string{
		"--bind", host, "--port", port, "--dir", s.RedisData, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
	}, nil, s.Listens("redis"))
}

// Listens returns a condition: somebody accepts connections where the part is
// to listen.
func (s *Stack) Listens(part string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.at[part])
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// StartServices starts the playground, on the Redis of the URL, or on one that
// it starts itself.
func (s *Stack) StartServices(ctx context.Context, redis string) error {
	args := []string{
		"-addr", s.at["playground"], "-state", s.State, "-data", s.dir("canvas"),
		"-gateways", strconv.Itoa(Gateways), "-apis", strconv.Itoa(APIs), "-frontends", strconv.Itoa(Frontends),
	}
	env := []string{"REDIS_URL=", "REDIS_HOST=", "RESCUE_DIR=" + s.dir("rescue")}
	if redis != "" {
		args = append(args, "-redis", redis)
	}
	if s.Traces {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.at["collector-grpc"], "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "LOG_LEVEL=info",
			"BROWSER_TRACES_URL=http://"+s.at["collector-http"]+"/v1/traces")
	}
	// What this process's environment says of traces stands above.
	err := s.run(ctx, "playground", s.Playground, args, append(env, s.Env...), func(context.Context) error {
		now, err := fleet.ReadState(s.State)
		if err != nil {
			return err
		}
		if len(now.Processes) < Gateways+APIs+Frontends {
			return fmt.Errorf("%d processes listen", len(now.Processes))
		}
		return nil
	})
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { s.targets.follow(following) })
	s.later(func() error { stop(); done.Wait(); return nil })
	return nil
}

// StartExporters starts the exporter of Redis, and that of the machine where it
// is installed.
func (s *Stack) StartExporters(ctx context.Context) error {
	now, err := fleet.ReadState(s.State)
	if err != nil {
		return err
	}
	addr := s.at["redis-exporter"]
	// Past any proxy: the exporter tells of Redis, not of the way to it.
	redis := now.Redis.URL
	if _, err := s.Part("redis-server"); err == nil {
		redis = "redis://" + s.at["redis"]
	}
	if err := s.tool(ctx, "redis-exporter", []string{"-redis.addr", redis, "-web.listen-address", addr}, nil, answers("http://"+addr+"/metrics")); err != nil {
		return err
	}
	s.targets.set("redis", "redis-0", addr)
	addr = s.at["node-exporter"]
	err = s.tool(ctx, "node-exporter", []string{"--web.listen-address", addr, "--no-collector.systemd"}, nil, answers("http://"+addr+"/metrics"))
	if errors.Is(err, ErrNotInstalled) {
		return nil // nothing of the playground's reads it
	}
	s.targets.set("node", "node-0", addr)
	return err
}

// StartAlertmanager starts Alertmanager.
func (s *Stack) StartAlertmanager(ctx context.Context) error {
	addr := s.at["alertmanager"]
	return s.tool(ctx, "alertmanager", []string{
		"--config.file=" + s.dir("alertmanager", "alertmanager.yaml"), "--storage.path=" + s.dir("alertmanager", "data"),
		"--web.listen-address=" + addr, "--cluster.listen-address=",
	}, nil, answers("http://"+addr+"/-/ready"))
}

// StartPrometheus starts Prometheus.
func (s *Stack) StartPrometheus(ctx context.Context) error {
	addr := s.at["prometheus"]
	if err := s.targets.write(); err != nil {
		return err
	}
	return s.tool(ctx, "prometheus", []string{
		"--config.file=" + s.dir("prometheus", "prometheus.yaml"), "--storage.tsdb.path=" + s.dir("prometheus", "data"),
		"--storage.tsdb.retention.time=31d", "--web.listen-address=" + addr, "--enable-feature=exemplar-storage",
		"--web.enable-remote-write-receiver", // for k6
	}, nil, answers("http://"+addr+"/-/ready"))
}

// StartTraces starts Jaeger, VictoriaLogs and the collector before them.
func (s *Stack) StartTraces(ctx context.Context) error {
	if err := s.tool(ctx, "victorialogs", []string{
		"-httpListenAddr=" + s.at["victorialogs"], "-storageDataPath=" + s.dir("victorialogs"), "-retentionPeriod=7d", "-memory.allowedBytes=64MiB",
	}, nil, answers("http://"+s.at["victorialogs"]+"/health")); err != nil {
		return err
	}
	if err := s.tool(ctx, "jaeger", []string{
		"--memory.max-traces=20000", "--query.http-server.host-port=" + s.at["jaeger"], "--query.grpc-server.host-port=" + s.at["jaeger-query-grpc"],
		"--collector.otlp.grpc.host-port=" + s.at["jaeger-otlp"], "--collector.otlp.http.host-port=" + s.at["jaeger-otlp-http"],
		"--collector.grpc-server.host-port=" + s.at["jaeger-collector"], "--collector.http-server.host-port=" + s.at["jaeger-collector-http"],
		"--admin.http.host-port=" + s.at["jaeger-admin"],
		"--processor.jaeger-compact.server-host-port=127.0.0.1:0", "--processor.jaeger-binary.server-host-port=127.0.0.1:0",
		"--processor.zipkin-compact.server-host-port=127.0.0.1:0", "--http-server.host-port=127.0.0.1:0",
	}, nil, answers("http://"+s.at["jaeger-admin"]+"/")); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(s.at["collector-metrics"])
	if err := s.tool(ctx, "collector", []string{"--config=" + s.dir("collector", "collector.yaml")}, []string{
		"COLLECTOR_GRPC=" + s.at["collector-grpc"], "COLLECTOR_HTTP=" + s.at["collector-http"], "COLLECTOR_HEALTH=" + s.at["collector-health"],
		"COLLECTOR_METRICS_HOST=" + host, "COLLECTOR_METRICS_PORT=" + port,
		"TRACES_ENDPOINT=" + s.at["jaeger-otlp"], "LOGS_ENDPOINT=http://" + s.at["victorialogs"] + "/insert/opentelemetry/v1/logs",
	}, answers("http://"+s.at["collector-health"]+"/")); err != nil {
		return err
	}
	s.targets.set("collector", "collector-0", s.at["collector-metrics"])
	return nil
}

// StartCanary starts the canary, on these gateways and this api, or on those of
// the state file.
func (s *Stack) StartCanary(ctx context.Context, gateways []string, api string) error {
	args := []string{"-addr", s.at["canary"]}
	if gateways == nil {
		args = append(args, "-state", s.State)
	} else {
		args = append(args, "-gateways", strings.Join(gateways, ","), "-api", api)
	}
	if err := s.run(ctx, "canary", filepath.Join(s.Build, "canary"), args, nil, answers("http://"+s.at["canary"]+"/metrics")); err != nil {
		return err
	}
	s.targets.set("canary", "canary-0", s.at["canary"])
	return nil
}

// StartExtra starts one more process of a service that is built by itself, and
// lets Prometheus know. The returned function stops it.
func (s *Stack) StartExtra(ctx context.Context, service, pod string, env []string) (stop func() error, err error) {
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := free.Addr().String()
	_ = free.Close()
	env = append(env, "ADDR="+addr, "POD_NAME="+pod)
	if err := s.run(ctx, pod, filepath.Join(s.Build, service), nil, env, answers("http://"+addr+"/readyz")); err != nil {
		return nil, err
	}
	s.targets.set(service, pod, addr)
	p, err := s.Part(pod)
	if err != nil {
		return nil, err
	}
	return func() error { s.targets.drop(pod); return p.Stop() }, nil
}
