package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Kind says what a metric's values mean and what can be asked of it.
type Kind string

// Kinds of metrics.
const (
	Counter Kind = "counter" // asked: count
	Gauge   Kind = "gauge"   // asked: value
	Rate    Kind = "rate"    // good of all; asked: rate, from 0 to 1
	Trend   Kind = "trend"   // times in ms; asked: min, avg, med, max, count, p(N)
)

// Metric is one figure of a run. Only the fields of its kind are used.
type Metric struct {
	Name string
	Kind Kind
	Help string

	Value     float64                 // Counter, Gauge
	Good, All uint64                  // Rate
	Times     *hdrhistogram.Histogram // Trend, in µs
	// Final says that a counter or gauge means something only when all is over.
	Final bool
	// Parts are the same metric by a tag, written "pod=gateway-0".
	Parts map[string]*Metric
}

// NewTimes returns an empty histogram of 1 µs to 10 minutes within 0.1 %.
func NewTimes() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, 3) }

const longest = 600_000_000 // µs

// Note records how long something took; what is out of bounds counts as the
// bound. h is for one goroutine at a time.
func Note(h *hdrhistogram.Histogram, took time.Duration) {
	_ = h.RecordValue(min(max(1, took.Microseconds()), longest)) // within its bounds
}

// Ask returns one aggregate of the metric: "count", "value", "rate", "min",
// "avg", "med", "max" or "p(N)", times in ms. It is NaN when nothing was
// measured, and an error when the kind has no such aggregate.
func (m *Metric) Ask(aggregate string) (float64, error) {
	switch {
	case m.Kind == Counter && aggregate == "count", m.Kind == Gauge && aggregate == "value":
		return m.Value, nil
	case m.Kind == Rate && aggregate == "rate":
		return float64(m.Good) / float64(m.All), nil // 0/0 is NaN
	case m.Kind == Trend:
		return m.askTrend(aggregate)
	}
	return 0, fmt.Errorf("metrics: %s is a %s and has no %q", m.Name, m.Kind, aggregate)
}

func (m *Metric) askTrend(aggregate string) (float64, error) {
	h := m.Times
	n := h.TotalCount()
	if aggregate == "count" {
		return float64(n), nil
	}
	var micros float64
	switch aggregate {
	case "min":
		micros = float64(h.Min())
	case "avg":
		micros = h.Mean()
	case "med":
		micros = float64(h.ValueAtQuantile(50))
	case "max":
		micros = float64(h.Max())
	default:
		text, isP := strings.CutPrefix(aggregate, "p(")
		text, closed := strings.CutSuffix(text, ")")
		p, err := strconv.ParseFloat(text, 64)
		if !isP || !closed || err != nil || p < 0 || p > 100 {
			return 0, fmt.Errorf("metrics: %s is a trend and has no %q", m.Name, aggregate)
		}
		micros = float64(h.ValueAtQuantile(p))
	}
	if n == 0 {
		return math.NaN(), nil
	}
	return micros / 1000, nil
}

// Set has the metrics of a run by name, in the order in which they were added.
// It is for one goroutine at a time.
type Set struct {
	all    []*Metric
	byName map[string]*Metric
}

// Add adds a metric, whose name must be new, and returns it.
func (s *Set) Add(m Metric) *Metric {
	if s.byName == nil {
		s.byName = map[string]*Metric{}
	}
	if _, ok := s.byName[m.Name]; ok {
		panic("metrics: " + m.Name + " is added twice")
	}
	s.all = append(s.all, &m)
	s.byName[m.Name] = &m
	return &m
}

// Count adds a counter.
func (s *Set) Count(name, help string, n uint64) *Metric {
	return s.Add(Metric{Name: name, Kind: Counter, Help: help, Value: float64(n)})
}

// Gauge adds a gauge.
func (s *Set) Gauge(name, help string, v float64) *Metric {
	return s.Add(Metric{Name: name, Kind: Gauge, Help: help, Value: v})
}

// Rate adds a rate.
func (s *Set) Rate(name, help string, good, all uint64) *Metric {
	return s.Add(Metric{Name: name, Kind: Rate, Help: help, Good: good, All: all})
}

// Trend adds a trend, which keeps the histogram.
func (s *Set) Trend(name, help string, h *hdrhistogram.Histogram) *Metric {
	return s.Add(Metric{Name: name, Kind: Trend, Help: help, Times: h})
}

// All returns the metrics in their order.
func (s *Set) All() []*Metric { return s.all }

// Get returns a metric by name, nil when there is none.
func (s *Set) Get(name string) *Metric { return s.byName[name] }

// Part adds a part to a metric.
func (m *Metric) Part(tag, value string, part Metric) {
	if m.Parts == nil {
		m.Parts = map[string]*Metric{}
	}
	part.Name, part.Kind = m.Name, m.Kind
	m.Parts[tag+"="+value] = &part
}

// Tags returns the names of the parts in order.
func (m *Metric) Tags() []string { return slices.Sorted(maps.Keys(m.Parts)) }
