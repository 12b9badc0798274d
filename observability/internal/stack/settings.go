package stack

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// Addresses that stand in the configuration files, by the part that listens
// there.
var fixed = map[string]string{
	"prometheus": "127.0.0.1:9090", "alertmanager": "127.0.0.1:9093", "webhook": "127.0.0.1:9099",
	"canary": "127.0.0.1:9091", "redis-exporter": "127.0.0.1:9121", "node-exporter": "127.0.0.1:9100",
	"collector-grpc": "127.0.0.1:4317", "collector-http": "127.0.0.1:4318", "collector-metrics": "127.0.0.1:8888", "collector-health": "127.0.0.1:13133",
	"jaeger": "127.0.0.1:16686", "jaeger-otlp": "127.0.0.1:14317", "jaeger-otlp-http": "127.0.0.1:14318", "jaeger-admin": "127.0.0.1:14269",
	"jaeger-query-grpc": "127.0.0.1:16685", "jaeger-collector": "127.0.0.1:14250", "jaeger-collector-http": "127.0.0.1:14268",
	"victorialogs": "127.0.0.1:9428", "grafana": "127.0.0.1:3030", "playground": "127.0.0.1:8080", "redis": "127.0.0.1:6390",
}

// addresses returns where each part is to listen: where the configuration
// says, or at free ports. A port that is taken is an error.
func addresses(ctx context.Context, free bool) (map[string]string, error) {
	all := make(map[string]string, len(fixed))
	var held []net.Listener // until all are chosen, so that none is chosen twice
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for part, addr := range fixed {
		if free {
			addr = "127.0.0.1:0"
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("stack: %s is for %s: %w", addr, part, err)
		}
		held = append(held, l)
		all[part] = l.Addr().String()
	}
	return all, nil
}

// Short says how much shorter times are than in production, and where that
// ends.
type Short struct {
	Factor float64
	// Interval between scrapes and between evaluations.
	Interval time.Duration
	// Group is the least time for which Alertmanager collects what belongs
	// together: what is to be kept back must not be told before its cause.
	Group time.Duration
}

var fixedAddress = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// relocate puts the addresses of this run into a configuration file.
func relocate(content []byte, at map[string]string) ([]byte, error) {
	var unknown error
	made := fixedAddress.ReplaceAllFunc(content, func(old []byte) []byte {
		for part, addr := range fixed {
			if addr == string(old) {
				return []byte(at[part])
			}
		}
		unknown = fmt.Errorf("stack: nothing is known to listen at %s", old)
		return old
	})
	return made, unknown
}

// lay copies the configuration into the folder of the run: prometheus/ with
// targets/ in it, rules/, alertmanager/ and collector/.
func lay(root, dir string, at map[string]string, rules map[string][]byte, short *Short) error {
	files := map[string][]byte{}
	for _, path := range []string{"prometheus/prometheus.yaml", "alertmanager/alertmanager.yaml", "collector/collector.yaml"} {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			return err
		}
		if content, err = relocate(content, at); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if short != nil {
			if content, err = shorten(content, *short); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		files[path] = content
	}
	if rules == nil {
		paths, err := filepath.Glob(filepath.Join(root, "rules", "*.yaml"))
		if err != nil {
			return err
		}
		rules = map[string][]byte{}
		for _, path := range paths {
			if rules[filepath.Base(path)], err = os.ReadFile(path); err != nil {
				return err
			}
		}
	}
	for name, content := range rules {
		files["rules/"+name] = content
	}
	for path, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(full, content, 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(dir, "prometheus", "targets"), 0o700)
}

// shorten makes the times of a configuration file shorter: those between
// scrapes and evaluations, those for which alerts are grouped, and those after
// which the collector gives up.
func shorten(content []byte, s Short) ([]byte, error) {
	var tree yaml.Node
	if err := yaml.Unmarshal(content, &tree); err != nil {
		return nil, err
	}
	if err := s.walk(&tree); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	if err := e.Encode(&tree); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

func (s Short) walk(n *yaml.Node) error {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && child.Kind == yaml.ScalarNode {
			if err := s.scalar(n.Content[i-1].Value, child); err != nil {
				return err
			}
			continue
		}
		if err := s.walk(child); err != nil {
			return err
		}
	}
	return nil
}

func (s Short) scalar(key string, value *yaml.Node) error {
	var least time.Duration
	switch key {
	case "scrape_interval", "evaluation_interval":
		value.Value = model.Duration(s.Interval).String()
		return nil
	case "scrape_timeout":
		value.Value = model.Duration(s.Interval * 9 / 10).String()
		return nil
	case "group_wait", "group_interval":
		least = s.Group
	case "repeat_interval", "max_elapsed_time", "max_interval", "initial_interval":
		least = time.Second
	default:
		return nil
	}
	d, err := model.ParseDuration(value.Value)
	if err != nil {
		return fmt.Errorf("stack: %s: %w", key, err)
	}
	value.Value = model.Duration(max(time.Duration(float64(d)/s.Factor), least)).String()
	return nil
}
