package replica

import (
	"context"
	"errors"

	"github.com/cloud-pixel/playground/services/canvas"
)

// This file has how callers wait until a replica is as far as the log. They go
// on when its observer is, too: what that passes on must not be older than what
// they then rely on.

// Sync returns when the picture has everything that the log held at some
// moment after the call, and the observer knows it, or ErrBehind when that
// cannot be had before the context ends. Calls that wait share one read of the
// head, but only one that began after they came.
func (r *Replica) Sync(ctx context.Context) error {
	for {
		f, err := r.check.head(ctx)
		if err != nil {
			return errors.Join(ErrBehind, err)
		}
		// When another history was loaded than those of the look, what it found
		// may never come. Nor need that history be newer than the look, as its
		// load may have begun before: look again.
		var told canvas.Position
		if err := r.wait(ctx, func(at canvas.Position) bool {
			told = at
			return reached(at, f.at) || at.Epoch != f.at.Epoch && at.Epoch != f.held && at.Epoch != f.told
		}); err != nil || reached(told, f.at) {
			return err
		}
	}
}

// WaitFor returns when the picture has reached the position in its epoch and the
// observer knows it; ErrBehind when the context ends before.
func (r *Replica) WaitFor(ctx context.Context, at canvas.Position) error {
	return r.wait(ctx, func(told canvas.Position) bool { return reached(told, at) })
}

func reached(told, at canvas.Position) bool { return told.Epoch == at.Epoch && told.Seq >= at.Seq }

// wait returns when the position of which the observer knows is one that does.
func (r *Replica) wait(ctx context.Context, does func(told canvas.Position) bool) error {
	for {
		r.mu.Lock()
		told, err, moved := r.told, r.err, r.moved
		r.mu.Unlock()
		if err != nil {
			return err
		}
		if does(told) {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ErrBehind
		}
	}
}

// hasTold notes that the observer knows of the position, and wakes who waits.
func (r *Replica) hasTold() {
	r.mu.Lock()
	r.told = r.pos
	close(r.moved)
	r.moved = make(chan struct{})
	r.mu.Unlock()
}

// positions returns that of the picture and the one of which the observer knows.
func (r *Replica) positions() (pos, told canvas.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pos, r.told
}
