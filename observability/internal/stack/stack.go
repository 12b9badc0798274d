package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// Options of a stack.
type Options struct {
	// Root is the folder observability/.
	Root string
	// Build is the folder with the programs of this repository; tools/ below it
	// holds those that `make tools` builds.
	Build string
	// Playground is the program; empty: the one in Build.
	Playground string
	// Dir takes data, logs and configuration of this run. It must exist.
	Dir string
	// Free lets every part listen at a free port instead of the addresses that
	// the configuration files name.
	Free bool
	// State is the playground's state file; empty: one in Dir.
	State string
	// Env is for the services, as NAME=value.
	Env []string
	// Rules by the name of their file, instead of those in rules/.
	Rules map[string][]byte
	// Short, unless nil, shortens times.
	Short *Short
	// Traces lets the services send traces and logs, to a collector, Jaeger and
	// VictoriaLogs.
	Traces bool
	// RedisData is the folder of the Redis that StartRedis starts; empty: one in
	// Dir.
	RedisData string
	// Webhook takes the alerts.
	Webhook *Webhook
}

// The shape of production.
const (
	Gateways  = 4
	APIs      = 3
	Frontends = 2
)

// Stack is one that runs, or a part of it. Parts are started by one goroutine;
// the rest may be called by any.
type Stack struct {
	Options
	Prometheus *Prometheus

	at      map[string]string // part → address
	targets *targets

	mu    sync.Mutex
	parts map[string]*Process
	stops []func() error
}

// New prepares a stack: its addresses, its configuration and the receiver of
// alerts. Nothing else runs yet. Stop it in any case.
func New(ctx context.Context, o Options) (*Stack, error) {
	at, err := addresses(ctx, o.Free)
	if err != nil {
		return nil, err
	}
	if o.Playground == "" {
		o.Playground = filepath.Join(o.Build, "playground")
	}
	if o.RedisData == "" {
		o.RedisData = filepath.Join(o.Dir, "redis")
	}
	if o.State == "" {
		o.State = filepath.Join(o.Dir, "state.json")
	}
	s := &Stack{Options: o, at: at, parts: map[string]*Process{}}
	s.targets = &targets{path: filepath.Join(o.Dir, "prometheus", "targets", "processes.json"), state: o.State, extra: map[string]target{}}
	if err := errors.Join(lay(o.Root, o.Dir, at, o.Rules, o.Short), os.MkdirAll(filepath.Join(o.Dir, "logs"), 0o700)); err != nil {
		return nil, err
	}
	if s.Prometheus, err = NewPrometheus("http://" + at["prometheus"]); err != nil {
		return nil, err
	}
	stop, err := serve(ctx, at["webhook"], o.Webhook)
	if err != nil {
		return nil, err
	}
	s.later(stop)
	return s, nil
}

// Start starts everything. Alertmanager comes before Prometheus, which sends an
// alert that it could not deliver again only after a minute.
func (s *Stack) Start(ctx context.Context) error {
	steps := []func(context.Context) error{s.StartAlertmanager}
	if s.Traces {
		steps = append(steps, s.StartTraces)
	}
	steps = append(steps, func(ctx context.Context) error { return s.StartServices(ctx, "") },
		s.StartExporters, s.StartPrometheus, func(ctx context.Context) error { return s.StartCanary(ctx, nil, "") })
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop stops all parts, the last one first.
func (s *Stack) Stop() error {
	s.mu.Lock()
	stops := s.stops
	s.stops = nil
	s.mu.Unlock()
	var failed error
	for _, stop := range slices.Backward(stops) {
		failed = errors.Join(failed, stop())
	}
	return failed
}

// later stops something at the end.
func (s *Stack) later(stop func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = append(s.stops, stop)
}

// Addr returns where a part listens, as host:port.
func (s *Stack) Addr(part string) string { return s.at[part] }

// Part returns a part that was started.
func (s *Stack) Part(name string) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.parts[name]
	if !ok {
		return nil, fmt.Errorf("stack: %s was not started", name)
	}
	return p, nil
}

// Fleet returns the services.
func (s *Stack) Fleet() (*fleet.Fleet, error) { return fleet.Attach(s.State) }

// run starts a program, registers its end, and waits until it is ready.
func (s *Stack) run(ctx context.Context, name, path string, args, env []string, ready func(context.Context) error) error {
	p := &Process{Name: name, path: path, args: args, env: env, log: filepath.Join(s.Dir, "logs", name+".log")}
	if err := p.Start(); err != nil {
		return err
	}
	s.mu.Lock()
	s.parts[name] = p
	s.mu.Unlock()
	s.later(p.Stop)
	if ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := p.await(ctx, ready); err != nil {
		return fmt.Errorf("stack: %s is not ready: %w", name, err)
	}
	return nil
}

// answers returns a condition: a GET of the URL is answered with 200.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, answer.Status)
		}
		return nil
	}
}
