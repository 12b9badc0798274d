package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopTime is how long a program may take to stop before it is killed.
const stopTime = 15 * time.Second

// Process is a program that this one starts. It can be stopped and started
// again, with the same arguments. Its methods may be called by any goroutine,
// Start and Stop not at the same time.
type Process struct {
	Name string
	path string
	args []string
	env  []string // on top of this process's environment
	log  string   // file that takes what it writes, appended to

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{} // closed when the program has ended
	err   error         // with which; read it when ended is closed
}

// Start starts the program, and returns when it runs. An error means that it
// could not be started.
func (p *Process) Start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = processAttributes()
	ended := make(chan struct{})
	started := make(chan error, 1)
	go func() {
		defer close(ended)
		defer log.Close() //nolint:errcheck // only a log
		// Linux counts the thread that starts a child as its parent, and signals
		// the child when that thread ends: keep it until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("stack: %s: %w", p.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.ended = cmd, ended
	return nil
}

// PID returns the process id, or 0 when the program does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	select {
	case <-p.ended:
		return 0
	default:
		return p.cmd.Process.Pid
	}
}

// Ended is closed when the program that was started last has ended.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// Signal sends a signal to the program, and to nothing else.
func (p *Process) Signal(sig syscall.Signal) error {
	pid := p.PID()
	if pid == 0 {
		return fmt.Errorf("stack: %s does not run", p.Name)
	}
	return syscall.Kill(pid, sig)
}

// Stop asks the program to stop and waits until it has. What does not stop in
// time is killed, which is an error; to have stopped already is none.
func (p *Process) Stop() error {
	pid := p.PID()
	if pid == 0 {
		return nil
	}
	_ = syscall.Kill(pid, syscall.SIGCONT) // who is held cannot hear
	_ = syscall.Kill(pid, syscall.SIGTERM)
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-p.Ended():
		return nil
	case <-timer.C:
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	<-p.Ended()
	return fmt.Errorf("stack: %s did not stop within %v and was killed", p.Name, stopTime)
}

// Kill ends the program at once and waits until it has ended.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.Ended()
	return nil
}

// poll is how often something is looked at while it is awaited.
const poll = 50 * time.Millisecond

// await waits until ready returns nil. It fails when ctx or the program ends
// first.
func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	var ended <-chan struct{}
	if p != nil {
		ended = p.Ended()
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ended:
			return fmt.Errorf("stack: %s has ended (%w); its log: %s", p.Name, errors.Join(p.err, err), p.log)
		case <-tick.C:
		}
	}
}

// Group makes a command the head of a group of its own, and lets its context
// end all of the group.
func Group(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}
