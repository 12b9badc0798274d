package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// system is what is measured, as the playground's state file tells.
type system struct {
	URL   string `json:"url"`
	Redis struct {
		URL string `json:"url"`
		PID int    `json:"pid"`
	} `json:"redis"`
	Processes []struct {
		Service string `json:"service"`
		Pod     string `json:"pod"`
		PID     int    `json:"pid"`
		Addr    string `json:"addr"`
	} `json:"processes"`

	stop func()
}

// find reads the state of a running playground, or starts one.
func find(ctx context.Context, o options) (*system, error) {
	if o.state != "" {
		s, err := readState(o.state)
		if err != nil {
			return nil, err
		}
		s.stop = func() {}
		return s, nil
	}
	dir, err := os.MkdirTemp("", "pixel-load-")
	if err != nil {
		return nil, err
	}
	state := filepath.Join(dir, "state.json")
	cmd := exec.Command(o.playground, "-addr", "127.0.0.1:0", "-data", filepath.Join(dir, "data"), "-state", state,
		"-gateways", strconv.Itoa(o.gateways), "-apis", strconv.Itoa(o.apis), "-frontends", "1")
	cmd.Env = append(os.Environ(), "LOG_LEVEL=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (build it with 'make build')", err)
	}
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	for end := time.Now().Add(30 * time.Second); ; {
		if s, err := readState(state); err == nil && len(s.Processes) == o.gateways+o.apis+1 {
			s.stop = stop
			return s, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			stop()
			return nil, errors.New("the playground did not come up")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func readState(path string) (*system, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &system{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// gateways returns the addresses to dial: the gateways themselves, so that the
// playground's proxy, a development tool, is not what is measured.
func (s *system) gateways() ([]string, error) {
	var urls []string
	for _, p := range s.Processes {
		if p.Service != "gateway" {
			continue
		}
		u := "ws://" + p.Addr + "/ws"
		parsed, err := url.Parse(u)
		if err != nil {
			return nil, err
		}
		if ip := net.ParseIP(parsed.Hostname()); ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("%s is not on this machine: load is sent to loopback addresses only", p.Addr)
		}
		urls = append(urls, u)
	}
	if len(urls) == 0 {
		return nil, errors.New("no gateway runs")
	}
	return urls, nil
}

// usage is what the processes of a kind have used.
type usage struct {
	cpu time.Duration
	rss int64 // bytes
}

// usages returns the use of each kind of process, by the kernel's account.
func (s *system) usages() map[string]usage {
	all := make(map[string]usage)
	seen := map[int]bool{}
	add := func(kind string, pid int) {
		if pid == 0 || seen[pid] {
			return
		}
		seen[pid] = true
		u := all[kind]
		cpu, rss := read(pid)
		u.cpu += cpu
		u.rss += rss
		all[kind] = u
	}
	for _, p := range s.Processes {
		add(p.Service, p.PID)
	}
	add("redis", s.Redis.PID)
	add("generator", os.Getpid())
	return all
}

// read returns the CPU time and memory of a process; zeros where the system
// has no /proc. The kernel counts in ticks of 10 ms (proc(5)).
func read(pid int) (cpu time.Duration, rss int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces
	fields := strings.Fields(rest)
	if len(fields) < 22 {
		return 0, 0
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	return time.Duration(number(11)+number(12)) * 10 * time.Millisecond, number(21) * int64(os.Getpagesize())
}
