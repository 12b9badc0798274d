package runner

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/stack"
)

// Options of the drills.
type Options struct {
	Root  string // observability/
	Build string // folder with the programs
	Dir   string // takes data and logs of all runs
	// Quiet is how long the run lasts in which nothing is broken.
	Quiet time.Duration
	// Say tells people how it goes.
	Say func(format string, args ...any)
}

// Outcome is what came of one drill.
type Outcome struct {
	Alert    string        `json:"alert"`
	Run      string        `json:"run"`
	Fault    string        `json:"fault"`
	Fired    time.Duration `json:"fired_ns"` // from the fault to the arrival of the alert
	Within   time.Duration `json:"within_ns"`
	Summary  string        `json:"summary"` // as it arrived
	Receiver string        `json:"receiver"`
	Panel    string        `json:"panel"`      // what is to be seen
	Shown    string        `json:"shown"`      // what was
	Cleared  time.Duration `json:"cleared_ns"` // from the end of the fault to the arrival of that
	Clears   time.Duration `json:"clears_ns"`
	Kept     []string      `json:"kept_back,omitempty"` // by Alertmanager while the fault lasted
	Besides  []string      `json:"besides,omitempty"`   // other alerts that arrived in the run
	Problems []string      `json:"problems,omitempty"`
	Tries    int           `json:"tries"` // of the run
}

// ErrRestless means that something is wrong before a fault has begun. On a
// machine that others use that may be they; another try is a new system.
var ErrRestless = errors.New("it does not become calm")

// Do runs one run and returns what came of its drills. An error means that it
// could not be run; ErrRestless is one. What went wrong while the machine was
// starved is tried once more, in a new system, and so is what did not become
// calm: with no time for the processes, alerts on time are right to fire.
func Do(ctx context.Context, o Options, r Run) (outcomes []Outcome, err error) {
	for try := 1; ; try++ {
		p := startPulse(ctx)
		outcomes, err = do(ctx, o, r)
		p.stop()
		wrong := errors.Is(err, ErrRestless)
		for i := range outcomes {
			outcomes[i].Tries = try
			wrong = wrong || len(outcomes[i].Problems) > 0
		}
		busy := p.share() >= starved || errors.Is(err, ErrRestless)
		if !wrong || !busy || try == 2 || ctx.Err() != nil {
			return outcomes, err
		}
		o.Say("%s: again; the machine was busy: %.1f %% of all moments came late", r.Name, 100*p.share())
		for _, one := range outcomes {
			for _, problem := range one.Problems {
				o.Say("    %s: %s", one.Alert, problem)
			}
		}
		if err != nil {
			o.Say("    %v", err)
		}
	}
}

