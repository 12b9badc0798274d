// Package fleet runs the playground the way its users do, as a program, and
// knows its processes: where each listens, what it uses, how to signal it. The
// proofs and the load tools stand on it; services do not know it.
//
// It sends load and signals to nobody but the processes of the playground that
// it was given, which listen on this machine.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Options of a fleet. Only Program is required.
type Options struct {
	// Program is the playground's binary.
	Program string
	// Gateways, APIs and Frontends are numbers of processes, at least one of
	// each.
	Gateways, APIs, Frontends int
	// Redis is the URL of a server that runs already; empty: the playground
	// starts one of its own, on data that goes when the fleet is stopped.
	Redis string
	// Canvas is the size of the default canvas as WIDTHxHEIGHT; empty: 50x50.
	Canvas string
	// Env is added to the environment of this process, as NAME=value. Of that
	// environment REDIS_URL and REDIS_HOST are not passed on.
	Env []string
	// Log takes what the processes log; nil drops it.
	Log io.Writer
}

// Fleet is a playground that runs. Its methods are safe for concurrent use.
type Fleet struct {
	path  string // of the state file
	dir   string // to remove at the end, or ""
	cmd   *exec.Cmd
	ended chan struct{} // the program has
	err   error         // with which, once ended is closed

	stopOnce sync.Once
	stopErr  error
}

// poll is how often a state file is looked at while something is awaited.
const poll = 10 * time.Millisecond

// stopTime is how long a playground may take to stop before it is killed.
const stopTime = time.Minute

// Start starts a playground. It returns at once; see [Fleet.Ready].
func Start(o Options) (*Fleet, error) {
	dir, err := os.MkdirTemp("", "pixel-fleet-")
	if err != nil {
		return nil, fmt.Errorf("fleet: %w", err)
	}
	f := &Fleet{path: filepath.Join(dir, "state.json"), dir: dir, ended: make(chan struct{})}
	args := []string{
		"-addr", "127.0.0.1:0", "-state", f.path,
		"-gateways", strconv.Itoa(max(1, o.Gateways)), "-apis", strconv.Itoa(max(1, o.APIs)), "-frontends", strconv.Itoa(max(1, o.Frontends)),
	}
	if o.Redis != "" {
		args = append(args, "-redis", o.Redis)
	} else {
		args = append(args, "-data", filepath.Join(dir, "data"))
	}
	if o.Canvas != "" {
		args = append(args, "-canvas", o.Canvas)
	}
	f.cmd = exec.Command(o.Program, args...)
	f.cmd.Env = append(os.Environ(), "REDIS_URL=", "REDIS_HOST=", "RESCUE_DIR="+filepath.Join(dir, "rescue"))
	f.cmd.Env = append(f.cmd.Env, o.Env...)
	f.cmd.Stderr = o.Log
	// An interrupt from the terminal is for the tool, which then stops us.
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := f.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("fleet: %w", err), os.RemoveAll(dir))
	}
	go func() {
		f.err = f.cmd.Wait()
		close(f.ended)
	}()
	return f, nil
}

// Attach returns the fleet that a state file tells of. Stop leaves it alone.
func Attach(path string) (*Fleet, error) {
	if _, err := ReadState(path); err != nil {
		return nil, err
	}
	return &Fleet{path: path, ended: make(chan struct{})}, nil
}

// State returns what runs now.
func (f *Fleet) State() (State, error) { return ReadState(f.path) }

// StatePath returns the state file.
func (f *Fleet) StatePath() string { return f.path }

// PID returns the process id of the playground itself, 0 after [Attach].
func (f *Fleet) PID() int {
	if f.cmd == nil {
		return 0
	}
	return f.cmd.Process.Pid
}

// Await waits until the state satisfies a condition. It fails when ctx or the
// playground ends first.
func (f *Fleet) Await(ctx context.Context, what string, ok func(State) bool) (State, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	var last State
	for {
		s, err := f.State()
		switch {
		case err == nil && ok(s):
			return s, nil
		case err == nil:
			last = s
		case !errors.Is(err, os.ErrNotExist):
			return s, err
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("fleet: %s: %w; what ran then: %+v", what, ctx.Err(), last.Processes)
		case <-f.ended:
			return last, fmt.Errorf("fleet: %s: the playground has ended: %w", what, f.err)
		case <-tick.C:
		}
	}
}

// Ready waits until as many processes as were asked for listen.
func (f *Fleet) Ready(ctx context.Context, gateways, apis, frontends int) (State, error) {
	return f.Await(ctx, "waiting for all processes", func(s State) bool {
		return len(s.Of(Gateway)) == gateways && len(s.Of(API)) == apis && len(s.Of(Frontend)) == frontends
	})
}

// Signal sends a signal to the process of a pod.
func (f *Fleet) Signal(pod string, sig syscall.Signal) error {
	s, err := f.State()
	if err != nil {
		return err
	}
	p, ok := s.Pod(pod)
	if !ok {
		return fmt.Errorf("fleet: no process of pod %q listens", pod)
	}
	if p.PID == f.PID() || p.PID <= 1 {
		return fmt.Errorf("fleet: pod %q is not a process of its own", pod)
	}
	return syscall.Kill(p.PID, sig)
}

// GatewayURLs returns the WebSocket addresses of the gateways themselves, past
// the playground's proxy. An address of another machine is an error.
func (s State) GatewayURLs() ([]string, error) {
	var urls []string
	for _, p := range s.Of(Gateway) {
		host, _, err := net.SplitHostPort(p.Addr)
		if err != nil {
			return nil, fmt.Errorf("fleet: %w", err)
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("fleet: %s is not on this machine: load is sent to loopback addresses only", p.Addr)
		}
		urls = append(urls, "ws://"+p.Addr+"/ws")
	}
	if len(urls) == 0 {
		return nil, errors.New("fleet: no gateway runs")
	}
	return urls, nil
}

// Stop stops a playground that [Start] started, in an orderly way, and removes
// its data. It may be called more than once.
func (f *Fleet) Stop() error {
	f.stopOnce.Do(func() { f.stopErr = f.stop() })
	return f.stopErr
}

func (f *Fleet) stop() error {
	if f.cmd == nil {
		return nil
	}
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	var late error
	select {
	case <-f.ended:
	case <-timer.C:
		late = fmt.Errorf("fleet: the playground did not stop within %v", stopTime)
		_ = f.cmd.Process.Kill()
		<-f.ended
	}
	return errors.Join(late, f.err, os.RemoveAll(f.dir))
}
