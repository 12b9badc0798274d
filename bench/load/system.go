package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// system is what is measured: its addresses and its processes.
type system struct {
	urls []string // of gateways
	apis []string // base URLs
	// processes by kind. The kinds in servers count as the system's cost, the
	// others only as known.
	processes map[string][]int
	stops     []func() error // last in, first out
}

// servers are the kinds of processes whose CPU time and memory count: what it
// takes to get a pixel from one client to all others. The page's server and
// the playground that supervises the processes have no part in it.
var servers = []string{"gateway", "api", "redis"}

func (s *system) stop() (err error) {
	for i := len(s.stops) - 1; i >= 0; i-- {
		err = errors.Join(err, s.stops[i]())
	}
	s.stops = nil
	return err
}

// start brings up what is to be measured, fresh, or attaches to what runs. The
// caller stops it.
func start(ctx context.Context, o options) (s *system, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s = &system{processes: map[string][]int{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if o.state != "" {
		f, err := fleet.Attach(o.state)
		if err != nil {
			return s, err
		}
		state, err := f.State()
		if err != nil {
			return s, err
		}
		return s, s.take(state)
	}
	redis := o.redis
	if redis == "" {
		server, err := startRedis(ctx, o.fsync)
		if err != nil {
			return s, err
		}
		s.stops = append(s.stops, server.stop)
		s.processes["redis"] = []int{server.pid()}
		redis = server.url
	}
	if o.system == reference {
		return s, s.startReference(ctx, o, redis)
	}
	env := append([]string{"LOG_LEVEL=error"}, o.env...)
	f, err := fleet.Start(fleet.Options{
		Program: o.playground, Gateways: o.gateways, APIs: o.apis, Frontends: 1, Redis: redis,
		Canvas: fmt.Sprintf("%dx%d", o.width, o.height), Env: env, Log: os.Stderr,
	})
	if err != nil {
		return s, fmt.Errorf("%w (build it with 'make build')", err)
	}
	s.stops = append(s.stops, f.Stop)
	state, err := f.Ready(ctx, o.gateways, o.apis, 1)
	if err != nil {
		return s, err
	}
	s.processes["playground"] = []int{f.PID()}
	return s, s.take(state)
}

// take notes what a state file tells.
func (s *system) take(state fleet.State) (err error) {
	if s.urls, err = state.GatewayURLs(); err != nil {
		return err
	}
	for _, p := range state.Of(fleet.API) {
		s.apis = append(s.apis, "http://"+p.Addr)
	}
	seen := map[int]bool{}
	for _, p := range state.Processes {
		if !seen[p.PID] { // all in one process: it counts once, as a gateway
			seen[p.PID] = true
			s.processes[p.Service] = append(s.processes[p.Service], p.PID)
		}
	}
	if state.Redis.PID != 0 {
		s.processes["redis"] = []int{state.Redis.PID}
	}
	return nil
}

// startReference starts the server on the Centrifuge library.
func (s *system) startReference(ctx context.Context, o options, redis string) error {
	cmd := exec.Command(o.reference, "-addr", "127.0.0.1:0", "-redis", redis, "-width", fmt.Sprint(o.width), "-height", fmt.Sprint(o.height))
	cmd.Args = append(cmd.Args, o.referenceArgs...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w (build it with 'go -C bench/reference build -o ../../build/reference ./centrifuge')", err)
	}
	s.stops = append(s.stops, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		return end(cmd)
	})
	s.processes["gateway"] = []int{cmd.Process.Pid}
	said := make(chan error, 1)
	var hello struct{ URL string }
	go func() { said <- json.NewDecoder(bufio.NewReader(out)).Decode(&hello) }()
	select {
	case err := <-said:
		if err != nil {
			return fmt.Errorf("the reference server did not say where it listens: %w", err)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	s.urls = []string{hello.URL}
	return nil
}

// end waits for a process that was told to stop, and kills it when it takes
// too long.
func end(cmd *exec.Cmd) error {
	late := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	return cmd.Wait()
}

// usages returns what each kind of process has used, this one as generator.
func (s *system) usages() (map[string]fleet.Usage, error) {
	all := make(map[string]fleet.Usage)
	for kind, pids := range s.processes {
		for _, pid := range pids {
			u, err := fleet.UsageOf(pid)
			if err != nil {
				return nil, fmt.Errorf("a %s has ended: %w", kind, err)
			}
			sum := all[kind]
			sum.CPU += u.CPU
			sum.Memory += u.Memory
			all[kind] = sum
		}
	}
	u, err := fleet.UsageOf(os.Getpid())
	all["generator"] = u
	return all, err
}
