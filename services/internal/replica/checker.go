package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// checker is the one reader of the head of a canvas's log in this process.
// Whoever wants to know the head waits for a fetch that begins after he came;
// all who wait share it.
type checker struct {
	r     *Replica
	kicks chan struct{}
	found chan finding // for Run; the newest only

	mu   sync.Mutex
	next *fetch // begins as soon as the one under way has ended
}

// fetch is one read of the head.
type fetch struct {
	done chan struct{}
	finding
}

type finding struct {
	held, told canvas.Epoch // of the replica, before the look; see positions
	at         canvas.Position
	err        error
}

func newChecker(r *Replica) *checker {
	return &checker{r: r, kicks: make(chan struct{}, 1), found: make(chan finding, 1)}
}

// kick asks for a fetch without waiting for it.
func (c *checker) kick() {
	select {
	case c.kicks <- struct{}{}:
	default:
	}
}

// head returns the position of the log at some moment after the call.
func (c *checker) head(ctx context.Context) (finding, error) {
	c.mu.Lock()
	f := c.next
	if f == nil {
		f = &fetch{done: make(chan struct{})}
		c.next = f
	}
	c.mu.Unlock()
	c.kick()
	select {
	case <-f.done:
		return f.finding, f.err
	case <-ctx.Done():
		return finding{}, ctx.Err()
	}
}

func (c *checker) run(ctx context.Context) {
	timer := time.NewTimer(jitter(c.r.o.CheckEvery))
	defer timer.Stop()
	defer c.abandon()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-c.kicks:
		}
		f := c.fetch(ctx)
		// Run is told of the newest finding only.
		select {
		case <-c.found:
		default:
		}
		c.found <- f
		timer.Reset(jitter(c.r.o.CheckEvery))
	}
}

// fetch reads the head for all who wait by now.
func (c *checker) fetch(ctx context.Context) finding {
	c.mu.Lock()
	f := c.next
	c.next = nil // later comers need a later fetch
	c.mu.Unlock()

	held, told := c.r.positions()
	result := finding{held: held.Epoch, told: told.Epoch, err: ErrBehind} // as long as nothing is loaded
	if !held.Epoch.IsZero() {
		call, cancel := context.WithTimeout(ctx, c.r.o.CallTimeout)
		result.at, result.err = c.r.o.Source.Check(call, c.r.o.ID, held)
		cancel()
	}
	waiting := result
	label := "failed"
	var stale *store.StaleError
	switch {
	case result.err == nil:
		label = "ok"
	case errors.As(result.err, &stale):
		// Whoever waits gets what he asked for when the new epoch is loaded.
		label, waiting = "stale", finding{held: held.Epoch, told: told.Epoch, at: stale.Current}
	case errors.Is(result.err, store.ErrNotFound):
		label = "missing"
	}
	c.r.o.Metrics.checks.WithLabelValues(label).Inc()
	if f != nil {
		f.finding = waiting
		close(f.done)
	}
	return result
}

// abandon releases those who still wait when the replica ends.
func (c *checker) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		c.next.err = ErrStopped
		close(c.next.done)
		c.next = nil
	}
}
