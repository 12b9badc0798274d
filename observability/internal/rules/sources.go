package rules

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/cloud-pixel/playground/observability/internal/query"
)

// Sources are the files of observability/alerts.
type Sources struct {
	Deployment Deployment
	Objectives Objectives
	Causes     Causes
}

// Deployment is what Prometheus cannot know of the system by itself.
type Deployment struct {
	Replicas map[string]int     `yaml:"replicas"` // by job: at least so many are to be ready
	Limits   map[string]float64 `yaml:"limits"`   // by name, in the unit that the name ends in
}

// Objectives are the service level objectives.
type Objectives struct {
	Period       model.Duration `yaml:"period"` // of the error budget
	Burns        []Burn         `yaml:"burns"`
	MinBadEvents float64        `yaml:"min_bad_events"` // in five minutes
	Objectives   []Objective    `yaml:"objectives"`
}

// Burn is a pair of windows and how many times faster than evenly over the
// period the budget must burn in both for an alert.
type Burn struct {
	Severity string         `yaml:"severity"`
	Long     model.Duration `yaml:"long"`
	Short    model.Duration `yaml:"short"`
	Factor   float64        `yaml:"factor"`
	For      model.Duration `yaml:"for"`
}

// Objective is one of them. Total, and either Good or Bad, are rates over five
// minutes without labels.
type Objective struct {
	Name      string  `yaml:"name"`
	Alert     string  `yaml:"alert"`     // several objectives may share one
	Dashboard string  `yaml:"dashboard"` // uid
	Objective float64 `yaml:"objective"` // good events of all, in percent
	// Threshold is the bound between good and bad in seconds, where the
	// objective is one of time; 0 elsewhere.
	Threshold    float64 `yaml:"threshold_seconds"`
	What         string  `yaml:"what"` // what bad events are, as the predicate of "3 % of"
	Why          string  `yaml:"why"`
	Total        string  `yaml:"total"`
	Good         string  `yaml:"good"`
	Bad          string  `yaml:"bad"`
	Burns        []Burn  `yaml:"burns"`          // instead of the common ones
	MinBadEvents float64 `yaml:"min_bad_events"` // instead of the common one
}

// Budget returns the share of events that may be bad, from 0 to 1.
func (o Objective) Budget() float64 { return round((100 - o.Objective) / 100) }

// Causes are the alerts on causes.
type Causes struct {
	Groups []struct {
		Name   string  `yaml:"name"`
		Alerts []Cause `yaml:"alerts"`
	} `yaml:"groups"`
}

// Cause is an alert on a cause.
type Cause struct {
	Alert       string         `yaml:"alert"`
	Severity    string         `yaml:"severity"`
	For         model.Duration `yaml:"for"`
	Expr        string         `yaml:"expr"`
	Summary     string         `yaml:"summary"`
	Description string         `yaml:"description"`
	Dashboard   string         `yaml:"dashboard"` // uid
}

// Load reads and checks the sources below observability/.
func Load(root string) (Sources, error) {
	var s Sources
	for name, into := range map[string]any{"deployment": &s.Deployment, "objectives": &s.Objectives, "causes": &s.Causes} {
		if err := Read(filepath.Join(root, "alerts", name+".yaml"), into); err != nil {
			return s, err
		}
	}
	for i, o := range s.Objectives.Objectives {
		if o.Burns == nil {
			s.Objectives.Objectives[i].Burns = s.Objectives.Burns
		}
		if o.MinBadEvents == 0 {
			s.Objectives.Objectives[i].MinBadEvents = s.Objectives.MinBadEvents
		}
	}
	return s, s.validate()
}

// Read decodes a file of YAML, in which every key must be known.
func Read(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("rules: %s: %w", path, err)
	}
	return nil
}

// severities and whether an alert of a burn rate may have them.
var severities = map[string]bool{"critical": true, "warning": true, "none": false}

// windows are those over which error ratios are recorded.
var windows = []model.Duration{hours(0.5), hours(1), hours(2), hours(6), hours(24), hours(72)}

func hours(h float64) model.Duration { return model.Duration(h * float64(time.Hour)) }

func (s Sources) validate() error {
	var problems []error
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf("rules: "+format, args...)) }
	names := map[string]bool{}
	for _, o := range s.Objectives.Objectives {
		if o.Name == "" || names[o.Name] {
			refuse("an objective's name %q is empty or given twice", o.Name)
		}
		names[o.Name] = true
		if o.Objective <= 0 || o.Objective >= 100 {
			refuse("%s: the objective %v is not between 0 and 100 percent", o.Name, o.Objective)
		}
		if o.Alert == "" || o.Dashboard == "" || o.What == "" || o.Why == "" {
			refuse("%s: alert, dashboard, what and why must be given", o.Name)
		}
		if (o.Good == "") == (o.Bad == "") {
			refuse("%s: either good or bad must be given", o.Name)
		}
		for _, text := range []string{o.Total, o.Good + o.Bad} {
			if _, err := query.Parse(text); err != nil {
				refuse("%s: %w", o.Name, err)
			}
		}
		for _, b := range o.Burns {
			if !severities[b.Severity] || !known(b.Long) || (!known(b.Short) && b.Short != model.Duration(5*time.Minute)) || b.Short >= b.Long {
				refuse("%s: a burn of severity %q over %s and %s cannot be", o.Name, b.Severity, b.Long, b.Short)
			}
			if bound := b.Factor * o.Budget(); bound >= 1 {
				refuse("%s: an alert at %v times the budget never fires: all events together are %.1f times", o.Name, b.Factor, 1/o.Budget())
			}
		}
	}
	for _, g := range s.Causes.Groups {
		for _, c := range g.Alerts {
			if _, ok := severities[c.Severity]; !ok || c.Alert == "" || c.Summary == "" || c.Description == "" || c.Dashboard == "" {
				refuse("%q: severity, summary, description and dashboard must be given", c.Alert)
			}
			if _, err := query.Parse(c.Expr); err != nil {
				refuse("%s: %w", c.Alert, err)
			}
		}
	}
	return errors.Join(problems...)
}

func known(w model.Duration) bool {
	for _, k := range windows {
		if k == w {
			return true
		}
	}
	return false
}
