package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// sleeper starts a process that a test may break. It ends with the test.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

// attached returns an injector for a state file that the test writes.
func attached(t *testing.T, s fleet.State) (*Local, func(fleet.State)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.json")
	write := func(s fleet.State) {
		if err := fleet.WriteState(path, s); err != nil {
			t.Fatal(err)
		}
	}
	write(s)
	f, err := fleet.Attach(path)
	if err != nil {
		t.Fatal(err)
	}
	return NewLocal(f), write
}

func TestLocalKillAndRecovery(t *testing.T) {
	a, b := sleeper(t), sleeper(t)
	state := fleet.State{Processes: []fleet.Process{
		{Service: "gateway", Pod: "gateway-0", PID: a.Process.Pid}, {Service: "gateway", Pod: "gateway-1", PID: b.Process.Pid},
	}}
	local, write := attached(t, state)
	pods, err := local.Targets(t.Context(), Gateway)
	if err != nil || !slices.Equal(pods, []string{"gateway-0", "gateway-1"}) {
		t.Fatalf("%v, %v", pods, err)
	}
	chaos := Chaos{Injector: local}
	done := make(chan error, 1)
	go func() { done <- chaos.Kill(t.Context(), Gateway, "gateway-0") }()
	err = a.Wait()
	if status, ok := a.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended by %v", err)
	}
	// Before it is noticed the file still tells of the one that is dead; then
	// it is missing; then there is another one.
	write(fleet.State{Processes: state.Processes[1:]})
	select {
	case err := <-done:
		t.Fatalf("recovered without a gateway: %v", err)
	default:
	}
	write(fleet.State{Processes: []fleet.Process{{Service: "gateway", Pod: "gateway-0", PID: sleeper(t).Process.Pid}, state.Processes[1]}})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if e := chaos.Events(); len(e) != 1 || e[0].Recovered.IsZero() {
		t.Errorf("%+v", e)
	}
}

func TestLocalPause(t *testing.T) {
	redis := sleeper(t)
	local, _ := attached(t, fleet.State{Redis: fleet.Redis{PID: redis.Process.Pid}})
	resume, err := local.Pause(t.Context(), Redis)
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return paused(t, redis) })
	for range 2 {
		if err := resume(); err != nil {
			t.Error(err)
		}
	}
	await(t, func() bool { return !paused(t, redis) })
	// Whatever ends the load, nothing stays paused.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	chaos := Chaos{Injector: local}
	if err := chaos.Pause(ctx, Redis, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	await(t, func() bool { return !paused(t, redis) })
}

// paused tells whether a process stands still (proc(5)).
func paused(t *testing.T, c *exec.Cmd) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), ") T ")
}

// Nothing is signalled but processes of their own that the file names.
func TestLocalRefuses(t *testing.T) {
	one := sleeper(t).Process.Pid
	for name, test := range map[string]struct {
		state  fleet.State
		target string
		want   string
	}{
		"nobody":        {fleet.State{}, "gateway-0", "listens"},
		"no process id": {fleet.State{Processes: []fleet.Process{{Service: "gateway", Pod: "gateway-0"}}}, "gateway-0", "no process"},
		"all processes": {fleet.State{Processes: []fleet.Process{{Service: "gateway", Pod: "gateway-0", PID: -1}}}, "gateway-0", "no process"},
		"init":          {fleet.State{Redis: fleet.Redis{PID: 1}}, Redis, "no process"},
		"one for all": {fleet.State{Processes: []fleet.Process{
			{Service: "gateway", Pod: "gateway-0", PID: one}, {Service: "api", Pod: "api-0", PID: one},
		}}, "gateway-0", "one process"},
	} {
		t.Run(name, func(t *testing.T) {
			local, _ := attached(t, test.state)
			if err := local.Kill(t.Context(), test.target); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	local, _ := attached(t, fleet.State{})
	if _, err := local.Targets(t.Context(), Redis); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a Redis that is not the playground's: %v", err)
	}
	if err := local.Recovered(t.Context(), Gateway, "gateway-0"); err == nil {
		t.Error("recovered from nothing")
	}
}
