package rules

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/cloud-pixel/playground/observability/internal/query"
)

// File is a file of Prometheus' rules.
type File struct {
	Groups []Group `yaml:"groups"`
}

// Group is a group of rules, evaluated one after the other.
type Group struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval,omitempty"`
	Rules    []Rule         `yaml:"rules"`
}

// Rule is a recording rule or an alert.
type Rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         model.Duration    `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// Shorten returns the same rules over shorter time: all windows, intervals and
// waits divided by factor, no range shorter than floor. Names stay as they are,
// so that what reads rate5m goes on to do so.
func (f File) Shorten(factor float64, floor time.Duration) (File, error) {
	var short File
	for _, g := range f.Groups {
		s := Group{Name: g.Name, Interval: model.Duration(query.Divide(time.Duration(g.Interval), factor, time.Second))}
		for _, r := range g.Rules {
			expr, err := query.Shorten(r.Expr, factor, floor)
			if err != nil {
				return File{}, err
			}
			r.Expr, r.For = expr, model.Duration(query.Divide(time.Duration(r.For), factor, time.Second))
			s.Rules = append(s.Rules, r)
		}
		short.Groups = append(short.Groups, s)
	}
	return short, nil
}

// Encode writes YAML below a comment.
func Encode(comment string, value any) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", comment)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// round removes what binary fractions add to decimal ones.
func round(x float64) float64 { return math.Round(x*1e9) / 1e9 }

// decimal writes a number as people do.
func decimal(x float64) string { return strconv.FormatFloat(round(x), 'f', -1, 64) }
