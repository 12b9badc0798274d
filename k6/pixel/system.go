package pixel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/cloud-pixel/playground/services/fleet"
)

// playground tells what the state file of a playground says: where to connect,
// and what it consists of. It returns null when there is no such file.
func (i *instance) playground(path string) any {
	state, err := fleet.ReadState(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var gateways []string
	if err == nil {
		gateways, err = state.GatewayURLs()
	}
	if err != nil {
		i.throw(err)
	}
	apis := []string{}
	for _, p := range state.Of(fleet.API) {
		apis = append(apis, "http://"+p.Addr)
	}
	pids := map[int]bool{}
	processes := []map[string]any{}
	for _, p := range state.Processes {
		pids[p.PID] = true
		processes = append(processes, map[string]any{"service": p.Service, "pod": p.Pod, "pid": p.PID, "addr": p.Addr})
	}
	redis := "a Redis that runs"
	if state.Redis.PID != 0 {
		redis = "its own Redis"
	}
	return map[string]any{
		"ws": "ws" + strings.TrimPrefix(state.URL, "http") + "/ws", "api": state.URL, "gateways": gateways, "apis": apis, "processes": processes,
		"separate": len(pids) > 1,
		"description": fmt.Sprintf("the playground of %s: %d gateways, %d apis, %d frontends in %d processes behind one port, %s",
			path, len(gateways), len(apis), len(state.Of(fleet.Frontend)), len(pids), redis),
	}
}

// usage tells what processes have used, together: of the given ids, or this
// one's own. One that has just ended is left out.
func usage(pids ...int) map[string]any {
	if len(pids) == 0 {
		pids = []int{os.Getpid()}
	}
	var cpu float64
	var memory int64
	for _, pid := range pids {
		u, err := fleet.UsageOf(pid)
		if err != nil {
			continue
		}
		cpu += u.CPU.Seconds()
		memory += u.Memory
	}
	return map[string]any{"cpu": cpu, "memory": memory}
}

// machine describes this one.
func machine() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if left, right, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(left) == "model name" {
				name += ", " + strings.TrimSpace(right)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d processors, %s; clients and services share it where they are on one machine", name, runtime.NumCPU(), runtime.Version())
}
