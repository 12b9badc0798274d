package pixel

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"
	"go.k6.io/k6/js/modules"
	k6metrics "go.k6.io/k6/metrics"

	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/k6/faults"
	"github.com/cloud-pixel/playground/k6/metrics"
)

// Module is k6/x/pixel. There is one in a process; it holds what all virtual
// users share.
type Module struct {
	mu       sync.Mutex
	known    map[string]*k6metrics.Metric
	registry *k6metrics.Registry
	shared   map[string]*shared // groups of single clients, by what they connect to
	results  results
}

// results is what a run leaves for the report, besides k6's own figures.
type results struct {
	set     *metrics.Set // of the last swarm
	points  []fanout.Point
	painted time.Time
	events  []faults.Event
	notes   []string
	failure string
}

var (
	_ modules.Module   = &Module{}
	_ modules.Instance = &instance{}
)

// New returns the module.
func New() *Module {
	return &Module{shared: map[string]*shared{}, results: results{set: &metrics.Set{}}}
}

// instance is the module of one virtual user.
type instance struct {
	module *Module
	vu     modules.VU
	known  map[string]*k6metrics.Metric // by name
}

// NewModuleInstance registers the metrics, once for all virtual users of a
// test, and returns the module of one of them.
func (m *Module) NewModuleInstance(vu modules.VU) modules.Instance {
	known, err := m.register(vu.InitEnv().Registry)
	if err != nil {
		common.Throw(vu.Runtime(), err)
	}
	return &instance{module: m, vu: vu, known: known}
}

// Exports are what a script may import.
func (i *instance) Exports() modules.Exports {
	return modules.Exports{Named: map[string]any{
		"connect":    i.connect,
		"swarm":      i.newSwarm,
		"chaos":      i.newChaos,
		"sleepers":   i.sleepers,
		"playground": i.playground,
		"usage":      usage,
		"note":       i.module.note,
		"fail":       i.module.fail,
		"report":     i.report,
	}}
}

// note keeps a remark for the report.
func (m *Module) note(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results.notes = append(m.results.notes, text)
}

// fail keeps why a run did not come to its end.
func (m *Module) fail(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results.failure == "" {
		m.results.failure = text
	}
}

// running throws unless a virtual user is at work: in a script's outermost
// part, where k6 prepares everything, there is no network.
func (i *instance) running(what string) {
	if i.vu.State() == nil {
		common.Throw(i.vu.Runtime(), common.NewInitContextError(what+" is not possible while the script is loaded; call it in its functions"))
	}
}

// async does something beside the script and returns a promise of its result.
// The work ends with the virtual user at the latest.
func (i *instance) async(work func(context.Context) (any, error)) *sobek.Promise {
	rt := i.vu.Runtime()
	promise, resolve, reject := rt.NewPromise()
	back := i.vu.RegisterCallback()
	ctx := i.vu.Context()
	go func() {
		result, err := work(ctx)
		back(func() error {
			if err != nil {
				return reject(rt.NewGoError(err))
			}
			return resolve(result)
		})
	}()
	return promise
}

// throw makes an error an exception of the script.
func (i *instance) throw(err error) { common.Throw(i.vu.Runtime(), fmt.Errorf("pixel: %w", err)) }
