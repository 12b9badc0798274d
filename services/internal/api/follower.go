package api

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// follower watches how far the checkpoint of one canvas is behind, and renews
// it while this process holds the lease.
type follower struct {
	c      *checkpointer
	id     string
	log    *slog.Logger
	cancel context.CancelFunc

	// Owned by run.
	replica   *replica.Replica
	traces    *traces
	base      *store.Checkpoint // the one that this process saved last, if it is still the stored one
	leaseAt   time.Time         // when to ask for the lease again
	markAt    time.Time         // when to look at the stored checkpoint again
	notBefore time.Time         // of the next try after a failure

	mu      sync.Mutex
	known   bool            // what follows was read
	at      canvas.Position // of the replica
	saved   canvas.Position // of the stored checkpoint
	held    bool            // the lease
	entries int64           // of the log
	unsaved []moment        // when positions after saved were first seen, oldest first
}

// moment says that the canvas was at seq at that time.
type moment struct {
	seq uint64
	at  time.Time
}

// maxMoments bounds what is remembered while no checkpoint can be written. The
// oldest counts, so later ones are given up.
const maxMoments = 256

// lag is what the metrics tell of a canvas.
type lag struct {
	operations uint64
	age        time.Duration
	leases     int
	entries    int64
}

func (f *follower) lag(now time.Time) (l lag, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at.Seq > f.saved.Seq {
		l.operations = f.at.Seq - f.saved.Seq
	}
	if len(f.unsaved) > 0 {
		l.age = now.Sub(f.unsaved[0].at)
	}
	if f.held {
		l.leases = 1
	}
	l.entries = f.entries
	return l, f.known
}

