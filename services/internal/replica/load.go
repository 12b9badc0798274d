package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// errMoved: the log changed its epoch while it was being read.
var errMoved = errors.New("replica: the epoch changed during a load")

// load brings the picture to the head of the log from nothing: checkpoint,
// then log. It reports whether that worked; if not, it is tried again later.
func (r *Replica) load(ctx context.Context) bool {
	err := r.tryLoad(ctx)
	var stale *store.StaleError
	if errors.As(err, &stale) || errors.Is(err, errMoved) {
		// The epoch has changed meanwhile: by this very look at the head,
		// perhaps, when it is the first after a restart of Redis.
		err = r.tryLoad(ctx)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, store.ErrVersion):
		r.unreadable(err)
	case errors.Is(err, store.ErrNotFound) && r.o.Recreate == nil:
		r.stop(err)
	case ctx.Err() == nil:
		r.o.Logger.Warn("loading the canvas failed; will try again", "canvas", r.o.ID, "error", err)
	}
	return false
}

// reload loads again and leaves what is held as it is until that has worked.
func (r *Replica) reload(ctx context.Context) {
	if !r.load(ctx) && r.isLoaded {
		r.setReachable(false) // the next look at the head finds the same again
	}
}

func (r *Replica) tryLoad(ctx context.Context) error {
	r.o.Metrics.loads.Inc()
	begin := time.Now()
	meta, err := r.meta(ctx)
	if err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, r.o.CallTimeout)
	checkpoint, err := r.o.Source.LoadCheckpoint(call, r.o.ID)
	cancel()
	if errors.Is(err, store.ErrCorrupt) {
		// The log may still reach back to the beginning; if not, reading it
		// fails and says so.
		r.o.Logger.Error("the checkpoint is corrupt; reading the whole log", "canvas", r.o.ID, "error", err)
		checkpoint, err = nil, nil
	}
	if err != nil {
		return err
	}

	grid := canvas.NewGrid(meta.Spec)
	at := canvas.Position{Epoch: meta.Epoch}
	var stamp int64
	if checkpoint != nil {
		if checkpoint.Position.Epoch != meta.Epoch {
			return errMoved
		}
		grid, at, stamp = checkpoint.Grid.Thaw(), checkpoint.Position, checkpoint.Time
	}
	loading := loader{r: r, grid: grid, at: at, time: stamp}
	loading.marks.add(at.Seq, grid.Hash()) // the checkpoint's own, or a blank canvas
	if err := loading.readLog(ctx); err != nil {
		return err
	}
	// The picture is that of the epoch only if the epoch is still the same now
	// that all is read.
	seen := loading.at
	if seen.Epoch == r.pos.Epoch {
		seen.Seq = max(seen.Seq, r.pos.Seq) // what was seen before may be lost by now
	}
	call, cancel = context.WithTimeout(ctx, r.o.CallTimeout)
	head, err := r.o.Source.Check(call, r.o.ID, seen)
	cancel()
	if err != nil {
		return err // among others that it is another one
	}
	r.o.Metrics.loading.Observe(time.Since(begin).Seconds())
	r.install(&loading)
	r.aim(head.Seq)
	return nil
}

// meta returns the canvas's meta and creates the canvas where that is wanted.
func (r *Replica) meta(ctx context.Context) (store.Meta, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.CallTimeout)
	defer cancel()
	meta, err := r.o.Source.Meta(ctx, r.o.ID)
	if errors.Is(err, store.ErrNotFound) && r.o.Recreate != nil {
		meta, _, err = r.o.Source.Create(ctx, r.o.ID, *r.o.Recreate, 0)
	}
	return meta, err
}

// loader is a load under way.
type loader struct {
	r      *Replica
	grid   *canvas.Grid
	at     canvas.Position
	time   int64
	recent []*canvas.Entry
	pixels int // of recent
	trims  int
	marks  trail
}