func do(ctx context.Context, o Options, r Run) (outcomes []Outcome, err error) {
	sources, err := rules.Load(o.Root)
	if err != nil {
		return nil, err
	}
	w, err := start(ctx, o, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.calm(ctx, sources); err != nil {
		return nil, err
	}
	one := &running{world: w, sources: sources, run: r}
	if slices.ContainsFunc(r.Drills, func(d drill.Drill) bool { return d.Fault.Kind != "none" }) {
		return one.faults(ctx)
	}
	return one.quiet(ctx, o.Quiet)
}

// running is a run under way.
type running struct {
	*world
	sources rules.Sources
	run     Run
}

// injected is a fault that has begun. Drills with the same fault share it.
type injected struct {
	fault drill.Fault
	began time.Time
	left  sync.WaitGroup // drills that still need it
	end   func() error   // once, whoever calls
	ended time.Time      // when it had ended
}

// faults begins all faults, lets each drill look, and compares what arrived
// with what may arrive.
func (r *running) faults(ctx context.Context) ([]Outcome, error) {
	outcomes := make([]Outcome, len(r.run.Drills))
	for i, d := range r.run.Drills {
		outcomes[i] = Outcome{
			Alert: d.Alert, Run: r.run.Name, Fault: d.Fault.String(), Panel: d.Panel.String(),
			Within: time.Duration(d.Expect.Within), Clears: time.Duration(d.Clears),
		}
		// What is seen already says nothing.
		seen, what, err := r.look(ctx, r.sources, d.Panel)
		if err != nil {
			return nil, err
		}
		if seen {
			outcomes[i].problem("the panel shows %s before the fault", what)
		}
	}
	began := time.Now()
	faults, err := r.begin(ctx)
	var looking sync.WaitGroup
	if err == nil {
		for i, d := range r.run.Drills {
			looking.Go(func() { r.drill(ctx, d, faults[i], &outcomes[i]) })
		}
	}
	looking.Wait()
	for _, f := range faults {
		if f != nil {
			err = errors.Join(err, f.end())
		}
	}
	if err != nil {
		return nil, err
	}
	r.compare(began, faults, outcomes)
	return outcomes, nil
}

// begin injects the faults, each once, and returns that of each drill.
func (r *running) begin(ctx context.Context) ([]*injected, error) {
	faults := make([]*injected, len(r.run.Drills))
	for i, d := range r.run.Drills {
		for _, other := range faults[:i] {
			if reflect.DeepEqual(other.fault, d.Fault) {
				faults[i] = other
			}
		}
		if faults[i] == nil {
			f := &injected{fault: d.Fault, began: time.Now()}
			end, err := r.inject(ctx, d.Fault)
			if err != nil {
				return faults, fmt.Errorf("runner: %s: %s: %w", d.Alert, d.Fault.Kind, err)
			}
			f.end = sync.OnceValue(func() error { err := end(); f.ended = time.Now(); return err })
			faults[i] = f
		}
		faults[i].left.Add(1)
	}
	return faults, nil
}

// drill looks whether all that must follow from a fault does.
func (r *running) drill(ctx context.Context, d drill.Drill, f *injected, o *Outcome) {
	r.during(ctx, d, f, o)
	f.left.Done()
	f.left.Wait() // for those who share it
	if err := f.end(); err != nil {
		o.problem("the fault could not be ended: %v", err)
		return
	}
	r.after(ctx, d, f, o)
}

// during is the time of the fault.
func (r *running) during(ctx context.Context, d drill.Drill, f *injected, o *Outcome) {
	lasting, cancel := context.WithDeadline(ctx, f.began.Add(time.Duration(d.Fault.For)))
	defer cancel()
	// Some panels show it for a short time only: look while the alert is awaited.
	showing, end := context.WithDeadline(ctx, f.began.Add(time.Duration(d.Expect.Within)+10*time.Second))
	defer end()
	var looking sync.WaitGroup
	var unseen error
	var empty []string
	looking.Go(func() { unseen = r.shows(showing, d, o) })
	looking.Go(func() { empty = r.stillEmpty(showing, d) })
	waiting, stop := context.WithDeadline(ctx, f.began.Add(time.Duration(d.Expect.Within)))
	defer stop()
	a, err := r.arrived(waiting, f.began, func(a stack.Arrival) bool { return a.Firing && matches(d, a) })
	if err != nil {
		pending, _ := r.stack.Prometheus.Query(ctx, fmt.Sprintf("ALERTS{alertname=%q}", d.Alert))
		o.problem("the alert did not arrive within %v; Prometheus says of it: %v", o.Within, pending)
	} else {
		o.Fired, o.Summary, o.Receiver = a.At.Sub(f.began), a.Summary, a.Receiver
	}
	looking.Wait()
	if unseen != nil {
		o.problem("the panel does not show it: %s (%v)", o.Shown, unseen)
	}
	for _, text := range empty {
		o.problem("nothing fills %s", text)
	}
	if len(d.Silent) == 0 {
		return
	}
	// What must be kept back must be kept back as long as the fault lasts.
	<-lasting.Done()
	o.Kept = r.keptBack(ctx)
}

// shows waits until the panel shows what it must, and notes what it shows.
func (r *running) shows(ctx context.Context, d drill.Drill, o *Outcome) error {
	return until(ctx, func(ctx context.Context) (bool, error) {
		seen, what, err := r.look(ctx, r.sources, d.Panel)
		if err == nil {
			o.Shown = what
		}
		return seen, err
	})
}

// stillEmpty waits until each query that the drill must fill has had an answer,
// and returns those that had none.
func (r *running) stillEmpty(ctx context.Context, d drill.Drill) []string {
	missing := r.fills(d)
	_ = until(ctx, func(ctx context.Context) (bool, error) {
		var last error
		missing = slices.DeleteFunc(missing, func(text string) bool {
			got, err := r.stack.Prometheus.Query(ctx, text)
			last = errors.Join(last, err)
			return len(got) > 0
		})
		return len(missing) == 0, last
	})
	return missing
}

// after is the time until all is well again.
func (r *running) after(ctx context.Context, d drill.Drill, f *injected, o *Outcome) {
	if o.Fired == 0 {
		return
	}
	clearing, cancel := context.WithDeadline(ctx, f.ended.Add(time.Duration(d.Clears)))
	defer cancel()
	// The last word counts: an alert of several processes clears for one after
	// the other, and may come back in between.
	err := until(clearing, func(ctx context.Context) (bool, error) {
		all, _ := r.webhook.Arrivals()
		open := map[string]bool{}
		var last time.Time
		for _, a := range all {
			if !matches(d, a) {
				continue
			}
			key := fmt.Sprint(a.Labels)
			if a.Firing {
				open[key] = true
			} else {
				delete(open, key)
				last = a.At
			}
		}
		firing, err := r.firing(ctx, d)
		if len(open) > 0 || firing || err != nil {
			return false, err
		}
		o.Cleared = max(last.Sub(f.ended), 0)
		return true, nil
	})
	if err != nil {
		o.problem("the alert had not cleared %v after the end of the fault", o.Clears)
	}
}

// compare holds what arrived in the run to what may arrive.
func (r *running) compare(began time.Time, faults []*injected, outcomes []Outcome) {
	during, after := r.run.tolerated()
	end := time.Now()
	first := end
	for _, f := range faults {
		if f.ended.Before(first) {
			first = f.ended
		}
	}
	besides := r.names(began, end)
	for i, d := range r.run.Drills {
		for _, name := range besides {
			if name != d.Alert && name != "Watchdog" {
				outcomes[i].Besides = append(outcomes[i].Besides, name)
			}
		}
	}
	// Some notifications are under way when the fault ends.
	for _, name := range r.names(began, first) {
		if !during[name] {
			outcomes[0].problem("%s arrived while the fault lasted: %s", name, r.words(name, began))
		}
	}
	for _, name := range r.names(first, end) {
		if !after[name] {
			outcomes[0].problem("%s arrived: %s", name, r.words(name, first))
		}
	}
}

// quiet is the run in which nothing is broken: the watchdog arrives, and
// nothing else.
func (r *running) quiet(ctx context.Context, last time.Duration) ([]Outcome, error) {
	d := r.run.Drills[0]
	o := Outcome{Alert: d.Alert, Run: r.run.Name, Fault: fmt.Sprintf("none, for %v", last), Panel: d.Panel.String(), Within: time.Duration(d.Expect.Within)}
	began := time.Now()
	waiting, cancel := context.WithTimeout(ctx, o.Within)
	defer cancel()
	// It is sent anew at short intervals.
	a, err := r.arrived(waiting, began, func(a stack.Arrival) bool { return a.Firing && matches(d, a) })
	if err != nil {
		o.problem("the watchdog did not arrive within %v", o.Within)
	} else {
		o.Fired, o.Summary, o.Receiver = a.At.Sub(began), a.Summary, a.Receiver
	}
	seen, what, err := r.look(ctx, r.sources, d.Panel)
	if o.Shown = what; err != nil || !seen {
		o.problem("the panel does not show it: %s (%v)", what, err)
	}
	if err := pause(ctx, time.Until(began.Add(last))); err != nil {
		return nil, err
	}
	for _, name := range r.names(began, time.Now()) {
		if name != d.Alert {
			o.problem("%s arrived though nothing was broken: %s", name, r.words(name, began))
		}
	}
	return []Outcome{o}, nil
}

// keptBack returns the alerts that fire and that Alertmanager inhibits.
func (r *running) keptBack(ctx context.Context) []string {
	firing, err := r.stack.Prometheus.Firing(ctx)
	if err != nil {
		return nil
	}
	arrived := r.names(time.Time{}, time.Now())
	return slices.DeleteFunc(firing, func(name string) bool { return slices.Contains(arrived, name) })
}

func (o *Outcome) problem(format string, args ...any) {
	o.Problems = append(o.Problems, strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}