// run follows the canvas until the context ends or there is nothing to follow.
func (f *follower) run(ctx context.Context) {
	c, err := f.c.pool.Get(ctx, f.id)
	if err != nil {
		return // the next look at the active canvases tries again
	}
	defer c.Release()
	f.replica, f.traces = c.Replica, &attachedTo(c).traces
	defer f.end(ctx)
	for ctx.Err() == nil && f.replica.Err() == nil {
		f.step(ctx)
		tick := f.c.o.tick()
		timer := time.NewTimer(tick*4/5 + rand.N(tick*2/5+1))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step is one look at the canvas.
func (f *follower) step(ctx context.Context) {
	now := time.Now()
	if now.After(f.leaseAt) {
		f.leaseAt = now.Add(f.c.o.leaseTTL() / 3)
		f.lease(ctx)
	}
	f.note(f.replica.Position(), now)
	if now.After(f.markAt) {
		f.look(ctx)
	}
	if l, known := f.lag(now); known && f.held && now.After(f.notBefore) &&
		l.operations > 0 && (l.age >= f.c.o.interval || l.operations >= f.c.o.operations) {
		f.save(ctx)
	}
}

// lease takes or prolongs the lease.
func (f *follower) lease(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	held, err := f.c.store.AcquireLease(call, f.id, f.c.o.owner, f.c.o.leaseTTL())
	f.mu.Lock()
	was := f.held
	f.held = held && err == nil
	f.mu.Unlock()
	switch {
	case held && !was:
		f.log.Info("this process writes the checkpoints")
		f.base, f.markAt = nil, time.Time{} // another one wrote until now
	case was && !f.held && ctx.Err() == nil:
		f.log.Warn("this process no longer writes the checkpoints", "error", err)
	}
}

// note remembers when positions were first seen.
func (f *follower) note(at canvas.Position, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.Epoch != f.at.Epoch {
		f.unsaved, f.base, f.markAt = nil, nil, time.Time{} // another history, and another checkpoint
	}
	f.at = at
	last := f.saved.Seq
	if n := len(f.unsaved); n > 0 {
		last = f.unsaved[n-1].seq
	}
	if f.known && at.Seq > last && len(f.unsaved) < maxMoments {
		f.unsaved = append(f.unsaved, moment{at.Seq, now})
	}
}

// look reads what is stored.
func (f *follower) look(ctx context.Context) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	mark, err := f.c.store.CheckpointMark(call, f.id)
	if err != nil {
		f.log.Debug("the stored checkpoint cannot be looked at", "error", err)
		return
	}
	entries, _, err := f.c.store.LogInfo(call, f.id)
	if err != nil {
		f.log.Debug("the log cannot be looked at", "error", err)
		return
	}
	f.markAt = time.Now().Add(f.c.o.interval)
	saved := canvas.Position{}
	if mark != nil {
		saved = mark.Position
	}
	f.stored(saved, entries)
	f.note(f.replica.Position(), time.Now())
}

// stored takes what is known to be stored now.
func (f *follower) stored(at canvas.Position, entries int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known, f.saved, f.entries = true, at, entries
	for len(f.unsaved) > 0 && f.unsaved[0].seq <= at.Seq {
		f.unsaved = f.unsaved[1:]
	}
}

// save writes a checkpoint, then trims the log.
func (f *follower) save(ctx context.Context) {
	select {
	case f.c.saving <- struct{}{}:
		defer func() { <-f.c.saving }()
	case <-ctx.Done():
		return
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	frozen, at, stamp := f.replica.Freeze()
	call, span := f.c.tracer.Checkpoint(call, f.id, f.covered(at.Seq))
	defer span.End()
	checkpoint := &store.Checkpoint{Position: at, Time: stamp, Grid: frozen}
	if !frozen.Sound() {
		// Stored, it could not be loaded by anybody: better none than this one.
		f.c.metrics.checkpoints.WithLabelValues(checkpointDamaged).Inc()
		f.log.Error("the picture in memory is damaged; no checkpoint of it is written", "position", at.String())
		f.replica.Suspect()
		f.notBefore = time.Now().Add(f.c.o.interval)
		return
	}
	start := time.Now()
	err := f.c.store.SaveCheckpoint(call, f.id, checkpoint, f.base)
	switch {
	case errors.Is(err, store.ErrConflict):
		// Another process was faster, or a new epoch began. What is stored now
		// says how to go on.
		f.c.metrics.checkpoints.WithLabelValues(checkpointConflict).Inc()
		span.Fail(checkpointConflict, err)
		f.base, f.markAt = nil, time.Time{}
		return
	case err != nil:
		f.c.metrics.checkpoints.WithLabelValues(checkpointFailed).Inc()
		span.Fail(checkpointFailed, err)
		f.log.WarnContext(call, "a checkpoint could not be written", "position", at.String(), "error", err)
		f.base, f.markAt = nil, time.Time{} // it may have been written all the same
		f.notBefore = start.Add(f.c.o.interval)
		return
	}
	f.c.metrics.checkpoints.WithLabelValues(checkpointSaved).Inc()
	f.c.metrics.checkpointDuration.Observe(time.Since(start).Seconds())
	f.base = checkpoint
	f.trim(call, at)
}

// covered is what a checkpoint at the position covers.
func (f *follower) covered(at uint64) tracing.Covered {
	c := tracing.Covered{Last: at}
	f.mu.Lock()
	c.First = min(f.saved.Seq+1, at)
	f.mu.Unlock()
	c.Sampled, c.Dropped = f.traces.take(at)
	return c
}

// trim drops what the checkpoint has from the log.
func (f *follower) trim(ctx context.Context, at canvas.Position) {
	removed, err := f.c.store.Trim(ctx, f.id)
	if err == nil {
		f.c.metrics.trimmed.Add(float64(removed))
	}
	entries, _, infoErr := f.c.store.LogInfo(ctx, f.id)
	if err = errors.Join(err, infoErr); err != nil {
		f.log.WarnContext(ctx, "the log could not be trimmed", "error", err)
		f.mu.Lock()
		entries = f.entries
		f.mu.Unlock()
	}
	f.stored(at, entries)
}

// end writes a last checkpoint and gives the lease up, so that another process
// has both at once. It is bounded: the log has everything anyway.
func (f *follower) end(ctx context.Context) {
	if !f.held {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	f.note(f.replica.Position(), time.Now())
	if l, known := f.lag(time.Now()); known && l.operations > 0 && f.replica.Err() == nil {
		f.save(ctx)
	}
	if err := f.c.store.ReleaseLease(ctx, f.id, f.c.o.owner); err != nil {
		f.log.Debug("the lease could not be given up", "error", err)
	}
}
