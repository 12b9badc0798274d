// Package drill reads the catalogue of drills.
package drill

import (
	"errors"
	"fmt"
	"path/filepath"
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
}

// Panel is where the fault is to be seen.
type Panel struct {
	Dashboard string `yaml:"dashboard"`
	Title     string `yaml:"title"`
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
		case d.Clears == 0 && d.Fault.Kind != "none":
			problems = append(problems, fmt.Errorf("drill: %s: clears must be given", d.Alert))
		}
	}
	return all, errors.Join(problems...)
}
