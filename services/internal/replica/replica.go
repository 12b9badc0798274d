package replica

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/prometheus/client_golang/prometheus"
)

// Errors of a replica.
var (
	// ErrStopped: the replica has ended, or stopped applying because of a
	// record of an unknown version.
	ErrStopped = errors.New("replica: stopped")
	// ErrBehind: the log could not be reached, or not be caught up with in
	// time.
	ErrBehind = errors.New("replica: not up to date with the log")
)

// Replica follows one canvas. All methods except Run may be called by any
// goroutine.
type Replica struct {
	o     Options
	check *checker

	mu        sync.Mutex
	grid      *canvas.Grid
	pos       canvas.Position
	told      canvas.Position // of which the observer knows
	time      int64           // of the last entry, ms since the Unix epoch
	loaded    chan struct{}
	isLoaded  bool
	err       error         // set for good when the replica has stopped
	moved     chan struct{} // closed when told changes
	reachable bool
	frozen    *canvas.Frozen // of pos, or nil

	gauge, headGauge prometheus.Gauge // of the position and the log's head, or nil

	// Owned by Run.
	target   uint64    // the log is known to reach up to here
	goal     uint64    // what the repair timer waits for
	behind   time.Time // since when the goal is not reached, while target is ahead
	away     bool      // counted as such
	trail    trail
	diverged bool        // from the checkpoint, or from itself: to be loaded again
	pending  *store.Mark // of a checkpoint ahead of this replica
	expected chan uint64
	repair   *time.Timer
	scrub    scrub

	suspected chan struct{} // see Suspect
}

// New returns a replica that does not run yet.
func New(o Options) *Replica {
	o.setDefaults()
	r := &Replica{
		o:        o,
		loaded:   make(chan struct{}),
		moved:    make(chan struct{}),
		expected: make(chan uint64, 1),

		suspected: make(chan struct{}, 1),
		scrub:     scrub{done: make(chan scrubbed, 1)},
	}
	r.check = newChecker(r)
	if o.Series {
		r.gauge, r.headGauge = o.Metrics.position.WithLabelValues(o.ID), o.Metrics.head.WithLabelValues(o.ID)
	}
	return r
}

// ID returns the canvas's id.
func (r *Replica) ID() string { return r.o.ID }

// Loaded is closed when the replica has caught up with the log for the first
// time, or has stopped: see Err.
func (r *Replica) Loaded() <-chan struct{} { return r.loaded }

// Err returns why the replica stopped applying, or nil.
func (r *Replica) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Position returns the position up to which the picture is applied.
func (r *Replica) Position() canvas.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pos
}

// Reachable tells whether the log could be reached lately.
func (r *Replica) Reachable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reachable
}

// Spec returns the canvas's size and background; valid once loaded.
func (r *Replica) Spec() canvas.Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grid == nil {
		return canvas.Spec{}
	}
	return r.grid.Spec()
}

// Freeze returns the picture of this moment, its position and the time of its
// last entry (ms since the Unix epoch, 0 when the canvas is blank). Valid once
// loaded.
func (r *Replica) Freeze() (*canvas.Frozen, canvas.Position, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen == nil {
		r.frozen = r.grid.Freeze()
	}
	return r.frozen, r.pos, r.time
}

// At returns the colour of a cell on the canvas and the position at which it
// is so. Valid once loaded.
func (r *Replica) At(x, y int) (canvas.Color, canvas.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grid.At(x, y), r.pos
}

// Expect tells the replica that the log reaches up to at: it looks by itself
// when no live message brings it there soon.
func (r *Replica) Expect(at canvas.Position) {
	if at.Epoch != r.Position().Epoch {
		r.Refresh()
		return
	}
	for {
		select {
		case r.expected <- at.Seq:
			return
		case seq := <-r.expected: // room for one: keep the greater
			at.Seq = max(at.Seq, seq)
		}
	}
}

// Suspect tells the replica that its picture was found to be damaged: it makes
// it anew from the store.
func (r *Replica) Suspect() {
	select {
	case r.suspected <- struct{}{}:
	default:
	}
}

// Refresh has the replica compare itself with the log soon.
func (r *Replica) Refresh() { r.check.kick() }