// readLog applies the log from the loader's position to its end. It begins
// somewhat earlier where it can, only to remember those entries for clients
// that resume.
func (l *loader) readLog(ctx context.Context) error {
	since := l.at.Seq
	if early := uint64(max(0, l.r.o.Recent)); early > 0 {
		since -= min(since, early)
	}
	for {
		call, cancel := context.WithTimeout(ctx, l.r.o.CallTimeout)
		entries, head, err := l.r.o.Source.Read(call, l.r.o.ID, since, l.r.o.ReadLimit)
		cancel()
		if errors.Is(err, store.ErrTrimmed) && since < l.at.Seq {
			// No history from there, then: begin where the log does now.
			since, l.recent, l.pixels = l.oldest(ctx), nil, 0
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.First != since+1 {
				return fmt.Errorf("replica: the log of %q has a hole between %d and %d", l.r.o.ID, since, e.First)
			}
			since = e.Last()
			l.remember(e)
			if rest := e.After(l.at.Seq); rest != nil {
				for i := range rest.Ops {
					if !l.grid.Apply(&rest.Ops[i]) {
						l.r.o.Metrics.noops.Inc()
					}
				}
				l.at.Seq, l.time = rest.Last(), rest.Time
				l.marks.add(rest.Last(), l.grid.Hash())
			}
		}
		if since >= head {
			if since > l.at.Seq {
				return fmt.Errorf("replica: the log of %q has its head at %d, before the checkpoint's %d", l.r.o.ID, head, l.at.Seq)
			}
			return nil
		}
		if len(entries) == 0 {
			return fmt.Errorf("replica: the log of %q ends at %d; its head is %d", l.r.o.ID, since, head)
		}
	}
}

// oldest returns the position before the first entry that the log still has,
// at most the loader's.
func (l *loader) oldest(ctx context.Context) uint64 {
	ctx, cancel := context.WithTimeout(ctx, l.r.o.CallTimeout)
	defer cancel()
	_, oldest, err := l.r.o.Source.LogInfo(ctx, l.r.o.ID)
	if l.trims++; err != nil || oldest == 0 || l.trims > 3 {
		return l.at.Seq // it is being trimmed: no history before the checkpoint
	}
	return min(oldest-1, l.at.Seq)
}

// maxRecentPixels bounds what is remembered by its memory, too: an operation
// may have thousands of pixels.
const maxRecentPixels = 256 << 10

func pixels(e *canvas.Entry) (n int) {
	for i := range e.Ops {
		n += len(e.Ops[i].Pixels)
	}
	return n
}

// remember keeps an entry for those who resume, bounded by Options.Recent.
func (l *loader) remember(e *canvas.Entry) {
	if l.r.o.Recent < 0 {
		return
	}
	l.recent = append(l.recent, e)
	l.pixels += pixels(e)
	for len(l.recent) > 1 && (e.Last()-l.recent[0].Last() > uint64(l.r.o.Recent) || l.pixels > maxRecentPixels) {
		l.pixels -= pixels(l.recent[0])
		l.recent = l.recent[1:]
	}
}

// install makes what was loaded the replica's picture.
func (r *Replica) install(l *loader) {
	r.mu.Lock()
	r.grid, r.pos, r.time, r.frozen = l.grid, l.at, l.time, nil
	first := !r.isLoaded
	r.isLoaded = true
	r.reachable = true
	r.mu.Unlock()
	r.trail, r.pending, r.target = l.marks, nil, 0
	r.scrub.era++
	r.setAway(false)
	r.showPosition()
	r.showHead(l.at.Seq)
	r.o.Logger.Info("the canvas is loaded", "canvas", r.o.ID, "position", l.at.String())
	if r.o.Observer != nil {
		r.o.Observer.Restarted(l.at, l.grid.Spec(), l.recent)
		r.o.Observer.Reachable(true)
	}
	r.hasTold()
	if first {
		close(r.loaded)
	}
}

// catchUp reads what is missing from the log.
func (r *Replica) catchUp(ctx context.Context) {
	for r.pos.Seq < r.target {
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, r.o.CallTimeout)
		entries, head, err := r.o.Source.Read(call, r.o.ID, r.pos.Seq, r.o.ReadLimit)
		cancel()
		// What was read before an error is good.
		for _, e := range entries {
			if e.Epoch != r.pos.Epoch || e.First != r.pos.Seq+1 {
				// What follows this replica's position in the log is another
				// history.
				r.check.kick()
				r.target = r.pos.Seq
				return
			}
			r.o.Metrics.repairs.Add(float64(len(e.Ops)))
			r.apply(e, asked, tracing.Log)
		}
		switch {
		case errors.Is(err, store.ErrTrimmed):
			r.o.Logger.Warn("the log was trimmed behind this replica; loading the checkpoint", "canvas", r.o.ID, "held", r.pos.String())
			r.reload(ctx)
			return
		case errors.Is(err, store.ErrVersion):
			r.unreadable(err)
			return
		case err != nil:
			if ctx.Err() == nil {
				r.o.Logger.Warn("reading the log failed; will try again", "canvas", r.o.ID, "error", err)
			}
			r.repair.Reset(jitter(r.o.CheckEvery / 2))
			return
		case len(entries) == 0:
			// The log does not reach as far as was said: another epoch, or a
			// claim that was wrong.
			r.target = min(r.target, max(head, r.pos.Seq))
			r.check.kick()
			return
		}
	}
	if !r.Reachable() {
		r.check.kick() // to learn that the log is there and reached
	}
}
