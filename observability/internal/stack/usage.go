package stack

import (
	"cmp"
	"slices"

	"github.com/cloud-pixel/playground/services/fleet"
)

// Memory is what a part has in memory.
type Memory struct {
	Name  string
	Bytes int64 // resident
}

// Memory returns what each part has in memory now, the greatest first, the
// services and their Redis one by one (Linux).
func (s *Stack) Memory() ([]Memory, error) {
	now, err := fleet.ReadState(s.State)
	if err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for _, p := range now.Processes {
		pids[p.Pod] = p.PID
	}
	if now.Redis.PID != 0 {
		pids["redis"] = now.Redis.PID
	}
	s.mu.Lock()
	for name, p := range s.parts {
		if pid := p.PID(); pid != 0 {
			pids[name] = pid
		}
	}
	s.mu.Unlock()
	var all []Memory
	for name, pid := range pids {
		used, err := fleet.UsageOf(pid)
		if err != nil {
			continue // it has just ended
		}
		all = append(all, Memory{name, used.Memory})
	}
	slices.SortFunc(all, func(a, b Memory) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return all, nil
}
