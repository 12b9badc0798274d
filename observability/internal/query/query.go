// Package query reads PromQL with Prometheus' own parser: which metrics a
// query names, and the same query over shorter windows.
package query

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var promql = parser.NewParser(parser.Options{})

// Parse parses a query. Variables of Grafana are not PromQL: replace them
// first (Grafana).
func Parse(text string) (parser.Expr, error) {
	expr, err := promql.ParseExpr(text)
	if err != nil {
		return nil, fmt.Errorf("query: %q: %w", text, err)
	}
	return expr, nil
}

// Metrics returns the names of the metrics that a query reads, in order, each
// once. A selector without a name is an error: nobody could say what it reads.
func Metrics(text string) ([]string, error) {
	expr, err := Parse(text)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	var nameless error
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		name := selector.Name
		for _, m := range selector.LabelMatchers {
			if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
				name = m.Value
			}
		}
		if name == "" {
			nameless = fmt.Errorf("query: %q: %s names no metric", text, selector)
		}
		names[name] = true
		return nil
	})
	if nameless != nil {
		return nil, nameless
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// Base returns the name of the family that a series belongs to: the series of
// a classic histogram or summary end in _bucket, _sum and _count.
func Base(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(series, suffix); ok {
			return base
		}
	}
	return series
}

// Shorten divides all that is time in a query (ranges, offsets, steps) by
// factor, but makes no range shorter than floor: a rate needs some samples.
func Shorten(text string, factor float64, floor time.Duration) (string, error) {
	expr, err := Parse(text)
	if err != nil {
		return "", err
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.MatrixSelector:
			n.Range = Divide(n.Range, factor, floor)
		case *parser.SubqueryExpr:
			n.Range = Divide(n.Range, factor, floor)
			n.Step = Divide(n.Step, factor, 0)
			n.OriginalOffset = Divide(n.OriginalOffset, factor, 0)
		case *parser.VectorSelector:
			n.OriginalOffset = Divide(n.OriginalOffset, factor, 0)
		}
		return nil
	})
	return expr.String(), nil
}

// Divide divides a time by factor, to whole milliseconds, down to floor at
// least; what was shorter than floor stays as it is.
func Divide(d time.Duration, factor float64, floor time.Duration) time.Duration {
	short := time.Duration(float64(d) / factor).Round(time.Millisecond)
	return min(d, max(short, floor))
}

// What a query of Grafana may hold besides PromQL: intervals in brackets,
// other variables as the value of a label.
var (
	intervals = regexp.MustCompile(`\$\{?__(rate_interval|interval|range)\}?`)
	variables = regexp.MustCompile(`\$\{?[a-zA-Z_][a-zA-Z0-9_]*(:[a-z]+)?\}?`)
)

// Grafana replaces the variables of Grafana in a query: an interval by the one
// given, any other variable by the value given, which stands in a matcher.
func Grafana(text, interval, value string) string {
	text = intervals.ReplaceAllLiteralString(text, interval)
	return variables.ReplaceAllLiteralString(text, value)
}
