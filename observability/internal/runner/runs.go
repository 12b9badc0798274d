package runner

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cloud-pixel/playground/observability/internal/drill"
)

// Run is one or several drills whose faults do not meet.
type Run struct {
	Name   string
	Drills []drill.Drill
}

// Runs puts drills with the same word (shared) into one run, in the order of
// the catalogue.
func Runs(all []drill.Drill) []Run {
	var runs []Run
	for _, d := range all {
		name := d.Shared
		if name == "" {
			name = d.Alert
		}
		i := slices.IndexFunc(runs, func(r Run) bool { return r.Name == name })
		if i < 0 {
			i = len(runs)
			runs = append(runs, Run{Name: name})
		}
		runs[i].Drills = append(runs[i].Drills, d)
	}
	return runs
}

// env are the settings of the services that the drills of the run ask for.
func (r Run) env() ([]string, error) {
	with := map[string]string{}
	for _, d := range r.Drills {
		for name, value := range d.Fault.With {
			if other, ok := with[name]; ok && other != value {
				return nil, fmt.Errorf("runner: the run %s has %s=%s and %s", r.Name, name, other, value)
			}
			with[name] = value
		}
	}
	var env []string
	for _, name := range slices.Sorted(maps.Keys(with)) {
		env = append(env, name+"="+with[name])
	}
	return env, nil
}

// limits are those that rules compare with, where the run's settings have
// other ones than the deployment.
func (r Run) limits() (map[string]float64, error) {
	limits := map[string]float64{}
	for _, d := range r.Drills {
		if text, ok := d.Fault.With["LOG_MAX_ENTRIES"]; ok {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("runner: %s: %w", d.Alert, err)
			}
			limits["log_entries"] = n
		}
	}
	return limits, nil
}

// traces tells whether the run needs a collector and what is behind it.
func (r Run) traces() bool {
	return slices.ContainsFunc(r.Drills, func(d drill.Drill) bool { return d.Fault.Kind == "collector-without-backend" })
}

// tolerated are the alerts that may arrive besides those that are expected:
// while the faults last, and, with what is kept back meanwhile, afterwards.
func (r Run) tolerated() (during, after map[string]bool) {
	during, after = map[string]bool{"Watchdog": true}, map[string]bool{}
	for _, d := range r.Drills {
		during[d.Alert] = true
		for _, name := range d.Also {
			during[name] = true
		}
	}
	for name := range during {
		after[name] = true
	}
	for _, d := range r.Drills {
		for _, name := range d.Silent {
			after[name] = true
		}
	}
	return during, after
}
