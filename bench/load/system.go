package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// start brings up what is measured, or attaches to what runs. The caller stops
// it.
func start(ctx context.Context, o options) (*fleet.Fleet, fleet.State, error) {
	if o.state != "" {
		f, err := fleet.Attach(o.state)
		if err != nil {
			return nil, fleet.State{}, err
		}
		s, err := f.State()
		return f, s, err
	}
	f, err := fleet.Start(fleet.Options{
		Program: o.playground, Gateways: o.gateways, APIs: o.apis, Frontends: 1,
		Env: []string{"LOG_LEVEL=error"}, Log: os.Stderr,
	})
	if err != nil {
		return nil, fleet.State{}, fmt.Errorf("%w (build it with 'make build')", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s, err := f.Ready(ctx, o.gateways, o.apis, 1)
	if err != nil {
		_ = f.Stop() // the error above says more
		return nil, s, err
	}
	return f, s, nil
}

// usages returns what each kind of process has used.
func usages(s fleet.State) (map[string]fleet.Usage, error) {
	all := make(map[string]fleet.Usage)
	seen := map[int]bool{}
	add := func(kind string, pid int) error {
		if pid == 0 || seen[pid] {
			return nil
		}
		seen[pid] = true
		u, err := fleet.UsageOf(pid)
		if err != nil {
			return err
		}
		sum := all[kind]
		sum.CPU += u.CPU
		sum.Memory += u.Memory
		all[kind] = sum
		return nil
	}
	for _, p := range s.Processes {
		if err := add(p.Service, p.PID); err != nil {
			return nil, err
		}
	}
	if err := add("redis", s.Redis.PID); err != nil {
		return nil, err
	}
	return all, add("generator", os.Getpid())
}
