package pixel

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.k6.io/k6/js/modulestest"
	"go.k6.io/k6/lib"
	k6metrics "go.k6.io/k6/metrics"

	"github.com/cloud-pixel/playground/k6/internal/livesystem"
)

func TestMain(m *testing.M) { livesystem.Main(m) }

// test is k6, as far as a script of one virtual user needs it: its event loop,
// its registry, and its sinks, into which all samples go.
type test struct {
	t       testing.TB
	runtime *modulestest.Runtime
	module  *Module

	mu      sync.Mutex
	sinks   map[string]k6metrics.Sink // by name, and by name{tag:value}
	samples int
	done    func() // ends the taking of samples
}

// prepare returns k6 with the module, whose connections a dialer makes.
func prepare(t testing.TB, dialer lib.DialContexter) *test {
	t.Helper()
	k := &test{t: t, runtime: modulestest.NewRuntime(t), module: New(), sinks: map[string]k6metrics.Sink{}}
	registry := k.runtime.VU.InitEnvField.Registry
	if err := k.runtime.SetupModuleSystem(map[string]any{"k6/x/pixel": k.module}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.runtime.VU.Runtime().RunString(`var pixel = require("k6/x/pixel"); var results = {}`); err != nil {
		t.Fatal(err)
	}
	samples := make(chan k6metrics.SampleContainer, 100)
	var taking sync.WaitGroup
	taking.Go(func() {
		for c := range samples {
			for _, s := range c.GetSamples() {
				k.take(s)
			}
		}
	})
	k.done = sync.OnceFunc(func() { close(samples); taking.Wait() })
	t.Cleanup(k.done)
	t.Cleanup(k.runtime.CancelContext)
	log := logrus.New()
	log.SetOutput(t.Output())
	k.runtime.MoveToVUContext(&lib.State{
		Dialer: dialer, Samples: samples, Logger: log, BuiltinMetrics: k.runtime.BuiltinMetrics,
		Tags: lib.NewVUStateTags(registry.RootTagSet().With("scenario", "test")),
	})
	return k
}

func (k *test) take(s k6metrics.Sample) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.samples++
	names := []string{s.Metric.Name}
	for tag, value := range s.Tags.Map() {
		names = append(names, fmt.Sprintf("%s{%s:%s}", s.Metric.Name, tag, value))
	}
	for _, name := range names {
		if k.sinks[name] == nil {
			k.sinks[name] = k6metrics.NewSink(s.Metric.Type)
		}
		k.sinks[name].Add(s)
	}
}

// run runs a script to its end.
func (k *test) run(script string) error {
	k.t.Helper()
	_, err := k.runtime.RunOnEventLoop("(async () => {" + script + "})()")
	return err
}

// must runs a script that has to end well, and after which k6 ends.
func (k *test) must(script string) {
	k.t.Helper()
	if err := k.run(script); err != nil {
		k.t.Fatal(err)
	}
	k.runtime.CancelContext()
	k.done()
}

// result is what a script left in results.
func (k *test) result(name string) any {
	return k.runtime.VU.Runtime().Get("results").ToObject(k.runtime.VU.Runtime()).Get(name).Export()
}

// ask returns an aggregate of a metric as k6's thresholds would see it.
func (k *test) ask(metric, aggregate string) float64 {
	sink := k.sinks[metric]
	if sink == nil {
		return math.NaN()
	}
	var p float64
	switch s := sink.(type) {
	case *k6metrics.TrendSink:
		switch n, _ := fmt.Sscanf(aggregate, "p(%f)", &p); {
		case n == 1:
			return s.P(p / 100)
		case aggregate == "count":
			return float64(s.Count())
		}
	case *k6metrics.RateSink:
		if aggregate == "count" {
			return float64(s.Total)
		}
	}
	v, ok := sink.Format(time.Second)[aggregate]
	if !ok {
		k.t.Errorf("%s has no %s", metric, aggregate)
	}
	return v
}

// expect checks aggregates. Times are in ms and may be a few µs longer.
func (k *test) expect(want map[string]float64) {
	k.t.Helper()
	for what, v := range want {
		var metric, aggregate string
		if _, err := fmt.Sscan(what, &metric, &aggregate); err != nil {
			k.t.Fatal(err)
		}
		if got := k.ask(metric, aggregate); math.IsNaN(got) || math.Abs(got-v) > 0.01 {
			k.t.Errorf("%s is %v, want %v", what, got, v)
		}
	}
}
