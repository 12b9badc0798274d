package metrics

import (
	"math"
	"testing"
	"time"
)

func TestAsk(t *testing.T) {
	var s Set
	h := NewTimes()
	for i := range 100 {
		Note(h, time.Duration(i+1)*time.Millisecond)
	}
	s.Trend("latency", "", h)
	s.Trend("nothing", "", NewTimes())
	s.Count("lost", "", 3)
	s.Rate("delivery", "", 9, 10)
	s.Rate("idle", "", 0, 0)
	s.Gauge("share", "", 0.25)
	for _, test := range []struct {
		metric, aggregate string
		want              float64
	}{
		{"latency", "p(50)", 50}, {"latency", "med", 50}, {"latency", "p(99.9)", 100}, {"latency", "avg", 50.5},
		{"latency", "min", 1}, {"latency", "max", 100}, {"latency", "count", 100},
		{"nothing", "p(50)", math.NaN()}, {"nothing", "max", math.NaN()}, {"nothing", "count", 0},
		{"lost", "count", 3}, {"delivery", "rate", 0.9}, {"idle", "rate", math.NaN()}, {"share", "value", 0.25},
	} {
		got, err := s.Get(test.metric).Ask(test.aggregate)
		if err != nil || math.Abs(got-test.want) > test.want/1000 || math.IsNaN(got) != math.IsNaN(test.want) {
			t.Errorf("%s of %s is %v, %v; want %v", test.aggregate, test.metric, got, err, test.want)
		}
	}
	for metric, aggregates := range map[string][]string{
		"latency": {"rate", "p(101)", "p(x)", "p50", ""}, "lost": {"value", "p(50)"}, "delivery": {"count"}, "share": {"rate"},
	} {
		for _, a := range aggregates {
			if got, err := s.Get(metric).Ask(a); err == nil {
				t.Errorf("%q of %s is %v; want an error", a, metric, got)
			}
		}
	}
}
