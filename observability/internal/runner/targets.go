package runner

import (
	"fmt"
	"strings"

	"github.com/cloud-pixel/playground/services/fleet"
)

// pods returns whom the words of a target mean: "every gateway", or "one
// frontend", which is the last of them; what follows the second word is the
// other end of something between two.
func (w *world) pods(target string) ([]fleet.Process, error) {
	words := strings.Fields(target)
	if len(words) < 2 || words[0] != "one" && words[0] != "every" {
		return nil, fmt.Errorf("runner: %q names neither one nor every process of a service", target)
	}
	now, err := fleet.ReadState(w.stack.State)
	if err != nil {
		return nil, err
	}
	all := now.Of(strings.TrimSuffix(words[1], "'s"))
	if len(all) == 0 {
		return nil, fmt.Errorf("runner: %q: there is no process of that service", target)
	}
	if words[0] == "one" {
		return all[len(all)-1:], nil
	}
	return all, nil
}

// owners returns a condition for the pods that are meant.
func (w *world) owners(target string) (func(string) bool, error) {
	all, err := w.pods(target)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, p := range all {
		names[p.Pod] = true
	}
	return func(pod string) bool { return names[pod] }, nil
}
