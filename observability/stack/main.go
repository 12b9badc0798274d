// Command stack runs the playground in the shape of production and all that
// watches it, as processes on this machine, until it is interrupted:
//
//	go run ./stack -build ../build -dir ../build/observe -state ../build/state.json
//
// `make observe` builds what it needs and starts it so. It prints where
// everything is, how soon the first dashboard was full and how much memory all
// of it takes, and then each alert as it arrives.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/stack"
	"github.com/cloud-pixel/playground/observability/internal/tree"
	"github.com/cloud-pixel/playground/services/fleet"
)

func main() {
	build := flag.String("build", "../build", "`folder` with playground, canary and tools/")
	dir := flag.String("dir", "../build/observe", "`folder` for data, logs and configuration")
	state := flag.String("state", "../build/state.json", "state `file`, by which load scenarios find the playground")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends this program at once; its children follow.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, *build, *dir, *state); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

// say prints a line for people.
func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format+"\n", args...) }

func run(ctx context.Context, build, dir, state string) (err error) {
	root, err := tree.Root()
	if err != nil {
		return err
	}
	for _, path := range []*string{&build, &dir, &state} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	sources, err := rules.Load(root)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	began := time.Now()
	s, err := stack.New(ctx, stack.Options{
		Root: root, Build: build, Dir: dir, State: state, Traces: true,
		// All is traced: one person's strokes are few, and the collector keeps
		// a part of them anyway.
		Env:     []string{"OTEL_TRACES_SAMPLER=parentbased_always_on"},
		Webhook: stack.NewWebhook(show),
	})
	if err != nil {
		return err
	}
	defer func() {
		say("\nstopping …")
		err = errors.Join(err, s.Stop())
	}()
	say("starting; logs are in %s", filepath.Join(dir, "logs"))
	if err := s.Start(ctx); err != nil {
		return err
	}
	grafana, missing := s.StartGrafana(ctx)
	if missing != nil && !errors.Is(missing, stack.ErrNotInstalled) {
		return missing
	}
	where(s, state, grafana, missing)

	full, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	queries := stack.Overview(sources)
	if err := s.Prometheus.Full(full, queries); err != nil {
		return fmt.Errorf("the dashboard Overview is not full: %w", err)
	}
	say("  all %d queries of the dashboard Overview have answers, %.0f s after the start", len(queries), time.Since(began).Seconds())
	if err := memory(s); err != nil {
		say("  memory     unknown: %v", err)
	}
	say("\nCtrl-C stops it. Alerts arrive here:\n")
	select {
	case <-ctx.Done():
		return nil
	case name := <-s.Ended():
		return fmt.Errorf("%s has ended; its log is %s", name, filepath.Join(dir, "logs", name+".log"))
	}
}

// where tells people where to look.
func where(s *stack.Stack, state, grafana string, missing error) {
	at := func(part string) string { return "http://" + s.Addr(part) }
	say("\nThe playground runs, and so does what watches it:\n")
	say("  page          %s/", at("playground"))
	if missing == nil {
		say("  Grafana       %s/d/pixel-overview (%s)", at("grafana"), grafana)
	} else {
		say("  Grafana       %v", missing)
	}
	say("  Prometheus    %s (alerts: /api/v1/alerts)", at("prometheus"))
	say("  Alertmanager  %s", at("alertmanager"))
	say("  traces        %s (/api/traces?service=gateway)", at("jaeger"))
	say("  logs          %s (/select/logsql/query?query=trace_id:…)", at("victorialogs"))
	say("  collector     OTLP by gRPC at %s, by HTTP at %s", s.Addr("collector-grpc"), s.Addr("collector-http"))
	say("  canary        %s/metrics", at("canary"))
	say("  state         %s (`make stress`, `make chaos` and others use it)\n", state)
	if now, err := fleet.ReadState(state); err == nil {
		for _, p := range now.Processes {
			say("  %-12s http://%s/metrics  http://%s/debug/pprof/  pid %d", p.Pod, p.Addr, p.DebugAddr, p.PID)
		}
	}
	say("")
}

// memory tells how much there is, the greatest first.
func memory(s *stack.Stack) error {
	all, err := s.Memory()
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, m := range all {
		sum += m.Bytes
	}
	say("  %d processes have %d MB in memory:", len(all), sum>>20)
	for _, m := range all {
		say("    %-16s %4d MB", m.Name, m.Bytes>>20)
	}
	return nil
}

// show tells of an alert; the watchdog's is expected again and again.
func show(a stack.Arrival) {
	if a.Receiver == "watchdog" {
		return
	}
	what := "FIRING  "
	if !a.Firing {
		what = "resolved"
	}
	say("%s  %-7s %s %s: %s\n          %s", a.At.Format(time.TimeOnly), a.Receiver, what, a.Labels["alertname"], a.Summary, a.Runbook)
}
