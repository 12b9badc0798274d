package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/cloud-pixel/playground/services/fleet"
)

// Local breaks processes of a playground on this machine. The playground must
// run its services as processes of their own, and starts again what ends.
type Local struct {
	fleet *fleet.Fleet

	mu     sync.Mutex
	broken map[string]broken
}

// broken is a target as it was when it was broken.
type broken struct{ pid, ready int }

// NewLocal returns an injector for a playground.
func NewLocal(f *fleet.Fleet) *Local { return &Local{fleet: f, broken: map[string]broken{}} }

// Targets names the pods of a service that listen.
func (l *Local) Targets(_ context.Context, service string) ([]string, error) {
	s, err := l.fleet.State()
	if err != nil {
		return nil, err
	}
	if service == Redis {
		if s.Redis.PID == 0 {
			return nil, fmt.Errorf("%w: the playground did not start its Redis", ErrUnsupported)
		}
		return []string{Redis}, nil
	}
	var pods []string
	for _, p := range s.Of(service) {
		pods = append(pods, p.Pod)
	}
	return pods, nil
}

// Kill sends SIGKILL.
func (l *Local) Kill(_ context.Context, target string) error {
	return l.signal(target, syscall.SIGKILL)
}

// Stop sends SIGTERM.
func (l *Local) Stop(_ context.Context, target string) error {
	return l.signal(target, syscall.SIGTERM)
}

// Pause sends SIGSTOP, and SIGCONT to resume.
func (l *Local) Pause(_ context.Context, target string) (func() error, error) {
	pid, err := l.note(target)
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("faults: pausing %s: %w", target, err)
	}
	return func() error {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("faults: resuming %s: %w", target, err)
		}
		return nil
	}, nil
}

func (l *Local) signal(target string, signal syscall.Signal) error {
	pid, err := l.note(target)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("faults: %v to %s: %w", signal, target, err)
	}
	return nil
}

// note returns the process of a target, and remembers it as broken.
func (l *Local) note(target string) (int, error) {
	s, err := l.fleet.State()
	if err != nil {
		return 0, err
	}
	b := broken{pid: s.Redis.PID, ready: 1}
	if target != Redis {
		p, ok := s.Pod(target)
		if !ok {
			return 0, fmt.Errorf("faults: no process of pod %q listens", target)
		}
		for _, other := range s.Processes {
			if other.PID == p.PID && other.Pod != p.Pod {
				return 0, fmt.Errorf("%w: the playground runs everything in one process; start it with -gateways, -apis or -frontends", ErrUnsupported)
			}
		}
		b = broken{pid: p.PID, ready: len(s.Of(p.Service))}
	}
	// A process id of 1 or less means many processes to kill(2).
	if b.pid <= 1 || b.pid == l.fleet.PID() {
		return 0, fmt.Errorf("%w: %s is no process of the playground's", ErrUnsupported, target)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken[target] = b
	return b.pid, nil
}

// Recovered waits until the target listens again as another process, beside as
// many others as before.
func (l *Local) Recovered(ctx context.Context, service, target string) error {
	l.mu.Lock()
	b, ok := l.broken[target]
	l.mu.Unlock()
	if !ok {
		return fmt.Errorf("faults: %s was not broken here", target)
	}
	_, err := l.fleet.Await(ctx, target+" is back", func(s fleet.State) bool {
		if target == Redis {
			return s.Redis.PID != 0 && s.Redis.PID != b.pid
		}
		p, up := s.Pod(target)
		return up && p.PID != b.pid && len(s.Of(service)) >= b.ready
	})
	return err
}
