package pixel

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	k6metrics "go.k6.io/k6/metrics"

	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/k6/metrics"
)

// Metrics of faults; those of clients are package fanout's.
const (
	faultsMetric    = "pixel_faults"
	faultTimeMetric = "pixel_fault_time"
)

// Known returns all metrics of the extension, with nothing measured: their
// names, kinds and meanings.
func Known() *metrics.Set {
	s := fanout.Metrics()
	s.Count(faultsMetric, "faults injected, by kind and target", 0)
	s.Trend(faultTimeMetric, "from a fault until the system was whole again", metrics.NewTimes())
	return s
}

// kinds are those of k6, by ours.
var kinds = map[metrics.Kind]k6metrics.MetricType{
	metrics.Counter: k6metrics.Counter, metrics.Gauge: k6metrics.Gauge, metrics.Rate: k6metrics.Rate, metrics.Trend: k6metrics.Trend,
}

// register makes all metrics known to a test, before it begins: thresholds may
// name them then, also those of which nothing comes to be measured.
func (m *Module) register(registry *k6metrics.Registry) (map[string]*k6metrics.Metric, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.registry == registry {
		return m.known, nil
	}
	known := map[string]*k6metrics.Metric{}
	for _, metric := range Known().All() {
		contains := k6metrics.Default
		switch {
		case metric.Kind == metrics.Trend:
			contains = k6metrics.Time
		case metric.Name == "pixel_bytes":
			contains = k6metrics.Data
		}
		registered, err := registry.NewMetric(metric.Name, kinds[metric.Kind], contains)
		if err != nil {
			return nil, fmt.Errorf("pixel: %w", err)
		}
		known[metric.Name] = registered
	}
	m.registry, m.known = registry, known
	return known, nil
}

const (
	flushTime    = 200 * time.Millisecond // between two hand-overs of times
	progressTime = time.Second            // between two of everything else
	flushSize    = 1 << 12                // samples that are handed over at once
)

// recorder makes samples of k6 of what a group measures. Times become samples
// one by one as they are measured. Counters and the good part of rates become
// the difference to what was told before; what is only known in the end, the
// bad part of rates among it, waits for finish. Its methods may be called from
// any goroutine.
type recorder struct {
	out   chan<- k6metrics.SampleContainer
	known map[string]*k6metrics.Metric
	tags  *k6metrics.TagSet

	mu      sync.Mutex
	ctx     context.Context // of a virtual user: k6 takes nothing after that
	pending k6metrics.Samples
	tagged  map[[2]string]*k6metrics.TagSet

	telling sync.Mutex              // one at a time
	told    map[told]metrics.Metric // what was handed over of counters and rates
}

// told names a metric or a part of it.
type told struct{ metric, part string }

// newRecorder returns a recorder for the virtual user at work.
func (i *instance) newRecorder(codec string) *recorder {
	state := i.vu.State()
	return &recorder{
		ctx: i.vu.Context(), out: state.Samples, known: i.known, tags: state.Tags.GetCurrentValues().Tags.With("codec", codec),
		tagged: map[[2]string]*k6metrics.TagSet{}, told: map[told]metrics.Metric{},
	}
}

// with returns the recorder's tags and one more. The caller holds mu.
func (r *recorder) with(name, value string) *k6metrics.TagSet {
	if value == "" {
		return r.tags
	}
	key := [2]string{name, value}
	t := r.tagged[key]
	if t == nil {
		t = r.tags.With(name, value)
		r.tagged[key] = t
	}
	return t
}

// Time takes one time; see [fanout.Observer].
func (r *recorder) Time(metric, pod string, took time.Duration, at time.Time) {
	m := r.known[metric]
	r.mu.Lock()
	r.pending = append(r.pending, k6metrics.Sample{
		TimeSeries: k6metrics.TimeSeries{Metric: m, Tags: r.with("pod", pod)}, Time: at, Value: k6metrics.D(took),
	})
	r.mu.Unlock()
}

// use makes another virtual user, at work now, the one that hands over.
func (r *recorder) use(ctx context.Context) {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
}

// follow hands over what there is, again and again, until ctx ends.
func (r *recorder) follow(ctx context.Context, g *fanout.Group) {
	flush, progress := time.NewTicker(flushTime), time.NewTicker(progressTime)
	defer flush.Stop()
	defer progress.Stop()
	for {
		select {
		case <-flush.C:
			r.flush()
		case <-progress.C:
			var s metrics.Set
			g.Progress(&s)
			r.tell(&s, false)
		case <-ctx.Done():
			return
		}
	}
}

// flush hands over the times that are pending.
func (r *recorder) flush() {
	r.mu.Lock()
	pending, ctx := r.pending, r.ctx
	r.pending = nil
	r.mu.Unlock()
	for len(pending) > 0 {
		n := min(len(pending), flushSize)
		k6metrics.PushIfNotDone(ctx, r.out, pending[:n])
		pending = pending[n:]
	}
}

// finish hands over everything of a group that has come to its end.
func (r *recorder) finish(s *metrics.Set) {
	r.tell(s, true)
	r.flush()
}

// tell adds what is new of counters, gauges and rates to what is pending.
func (r *recorder) tell(s *metrics.Set, final bool) {
	r.telling.Lock()
	defer r.telling.Unlock()
	now := time.Now()
	for _, m := range s.All() {
		if m.Kind == metrics.Trend || m.Final && !final {
			continue
		}
		rest := metrics.Metric{Value: m.Value, Good: m.Good, All: m.All}
		for _, tag := range m.Tags() {
			part := m.Parts[tag]
			name, value, _ := strings.Cut(tag, "=")
			r.mu.Lock()
			tags := r.with(name, value)
			r.mu.Unlock()
			r.part(m, part, tag, tags, now, final)
			if m.Kind != metrics.Gauge {
				rest.Value -= part.Value
				rest.Good -= min(rest.Good, part.Good)
				rest.All -= min(rest.All, part.All)
			}
		}
		// What belongs to no part; of a gauge, which cannot be added up, the
		// whole.
		r.part(m, &rest, "", r.tags, now, final)
	}
	r.flush()
}

// part tells what is new of a part of a metric.
func (r *recorder) part(m, part *metrics.Metric, tag string, tags *k6metrics.TagSet, now time.Time, final bool) {
	series := k6metrics.TimeSeries{Metric: r.known[m.Name], Tags: tags}
	add := func(v float64, n uint64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for range n {
			r.pending = append(r.pending, k6metrics.Sample{TimeSeries: series, Time: now, Value: v})
		}
	}
	key := told{m.Name, tag}
	before := r.told[key]
	switch m.Kind {
	case metrics.Gauge:
		add(part.Value, 1)
	case metrics.Counter:
		// Zero is told, too: what is zero was measured.
		if d := part.Value - before.Value; d > 0 || final && tag == "" {
			add(max(0, d), 1)
			before.Value += max(0, d)
		}
	case metrics.Rate:
		good := part.Good - min(part.Good, before.Good)
		add(1, good)
		before.Good += good
		before.All += good
		if final {
			bad := part.All - min(part.All, before.All)
			add(0, bad)
			before.All += bad
		}
	}
	r.told[key] = before
}
