package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"
)

// processes makes instances that are processes of their own.
type processes struct {
	// program to start; this one.
	program string
	// grace is how long a process may take to stop before it is killed.
	grace time.Duration
	log   *os.File // the processes' standard error
}

// launch starts the program as a child that is the given service, and returns
// when it has ended. The child's standard input is a pipe on which nothing is
// ever written: its end tells the child to stop, and comes also when this
// program is killed. On the standard output it tells where it listens.
func (p processes) launch(service string, env []string) func(context.Context, listening, func(listening)) error {
	return func(ctx context.Context, at listening, up func(listening)) error {
		cmd := exec.Command(p.program)
		cmd.Env = slices.Concat(os.Environ(), env, at.env(), []string{childVariable + "=" + service})
		cmd.Stderr = p.log
		cmd.SysProcAttr = processAttributes()
		cmd.WaitDelay = time.Second
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		// Linux counts the thread that starts a child as its parent, and signals
		// the child when that thread ends: keep it until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			return err
		}
		var killed *time.Timer
		stopped := make(chan struct{})
		unwatch := context.AfterFunc(ctx, func() {
			defer close(stopped)
			_ = stdin.Close() // closed already when the process has ended
			killed = time.AfterFunc(p.grace, func() { _ = cmd.Process.Kill() })
		})

		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var where listening
			if json.Unmarshal(lines.Bytes(), &where) == nil && where.Addr != "" {
				where.pid = cmd.Process.Pid
				up(where)
			}
		}
		_, _ = io.Copy(io.Discard, stdout) // after a line that is too long
		err = cmd.Wait()
		if !unwatch() {
			<-stopped
			if !killed.Stop() {
				err = errors.Join(err, fmt.Errorf("killed: it did not stop within %s", p.grace))
			}
		}
		return err
	}
}
