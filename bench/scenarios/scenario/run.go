package scenario

import (
	"bytes"
	"context"
	_ "embed" // thresholds.json
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/bench/scenarios/fanout"
	"github.com/cloud-pixel/playground/bench/scenarios/faults"
	"github.com/cloud-pixel/playground/bench/scenarios/metrics"
	"github.com/cloud-pixel/playground/services/client"
)

// Scenario is one kind of load.
type Scenario struct {
	Name    string
	Summary string // one line
	// Env is what a system that is started for the scenario needs in its
	// environment, as NAME=value.
	Env []string
	// Prepare reads the settings and returns what is to be done.
	Prepare func(*Settings) func(context.Context, *Run) error
}

// All returns the scenarios, those of the original system first.
func All() []Scenario {
	return []Scenario{
		loadBalancing, stress, chaos, concurrent,
		spike, soak, thunderingHerd, rollout, redisOutage, slowClient, abuse, crowd,
	}
}

// ByName returns a scenario.
func ByName(name string) (Scenario, bool) {
	i := slices.IndexFunc(All(), func(s Scenario) bool { return s.Name == name })
	if i < 0 {
		return Scenario{}, false
	}
	return All()[i], true
}

//go:embed thresholds.json
var thresholdsFile []byte

// Thresholds returns those of all scenarios: of a file, or with nil the ones
// that are built in.
func Thresholds(file io.Reader) (map[string]metrics.Thresholds, error) {
	if file == nil {
		file = bytes.NewReader(thresholdsFile)
	}
	return metrics.ReadThresholds(file)
}

// Target is a system to be measured.
type Target struct {
	// URLs of one port behind which all gateways are, ws:// or wss://; Gateways
	// are those of the gateways themselves, empty when they cannot be reached.
	URLs, Gateways []string
	// API is the base URL of the REST service; APIs are those of its instances
	// where they can be reached, else API alone.
	API           string
	APIs          []string
	Width, Height int // of the canvas
	// Injector breaks things, nil where that is not possible.
	Injector faults.Injector
	Annotate func(context.Context, faults.Event) error
	// Memory returns the resident bytes of the services' processes, nil where
	// they cannot be seen.
	Memory func() (int64, error)
}

// Run is one scenario under way.
type Run struct {
	Target
	Canvas string
	Codec  client.Codec
	Trace  bool
	Resume bool
	// Say tells people what is happening.
	Say func(format string, args ...any)

	// Group is the one that is measured, once it was made by NewGroup.
	Group *fanout.Group
	Chaos *faults.Chaos
	// Own are the scenario's own metrics, besides the group's.
	Own metrics.Set

	mu    sync.Mutex
	notes []string
}

// Note keeps a remark for the report.
func (r *Run) Note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// Notes returns the remarks.
func (r *Run) Notes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

// NewGroup makes the group that is measured. change may change its options.
func (r *Run) NewGroup(change ...func(*fanout.Options)) (*fanout.Group, error) {
	o := fanout.Options{
		URLs: r.URLs, API: r.API, Codec: r.Codec, Canvas: r.Canvas, NoResume: !r.Resume, Trace: r.Trace,
		Name: func(i int) string { return fmt.Sprintf("load %d", i) },
	}
	for _, f := range change {
		f(&o)
	}
	g, err := fanout.New(o)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.Group = g
	r.mu.Unlock()
	return g, nil
}

// Live returns the metrics of the group as they are now, while the run is
// under way: what is on its way counts as lost until it has come.
func (r *Run) Live() *metrics.Set {
	var set metrics.Set
	r.mu.Lock()
	g := r.Group
	r.mu.Unlock()
	if g != nil {
		g.Measure(&set)
	}
	return &set
}

// settleTime is how long a group may take to have everything, after the load.
const settleTime = 30 * time.Second

// Settle lets the group come to rest and compares all pictures.
func (r *Run) Settle(ctx context.Context) error {
	r.Say("waiting until everybody has everything")
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := r.Group.Settle(ctx); err != nil {
		r.Note("not everybody came to rest: %v", err)
		if ctx.Err() == nil { // a client has ended for good
			return err
		}
		return nil // what is missing shows in the figures
	}
	if err := r.Group.Compare(ctx, r.APIs); err != nil {
		return err
	}
	for _, who := range r.Group.Diverged() {
		r.Note("another picture than the api's: %s", who)
	}
	return nil
}

// Common are the settings of all scenarios.
func (r *Run) Common(s *Settings) {
	if s.Choice("CODEC", "Codec of the clients: binary or json.", "binary", "json") == "json" {
		r.Codec = client.JSON
	}
	r.Canvas = s.text("CANVAS", "", "Canvas to draw on, which nobody else should; empty: the default.")
	r.Resume = s.Choice("RESUME", "off: who was cut off comes back as a new client.", "on", "off") == "on"
	r.Trace = s.Choice("TRACEPARENT", "on: every write carries a trace context that is sampled.", "off", "on") == "on"
}

var errNoInjector = errors.New("this scenario breaks parts of the system: it needs a playground with processes of its own (a state file) or a Kubernetes cluster")

// needInjector fails where nothing can be broken.
func (r *Run) needInjector() error {
	if r.Injector == nil {
		return errNoInjector
	}
	r.Chaos = &faults.Chaos{Injector: r.Injector, Annotate: r.Annotate}
	return nil
}

// Measure returns all metrics, when the scenario has ended.
func (r *Run) Measure() *metrics.Set {
	var set metrics.Set
	if r.Group != nil {
		r.Group.Measure(&set)
	}
	for _, m := range r.Own.All() {
		set.Add(*m)
	}
	// Lateness of the generator is in every latency, so it cannot make them look
	// better: a remark, not a threshold.
	if m := set.Get("pixel_generator_late"); m != nil {
		if late, err := m.Ask("p(99)"); err == nil && late > lateMillis {
			r.Note("1 %% of the writes were drawn more than %.0f ms after they were due: the machine had no time to spare, and that is part of all latencies", late)
		}
	}
	if r.Chaos != nil {
		done := set.Count("pixel_faults", "faults injected", 0)
		recovery := metrics.NewTimes()
		for _, e := range r.Chaos.Events() {
			done.Value++
			part := metrics.Metric{Value: 1}
			if old := done.Parts["kind="+string(e.Kind)]; old != nil {
				part.Value += old.Value
			}
			done.Part("kind", string(e.Kind), part)
			if !e.Recovered.IsZero() {
				metrics.Note(recovery, e.Recovered.Sub(e.At))
			}
		}
		set.Trend("pixel_fault_time", "from a fault until the system was whole again", recovery)
		if err := r.Chaos.Err(); err != nil {
			r.Note("faults could not be annotated: %v", err)
		}
	}
	return &set
}

// lateMillis is how late a generator may be without a word.
const lateMillis = 20

// draw joins and paints, with something else at the same time, which is told
// to stop when the painting has ended.
func (r *Run) draw(ctx context.Context, p fanout.Plan, beside ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(beside))
	for _, f := range beside {
		go func() {
			err := f(ctx)
			if err != nil && ctx.Err() == nil {
				cancel() // what is drawn after that is of no use
			}
			errs <- err
		}()
	}
	err := r.Group.Paint(ctx, p)
	cancel()
	for range beside {
		if e := <-errs; !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// spread is the plan that goes over all cells.
func (r *Run) spread(rate float64, d time.Duration) fanout.Plan {
	return fanout.Plan{Rate: rate, For: d, Cell: fanout.Spread(r.Width, r.Height)}
}
