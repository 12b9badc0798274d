package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Thresholds are conditions on metrics by their names, each of the form
// "aggregate operator number", for example "p(95)<200" or "count==0".
type Thresholds map[string][]string

// Verdict is what became of one threshold.
type Verdict struct {
	Metric    string  `json:"metric"`
	Condition string  `json:"condition"`
	Measured  float64 `json:"-"`
	OK        bool    `json:"ok"`
	// Why is empty when the condition could be judged by a figure.
	Why string `json:"why,omitempty"`
}

// ReadThresholds reads a file of thresholds by scenario, and refuses one whose
// conditions cannot be understood.
func ReadThresholds(r io.Reader) (map[string]Thresholds, error) {
	var all map[string]Thresholds
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("metrics: thresholds: %w", err)
	}
	var errs []error
	for _, scenario := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[scenario])) {
			for _, c := range all[scenario][name] {
				if _, err := parse(c); err != nil {
					errs = append(errs, fmt.Errorf("%s: %s: %w", scenario, name, err))
				}
			}
		}
	}
	return all, errors.Join(errs...)
}

type condition struct {
	aggregate, operator string
	bound               float64
}

// operators, those that begin with another one first.
var operators = []string{"<=", ">=", "==", "<", ">"}

func parse(text string) (condition, error) {
	text = strings.ReplaceAll(text, " ", "")
	for _, o := range operators {
		if left, right, ok := strings.Cut(text, o); ok {
			bound, err := strconv.ParseFloat(right, 64)
			if err != nil || left == "" {
				break
			}
			return condition{left, o, bound}, nil
		}
	}
	return condition{}, fmt.Errorf("metrics: %q is no condition like p(95)<200", text)
}

// Judge judges all thresholds, in the order of the metrics' names. One on a
// metric that does not exist, or for which nothing was measured, has failed:
// what was not measured must not pass for good.
func (t Thresholds) Judge(s *Set) []Verdict {
	var all []Verdict
	for _, name := range slices.Sorted(maps.Keys(t)) {
		for _, text := range t[name] {
			all = append(all, judge(s.Get(name), name, text))
		}
	}
	return all
}

func judge(m *Metric, name, text string) Verdict {
	v := Verdict{Metric: name, Condition: text, Measured: math.NaN()}
	c, err := parse(text)
	if err == nil && m == nil {
		err = errors.New("no such metric")
	}
	if err == nil {
		v.Measured, err = m.Ask(c.aggregate)
	}
	switch {
	case err != nil:
		v.Why = err.Error()
	case math.IsNaN(v.Measured):
		v.Why = "nothing was measured"
	default:
		v.OK = c.holds(v.Measured)
	}
	return v
}

func (c condition) holds(v float64) bool {
	switch c.operator {
	case "<":
		return v < c.bound
	case "<=":
		return v <= c.bound
	case ">":
		return v > c.bound
	case ">=":
		return v >= c.bound
	}
	return v == c.bound
}
