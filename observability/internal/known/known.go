// Package known holds queries to the metrics that exist: those of the services
// (METRICS.md), those of other programs (metrics-elsewhere.yaml), and what the
// rules record.
package known

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/cloud-pixel/playground/observability/internal/query"
	"github.com/cloud-pixel/playground/observability/internal/rules"
)

// Metric is what is known of one.
type Metric struct {
	Name, Type string
	// Labels by name, with their values where METRICS.md lists all of them;
	// nil where they are open. A nil map: nothing is known of labels.
	Labels  map[string][]string
	Buckets []string // boundaries of a classic histogram, as in METRICS.md
}

// Metrics are the known ones by name.
type Metrics map[string]Metric

// Load reads what is known below observability/.
func Load(root string, built rules.Built) (Metrics, error) {
	all := Metrics{}
	if err := all.page(filepath.Join(root, "METRICS.md")); err != nil {
		return nil, err
	}
	var elsewhere []struct {
		Program string   `yaml:"program"`
		Version string   `yaml:"version"`
		Metrics []string `yaml:"metrics"`
	}
	if err := rules.Read(filepath.Join(root, "metrics-elsewhere.yaml"), &elsewhere); err != nil {
		return nil, err
	}
	for _, e := range elsewhere {
		for _, name := range e.Metrics {
			if _, ok := all[name]; ok {
				return nil, fmt.Errorf("known: metrics-elsewhere.yaml: %s is known already", name)
			}
			all[name] = Metric{Name: name}
		}
	}
	for name := range built.Recorded() {
		all[name] = Metric{Name: name}
	}
	return all, nil
}

var (
	tableRow  = regexp.MustCompile("^\\| `([a-z0-9_]+)` \\| ([^|]+) \\| ([^|]*) \\| (.*) \\|$")
	label     = regexp.MustCompile(`\*\*([a-z_]+)\*\*: ([^<]*)`)
	quoted    = regexp.MustCompile("`([^`]+)`")
	boundary  = regexp.MustCompile(`Buckets: ([0-9. ]+)$`)
	inRuntime = regexp.MustCompile("`((?:go|process)_[a-z_]+)`")
)

// page reads METRICS.md.
func (m Metrics) page(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		row := tableRow.FindStringSubmatch(lines.Text())
		if row == nil {
			for _, name := range inRuntime.FindAllStringSubmatch(lines.Text(), -1) {
				m[name[1]] = Metric{Name: name[1]}
			}
			continue
		}
		one := Metric{Name: row[1], Type: strings.SplitN(row[2], ",", 2)[0], Labels: map[string][]string{}}
		for _, l := range label.FindAllStringSubmatch(row[3], -1) {
			var values []string
			// All values stand in quotes when nothing else does but the
			// ellipsis of a range.
			if rest := strings.TrimSpace(quoted.ReplaceAllString(l[2], "")); rest == "" {
				for _, v := range quoted.FindAllStringSubmatch(l[2], -1) {
					values = append(values, v[1])
				}
			}
			one.Labels[l[1]] = values
		}
		if b := boundary.FindStringSubmatch(row[4]); b != nil {
			one.Buckets = strings.Fields(b[1])
		}
		m[one.Name] = one
	}
	return lines.Err()
}

// ofTargets are labels that come with the target, not with the metric.
var ofTargets = map[string]bool{"job": true, "pod": true, "instance": true, model.MetricNameLabel: true}

// Check returns what a query names that does not exist: metrics, their labels,
// values of labels, boundaries of histograms.
func (m Metrics) Check(text string) []error {
	expr, err := query.Parse(text)
	if err != nil {
		return []error{err}
	}
	var problems []error
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			problems = append(problems, m.selector(s)...)
		}
		return nil
	})
	return problems
}

func (m Metrics) selector(s *parser.VectorSelector) []error {
	metric, ok := m[s.Name]
	suffix := ""
	if !ok {
		metric, ok = m[query.Base(s.Name)]
		suffix = strings.TrimPrefix(s.Name, metric.Name)
		if ok && metric.Labels != nil && metric.Type != "histogram" {
			ok = false
		}
	}
	if !ok {
		return []error{fmt.Errorf("known: %s: there is no such metric", s)}
	}
	if metric.Labels == nil {
		return nil
	}
	var problems []error
	for _, matcher := range s.LabelMatchers {
		switch {
		case ofTargets[matcher.Name]:
		case matcher.Name == "le" && suffix == "_bucket":
			if matcher.Type == labels.MatchEqual && matcher.Value != "+Inf" && !slices.Contains(metric.Buckets, matcher.Value) {
				problems = append(problems, fmt.Errorf("known: %s: %s is no boundary of its buckets", s, matcher.Value))
			}
		default:
			values, ok := metric.Labels[matcher.Name]
			if !ok {
				problems = append(problems, fmt.Errorf("known: %s: it has no label %s", s, matcher.Name))
				continue
			}
			if values != nil && matcher.Value != "" && !slices.ContainsFunc(values, means(matcher)) {
				problems = append(problems, fmt.Errorf("known: %s: %s is no value of %s", s, matcher.Value, matcher.Name))
			}
			problems = append(problems, alternatives(s, matcher, values)...)
		}
	}
	return problems
}

// means tells for a value whether a matcher is about it.
func means(m *labels.Matcher) func(string) bool {
	return func(v string) bool {
		matches := m.Matches(v)
		if m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp {
			return !matches
		}
		return matches
	}
}

// alternatives checks each plain word of a|b|c: one that does not exist would
// go unnoticed beside others.
func alternatives(s *parser.VectorSelector, m *labels.Matcher, values []string) []error {
	if values == nil || (m.Type != labels.MatchRegexp && m.Type != labels.MatchNotRegexp) {
		return nil
	}
	var problems []error
	for _, word := range strings.Split(m.Value, "|") {
		if regexp.QuoteMeta(word) == word && !slices.Contains(values, word) {
			problems = append(problems, fmt.Errorf("known: %s: %s is no value of %s", s, word, m.Name))
		}
	}
	return problems
}
