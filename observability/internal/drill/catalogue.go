// Package drill reads the catalogue of drills.
package drill

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/cloud-pixel/playground/observability/internal/rules"
)

// Drill is one entry of drills/catalogue.yaml, which explains the fields.
type Drill struct {
	Alert  string   `yaml:"alert"`
	Fault  Fault    `yaml:"fault"`
	Expect Expect   `yaml:"expect"`
	Also   []string `yaml:"also"`
	Silent []string `yaml:"silent"`
	Panel  Panel    `yaml:"panel"`
	Fills  []string `yaml:"fills"` // queries of documents
	Clears Clears   `yaml:"clears"`
	Shared string   `yaml:"shared"`
}

// Fault is what is broken. Only the fields of its kind are used.
type Fault struct {
	Kind      string            `yaml:"kind"`
	Target    string            `yaml:"target"`
	For       model.Duration    `yaml:"for"`
	By        model.Duration    `yaml:"by"`
	Every     model.Duration    `yaml:"every"`
	Away      model.Duration    `yaml:"away"`
	Times     int               `yaml:"times"`
	Clients   int               `yaml:"clients"`
	PerSecond int               `yaml:"per_second"`
	Bytes     int64             `yaml:"bytes"`
	Headroom  float64           `yaml:"headroom"`
	With      map[string]string `yaml:"with"` // settings of the services under the drill
}

// Expect is the alert that must fire.
type Expect struct {
	Within   model.Duration `yaml:"within"`
	Severity string         `yaml:"severity"`
	SLO      string         `yaml:"slo"`
	Job      string         `yaml:"job"` // of what the alert is about
}

// Labels returns those that the alert must have; empty ones may be anything.
func (d Drill) Labels() map[string]string {
	return map[string]string{"alertname": d.Alert, "severity": d.Expect.Severity, "slo": d.Expect.SLO, "job": d.Expect.Job}
}

// Panel is where the fault is to be seen, and as what: one of Above, Below and
// Empty is given.
type Panel struct {
	Dashboard string            `yaml:"dashboard"`
	Title     string            `yaml:"title"`
	Query     int               `yaml:"query"` // which of its queries, from 1 on; 0: any
	Where     map[string]string `yaml:"where"` // labels of the series that count, as regular expressions
	Above     *float64          `yaml:"above"` // the greatest value of a series
	Below     *float64          `yaml:"below"` // the least value of a series
	Empty     bool              `yaml:"empty"` // no series at all
}

// String says what is to be seen.
func (p Panel) String() string {
	what := p.Dashboard + ": " + p.Title
	for _, name := range slices.Sorted(maps.Keys(p.Where)) {
		what += fmt.Sprintf(", %s=%s", name, p.Where[name])
	}
	switch {
	case p.Above != nil:
		return fmt.Sprintf("%s above %v", what, *p.Above)
	case p.Below != nil:
		return fmt.Sprintf("%s below %v", what, *p.Below)
	default:
		return what + " empty"
	}
}

// conditions returns how many there are of which one must be given.
func (p Panel) conditions() int {
	n := 0
	for _, given := range []bool{p.Above != nil, p.Below != nil, p.Empty} {
		if given {
			n++
		}
	}
	return n
}

// Clears is how soon an alert must have cleared; zero: never (Watchdog).
type Clears time.Duration

// UnmarshalYAML reads a duration or "never".
func (c *Clears) UnmarshalYAML(node *yaml.Node) error {
	if node.Value == "never" {
		*c = 0
		return nil
	}
	d, err := model.ParseDuration(node.Value)
	*c = Clears(d)
	return err
}

// kinds of faults.
var kinds = map[string]bool{
	"none": true, "kill": true, "restart-loop": true, "stop": true,
	"redis-stop": true, "redis-maxmemory": true, "redis-roll-back": true, "redis-write-rubbish": true,
	"delay": true, "cut": true, "drop-messages": true,
	"clients-deaf": true, "clients-mute": true, "clients-flap": true, "clients-crowd": true, "clients-rubbish": true,
	"memory-limit": true, "refuse-connections": true, "corrupt-replica": true, "lease-held": true,
	"collector-without-backend": true,
}

// Load reads and checks the catalogue.
func Load(root string) ([]Drill, error) {
	var all []Drill
	if err := rules.Read(filepath.Join(root, "drills", "catalogue.yaml"), &all); err != nil {
		return nil, err
	}
	var problems []error
	for _, d := range all {
		switch {
		case !kinds[d.Fault.Kind]:
			problems = append(problems, fmt.Errorf("drill: %s: there is no fault %q", d.Alert, d.Fault.Kind))
		case d.Expect.Within <= 0:
			problems = append(problems, fmt.Errorf("drill: %s: within must be given", d.Alert))
		case d.Panel.conditions() != 1:
			problems = append(problems, fmt.Errorf("drill: %s: what its panel shows must be given: above, below or empty", d.Alert))
		case d.Clears == 0 && d.Fault.Kind != "none":
			problems = append(problems, fmt.Errorf("drill: %s: clears must be given", d.Alert))
		}
	}
	return all, errors.Join(problems...)
}

// String says what is done.
func (f Fault) String() string {
	words := []string{f.Kind}
	add := func(given bool, format string, value any) {
		if given {
			words = append(words, fmt.Sprintf(format, value))
		}
	}
	add(f.Target != "", "%s", f.Target)
	add(f.Clients != 0, "%d clients", f.Clients)
	add(f.PerSecond != 0, "%d a second each", f.PerSecond)
	add(f.Times != 0, "%d times", f.Times)
	add(f.By != 0, "by %s", f.By)
	add(f.Every != 0, "every %s", f.Every)
	add(f.Away != 0, "away for %s", f.Away)
	add(f.Bytes != 0, "%d bytes", f.Bytes)
	add(f.Headroom != 0, "%.0f %% left", 100*f.Headroom)
	for _, name := range slices.Sorted(maps.Keys(f.With)) {
		words = append(words, name+"="+f.With[name])
	}
	return strings.Join(words, ", ")
}
