package model

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
)

// Who takes part in each example.
const (
	gateways = 3
	apis     = 2
	clients  = 5
)

// step is one thing that happens.
type step func(w *world)

// plan is an example before it happens: whatever comes of one step, the next
// is the same. So the same plan can be tried again.
type plan struct {
	settings settings
	steps    []step
}

func drawPlan(t *rapid.T) *plan {
	p := &plan{settings: settings{
		spec:      rapid.SampledFrom([]canvas.Spec{{Width: 24, Height: 16, Background: canvas.White}, {Width: 64, Height: 48, Background: canvas.White}}).Draw(t, "canvas"),
		history:   rapid.SampledFrom([]int{4, 40, 16 << 10}).Draw(t, "operations a gateway remembers"),
		slow:      rapid.SampledFrom([]time.Duration{15 * time.Second, 50 * time.Millisecond}).Draw(t, "slow-consumer time"),
		queue:     rapid.SampledFrom([]int{256 << 10, 1 << 10}).Draw(t, "bytes that may wait"),
		retention: rapid.SampledFrom([]uint64{1, 10}).Draw(t, "retention"),
		patient:   rapid.IntRange(0, 19).Draw(t, "patience") == 19,
	}}
	actions := make(map[string]func(*rapid.T))
	for name, draw := range kinds {
		actions[name] = func(t *rapid.T) { p.steps = append(p.steps, draw(t)) }
	}
	t.Repeat(actions)
	return p
}

// breach is a promise that was not kept. What says which, in the same words
// each time, so that a plan and a shorter one can be seen to fail alike.
type breach struct{ what, detail string }

func (b *breach) Error() string { return b.what + ": " + b.detail }

func broken(what, format string, args ...any) *breach {
	return &breach{what, fmt.Sprintf(format, args...)}
}

// trial tries plans on a server.
type trial struct {
	server *embedded.Server
	// first is told what was wrong at first. rapid shows only what it can bring
	// about once more.
	first  func(format string, args ...any)
	counts *tally
	// failed is set when a plan has: then those that are tried to find a
	// shorter one need not wait as long for what does not come, and are tried
	// several times, since goroutines do not take turns as a plan says.
	failed atomic.Bool
}

func (r *trial) try(t *rapid.T) {
	p := drawPlan(t)
	times := 1
	if r.failed.Load() {
		times = 4
	}
	for range times {
		script, found := r.happen(p)
		if found == nil {
			continue
		}
		first := !r.failed.Swap(true)
		var b strings.Builder
		for i, line := range script {
			fmt.Fprintf(&b, "\n%4d. %s", i+1, line)
		}
		if first {
			r.first("%s: %s\nafter%s", found.what, found.detail, b.String())
		}
		t.Logf("%s\nafter%s", found.detail, b.String())
		t.Fatal(found.what)
	}
}

// happen has a plan happen once. It returns what came to pass and what was
// wrong about it, if anything.
func (r *trial) happen(p *plan) (script []string, found *breach) {
	w := &world{settings: p.settings, server: r.server, gate: newGate(), tally: r.counts, patience: time.Minute, nextMark: 1}
	if r.failed.Load() {
		w.patience = 4 * time.Second
	}
	defer func() {
		if late := w.close(); late != nil && found == nil {
			script, found = w.script, late
		}
	}()
	defer func() {
		if x := recover(); x != nil {
			b, ok := x.(*breach)
			if !ok {
				panic(x)
			}
			script, found = w.script, b
		}
	}()
	w.begin()
	for _, s := range p.steps {
		s(w)
	}
	w.finish()
	return w.script, nil
}