// Run follows the log until the context ends. It waits for Redis at the start
// as long as it takes.
func (r *Replica) Run(ctx context.Context) {
	sub := r.o.Source.Subscribe(ctx, r.o.ID)
	defer func() { _ = sub.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	var checking sync.WaitGroup
	checking.Go(func() { r.check.run(ctx) })
	defer checking.Wait()
	defer cancel()
	defer r.stop(ErrStopped)
	r.setAway(true) // until it is loaded
	defer r.setAway(false)

	r.repair = time.NewTimer(time.Hour)
	defer r.repair.Stop()
	audit := time.NewTicker(r.o.AuditEvery)
	defer audit.Stop()

	// The subscription first: what is published from its confirmation on is
	// buffered there, and the log has all that was before.
	due := false // a first load
	for ctx.Err() == nil {
		if due && !r.isLoaded && r.Err() == nil {
			due = false
			if !r.load(ctx) {
				r.repair.Reset(jitter(r.o.CheckEvery / 2))
			}
		}
		if r.diverged && r.isLoaded {
			r.diverged = false
			r.reload(ctx)
		}
		select {
		case <-ctx.Done():
		case event, open := <-sub.Events():
			if !open {
				return
			}
			switch event.Kind {
			case store.Confirmed:
				due = true
				if r.isLoaded {
					r.check.kick()
				}
			case store.Live:
				r.o.Metrics.live.Inc()
				if r.isLoaded {
					r.receive(ctx, event)
				}
			case store.Unreadable:
				r.unreadable(event.Err)
			}
		case seq := <-r.expected:
			r.aim(seq)
		case found := <-r.check.found:
			r.checked(ctx, found)
		case <-r.repair.C:
			if due = !r.isLoaded; !due {
				r.overdue(ctx)
			}
		case <-audit.C:
			if r.isLoaded {
				r.audit(ctx)
				r.beginScrub(&checking)
			}
		case found := <-r.scrub.done:
			r.scrubbed(found)
		case <-r.suspected:
			r.diverged = true
		}
	}
}

// aim notes how far the log is known to reach and sees to it that the replica
// gets there.
func (r *Replica) aim(seq uint64) {
	if seq <= r.pos.Seq || seq <= r.target {
		return // there already, or known
	}
	// The time runs from the first that is missing: were it set anew for each
	// one more, a stream of appends would put the repair off for ever.
	if r.target <= r.pos.Seq {
		r.goal, r.behind = seq, time.Now()
		r.repair.Reset(r.o.LagAfter)
	}
	r.target = seq
}

// overdue handles that something which the log is known to hold has not come
// by a live message in time.
func (r *Replica) overdue(ctx context.Context) {
	switch {
	case r.target <= r.pos.Seq:
	case r.pos.Seq >= r.goal: // that has come; meanwhile there is more
		r.goal, r.behind = r.target, time.Now()
		r.repair.Reset(r.o.LagAfter)
	default:
		r.catchUp(ctx)
	}
}

// receive handles a live message.
func (r *Replica) receive(ctx context.Context, event store.Event) {
	e := event.Entry
	if e.Epoch != r.pos.Epoch {
		// It may be the first of a new epoch or the last of an old one: only
		// the meta can tell.
		r.o.Metrics.foreign.Inc()
		r.check.kick()
		return
	}
	rest := e.After(r.pos.Seq)
	switch {
	case rest == nil:
		r.o.Metrics.duplicates.Inc()
	case rest.First == r.pos.Seq+1:
		r.apply(rest, event.At, tracing.Live)
	default:
		r.o.Metrics.gaps.Inc()
		r.aim(e.Last())
		r.catchUp(ctx)
	}
}

// checked handles a comparison with the head of the log.
func (r *Replica) checked(ctx context.Context, found finding) {
	var stale *store.StaleError
	switch {
	case !r.isLoaded:
	case errors.As(found.err, &stale):
		if stale.Current.Epoch != r.pos.Epoch {
			r.o.Metrics.epochs.Inc()
			// Something that this replica holds may be gone from the log, all of
			// it perhaps: somebody else may have noticed first and made the
			// canvas again, and others have drawn past this position since.
			r.rescue()
			r.o.Logger.Warn("the canvas has a new epoch", "canvas", r.o.ID, "position", stale.Current.String(), "held", r.pos.String())
			r.reload(ctx)
		} else { // it was loaded meanwhile
			r.aim(stale.Current.Seq)
		}
	case errors.Is(found.err, store.ErrNotFound):
		r.lost(ctx)
	case found.err != nil:
		r.setReachable(false)
	case found.at.Epoch == r.pos.Epoch:
		r.aim(found.at.Seq)
		r.showHead(found.at.Seq)
		switch late := time.Since(r.behind); {
		case r.pos.Seq >= found.at.Seq:
			r.setReachable(true)
		case r.target <= r.pos.Seq || !r.Reachable() || late > r.o.CheckEvery:
			r.catchUp(ctx) // do not wait for live messages any longer
			if r.pos.Seq < r.target && late > r.o.BehindAfter {
				// Redis answers, and still this picture grows old: its clients
				// must know.
				r.setReachable(false)
			}
		}
	}
}

// lost handles a canvas that Redis no longer has.
func (r *Replica) lost(ctx context.Context) {
	if r.o.Recreate == nil {
		r.stop(store.ErrNotFound)
		return
	}
	r.rescue()
	r.o.Logger.Error("the canvas is gone from Redis; it begins anew, blank", "canvas", r.o.ID, "held", r.pos.String())
	r.reload(ctx)
}

// rescue hands over the last picture of a history that is lost.
func (r *Replica) rescue() {
	if r.isLoaded && r.o.Rescue != nil {
		f, at, _ := r.Freeze()
		r.o.Rescue(r.o.ID, at, f)
	}
}

// unreadable handles a record that cannot be decoded.
func (r *Replica) unreadable(err error) {
	r.o.Metrics.unreadable.Inc()
	if errors.Is(err, store.ErrVersion) {
		// Another release writes what this one cannot read. Going on would
		// leave a hole.
		r.stop(err)
		return
	}
	r.o.Logger.Error("a live message cannot be read", "canvas", r.o.ID, "error", err)
	r.check.kick()
}

// apply applies the next entry, which arrived at that moment from that source,
// and tells the observer.
func (r *Replica) apply(e *canvas.Entry, at time.Time, source string) {
	span := r.o.Tracer.Process(r.o.ID, e, at, source)
	r.mu.Lock()
	for i := range e.Ops {
		if !r.grid.Apply(&e.Ops[i]) {
			r.o.Metrics.noops.Inc()
		}
	}
	r.pos.Seq, r.time = e.Last(), e.Time
	r.frozen = nil
	hash := r.grid.Hash()
	r.mu.Unlock()
	r.o.Metrics.applied.Add(float64(len(e.Ops)))
	r.o.Metrics.pixels.Add(float64(pixels(e)))
	for i := range e.Ops {
		if e.Ops[i].Kind == canvas.Reset {
			r.o.Metrics.resets.Inc()
		}
	}
	r.showPosition()
	r.trail.add(e.Last(), hash)
	if r.o.Observer != nil {
		r.o.Observer.Applied(e, span)
	} else {
		span.End()
	}
	r.hasTold()
	if r.pending != nil && e.Last() >= r.pending.Position.Seq {
		r.compare(r.pending)
		r.pending = nil
	}
}

func (r *Replica) showPosition() {
	if r.gauge != nil {
		r.gauge.Set(float64(r.pos.Seq))
	}
}

// showHead tells the log's head, or what is known to be at or before it.
func (r *Replica) showHead(seq uint64) {
	if r.headGauge != nil {
		r.headGauge.Set(float64(max(seq, r.pos.Seq)))
	}
}

// setAway counts this canvas among those whose log cannot be reached, or not.
func (r *Replica) setAway(is bool) {
	switch {
	case is && !r.away:
		r.o.Metrics.away.Inc()
	case !is && r.away:
		r.o.Metrics.away.Dec()
	}
	r.away = is
}

func (r *Replica) setReachable(ok bool) {
	r.setAway(!ok)
	r.mu.Lock()
	changed := r.reachable != ok
	r.reachable = ok
	r.mu.Unlock()
	if changed {
		if ok {
			r.o.Logger.Info("the log can be reached", "canvas", r.o.ID)
		} else {
			r.o.Logger.Warn("the log cannot be reached", "canvas", r.o.ID)
		}
		if r.o.Observer != nil {
			r.o.Observer.Reachable(ok)
		}
	}
}

// stop ends the replica for good; readers learn why.
func (r *Replica) stop(err error) {
	r.mu.Lock()
	if r.err != nil {
		r.mu.Unlock()
		return
	}
	r.err = err
	if !errors.Is(err, ErrStopped) {
		r.o.Logger.Error("the replica has stopped", "canvas", r.o.ID, "error", err)
	}
	close(r.moved)
	r.moved = make(chan struct{})
	if !r.isLoaded {
		close(r.loaded)
	}
	r.isLoaded = false
	r.mu.Unlock()
	if r.o.Observer != nil {
		r.o.Observer.Stopped(err)
	}
}

func jitter(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}
