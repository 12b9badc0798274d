package stack

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// target is an entry of Prometheus' file_sd_configs.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// targets keeps the file of targets up to date. Safe for concurrent use.
type targets struct {
	path  string
	state string // file of the playground

	mu    sync.Mutex
	extra map[string]target // by pod: what is no process of the playground
	last  string            // what stands in the file
}

// set adds a target, or changes its address.
func (t *targets) set(job, pod, addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.extra[pod] = target{[]string{addr}, map[string]string{"job": job, "pod": pod}}
}

// drop takes a target away.
func (t *targets) drop(pod string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.extra, pod)
}

// follow writes the file whenever something has changed, until ctx ends.
func (t *targets) follow(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = t.write() // the next time is soon
		}
	}
}

// write writes the file if it differs. While there is no state file, as when
// the playground is replaced, there are no processes.
func (t *targets) write() error {
	s, err := fleet.ReadState(t.state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []target{}
	for _, p := range s.Processes {
		all = append(all, target{[]string{p.Addr}, map[string]string{"job": p.Service, "pod": p.Pod}})
	}
	for _, pod := range slices.Sorted(maps.Keys(t.extra)) {
		all = append(all, t.extra[pod])
	}
	content, err := json.MarshalIndent(all, "", "  ")
	if err != nil || string(content) == t.last {
		return err
	}
	// Whole or not at all: Prometheus may be reading.
	next := filepath.Join(filepath.Dir(t.path), "next")
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, t.path); err != nil {
		return err
	}
	t.last = string(content)
	return nil
}
