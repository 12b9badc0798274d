package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/fault"
	"github.com/cloud-pixel/playground/observability/internal/load"
	"github.com/cloud-pixel/playground/services/fleet"
)

// inject begins a fault and returns what ends it. Faults that have to go on
// doing something do so until then, or until ctx ends.
func (w *world) inject(ctx context.Context, f drill.Fault) (end func() error, err error) {
	nothing := func() error { return nil }
	switch f.Kind {
	case "none":
		return nothing, nil
	case "kill":
		return w.without("canary")
	case "collector-without-backend":
		return w.without("jaeger")
	case "restart-loop":
		return w.restartLoop(ctx, f)
	case "stop":
		return w.hold(f.Target)
	case "memory-limit":
		return w.smallFrontend(ctx, f.Bytes)
	case "corrupt-replica":
		pods, err := w.pods(f.Target)
		if err != nil {
			return nil, err
		}
		return nothing, syscall.Kill(pods[0].PID, syscall.SIGUSR2)
	case "delay", "cut", "drop-messages":
		return w.line(f)
	case "clients-deaf", "clients-mute", "clients-flap", "clients-crowd", "clients-rubbish", "refuse-connections":
		return w.clients(ctx, f)
	default:
		return w.injectRedis(ctx, f)
	}
}

// without stops a part of the stack until the end.
func (w *world) without(part string) (func() error, error) {
	p, err := w.stack.Part(part)
	if err != nil {
		return nil, err
	}
	return p.Start, p.Kill()
}

// hold stops processes where they are (SIGSTOP).
func (w *world) hold(target string) (func() error, error) {
	if target == "the exporter of Redis" {
		p, err := w.stack.Part("redis-exporter")
		if err != nil {
			return nil, err
		}
		return func() error { return p.Signal(syscall.SIGCONT) }, p.Signal(syscall.SIGSTOP)
	}
	pods, err := w.pods(target)
	if err != nil {
		return nil, err
	}
	signal := func(s syscall.Signal) error {
		var failed error
		for _, p := range pods {
			failed = errors.Join(failed, syscall.Kill(p.PID, s))
		}
		return failed
	}
	return func() error { return signal(syscall.SIGCONT) }, signal(syscall.SIGSTOP)
}

// restartLoop kills one process some times; the playground starts it again.
func (w *world) restartLoop(ctx context.Context, f drill.Fault) (func() error, error) {
	pods, err := w.pods(f.Target)
	if err != nil {
		return nil, err
	}
	services, err := w.stack.Fleet()
	if err != nil {
		return nil, err
	}
	return background(ctx, time.Duration(f.Every), func(n int) error {
		if n >= f.Times {
			return nil
		}
		pid := pods[0].PID
		if now, err := services.State(); err == nil {
			if p, ok := now.Pod(pods[0].Pod); ok {
				pid = p.PID
			}
		}
		err := syscall.Kill(pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return nil // it is on its way back
		}
		return err
	}), nil
}

// background calls f at once and then each interval, with how often it was
// called before, until the returned function is called, which returns the first
// error.
func background(ctx context.Context, interval time.Duration, f func(n int) error) func() error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var first error
	running.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			if err := f(n); err != nil && first == nil && ctx.Err() == nil {
				first = err
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return func() error { cancel(); running.Wait(); return first }
}

// smallFrontend adds a frontend with a memory limit that it exceeds.
func (w *world) smallFrontend(ctx context.Context, bytes int64) (func() error, error) {
	return w.stack.StartExtra(ctx, fleet.Frontend, "frontend-small", []string{fmt.Sprintf("GOMEMLIMIT=%d", bytes)})
}

// line breaks what is between two.
func (w *world) line(f drill.Fault) (func() error, error) {
	r := fault.Rule{Delay: time.Duration(f.By), Cut: f.Kind == "cut", DropMessages: f.Kind == "drop-messages"}
	if f.Target == "the canary and the balancer" {
		everybody := func(string) bool { return true }
		ends := []func() error{w.obey(w.toAPI, everybody, r)}
		for _, p := range w.toGateways {
			ends = append(ends, w.obey(p, everybody, r))
		}
		return func() error {
			var failed error
			for _, end := range ends {
				failed = errors.Join(failed, end())
			}
			return failed
		}, nil
	}
	if !strings.HasSuffix(f.Target, " and Redis") && f.Kind != "drop-messages" {
		return nil, fmt.Errorf("runner: nothing is between %q", f.Target)
	}
	owners, err := w.owners(f.Target)
	if err != nil {
		return nil, err
	}
	return w.obey(w.toRedis, owners, r), nil
}

// many is what is drawn on a canvas of its own so that who does not read has
// much to miss.
var many = load.Painting{Canvas: "many", Side: 200, Clients: 4, Pixels: 400, Every: 80 * time.Millisecond}

func (w *world) clients(ctx context.Context, f drill.Fault) (func() error, error) {
	urls, err := w.gateways()
	if err != nil {
		return nil, err
	}
	switch f.Kind {
	case "clients-mute", "refuse-connections":
		return fault.Mute(ctx, urls, f.Clients).Stop, nil
	case "clients-crowd":
		return fault.Crowd(ctx, urls[0], f.Clients).Stop, nil
	case "clients-rubbish":
		return fault.Rubbish(ctx, urls, f.Clients, f.PerSecond).Stop, nil
	case "clients-flap":
		return fault.Flapping(ctx, urls, f.Clients, time.Duration(f.Every), time.Duration(f.Away)).Stop, nil
	}
	if err := w.create(ctx, many.Canvas, many.Side); err != nil {
		return nil, err
	}
	stop, err := load.Paint(ctx, urls, many)
	if err != nil {
		return nil, err
	}
	for i := range urls {
		urls[i] += "?canvas=" + many.Canvas
	}
	deaf := fault.Deaf(ctx, urls, f.Clients)
	return func() error { return errors.Join(deaf.Stop(), stop()) }, nil
}
