package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// Source is what a canvas is read from: a [store.Store]. None of these methods
// changes anything.
type Source interface {
	Meta(ctx context.Context, id string) (store.Meta, error)
	LoadCheckpoint(ctx context.Context, id string) (*store.Checkpoint, error)
	Read(ctx context.Context, id string, since uint64, limit int) ([]*canvas.Entry, uint64, error)
	LogInfo(ctx context.Context, id string) (length int64, oldest uint64, err error)
}

// View is what a canvas looked like at a position.
type View struct {
	Canvas   string
	Picture  *canvas.Frozen
	Position canvas.Position
	// Time of the last operation in the picture, ms since the Unix epoch; 0
	// when there is none.
	Time int64
}

// ErrBroken tells that what Redis holds of a canvas does not make a picture. The
// error says why.
var ErrBroken = errors.New("archive: the canvas cannot be read")

// errMoved: the canvas changed while it was read, so that the parts do not
// belong together. Try again.
var errMoved = errors.New("archive: the canvas changes faster than it can be read")

const (
	// tries is how often a canvas is read that moves meanwhile.
	tries = 10
	// page is how many entries one read of the log asks for.
	page = 500
)

// Load returns what a canvas looks like at its head: the checkpoint with the
// log behind it, or the whole log where the checkpoint cannot be used. The
// services may go on meanwhile. [ErrBroken] when neither makes a picture.
func Load(ctx context.Context, from Source, id string) (*View, error) {
	for range tries {
		v, err := load(ctx, from, id)
		if !errors.Is(err, errMoved) {
			return v, err
		}
	}
	return nil, errMoved
}

func load(ctx context.Context, from Source, id string) (*View, error) {
	meta, err := from.Meta(ctx, id)
	if err != nil {
		return nil, err
	}
	checkpoint, corrupt := from.LoadCheckpoint(ctx, id)
	if corrupt != nil && !errors.Is(corrupt, store.ErrCorrupt) {
		return nil, corrupt
	}
	grid := canvas.NewGrid(meta.Spec)
	v := &View{Canvas: id, Position: canvas.Position{Epoch: meta.Epoch}}
	if checkpoint != nil {
		grid, v.Position, v.Time = checkpoint.Grid.Thaw(), checkpoint.Position, checkpoint.Time
	}
	_, err = walk(ctx, from, id, v.Position.Seq, func(e *canvas.Entry) {
		for i := range e.Ops {
			grid.Apply(&e.Ops[i])
		}
		v.Position.Seq, v.Time = e.Last(), e.Time
	})
	switch {
	case errors.Is(err, store.ErrTrimmed) && checkpoint == nil && corrupt != nil:
		return nil, fmt.Errorf("%w: %w; and the log does not reach back to its beginning", ErrBroken, corrupt)
	case errors.Is(err, store.ErrTrimmed):
		return nil, still(ctx, from, id, checkpoint)
	case errors.Is(err, store.ErrMalformed):
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	case err != nil:
		return nil, err
	}
	// The picture is that of the epoch only if the epoch is the same now that
	// everything is read.
	now, err := from.Meta(ctx, id)
	if err != nil {
		return nil, err
	}
	if now.Epoch != v.Position.Epoch {
		return nil, errMoved
	}
	v.Picture = grid.Freeze()
	return v, nil
}

// still tells a log that was trimmed behind a checkpoint which is no longer the
// stored one from a log that does not fit the stored one.
func still(ctx context.Context, from Source, id string, checkpoint *store.Checkpoint) error {
	now, err := from.LoadCheckpoint(ctx, id)
	switch {
	case err != nil && !errors.Is(err, store.ErrCorrupt):
		return err
	case now == nil && checkpoint == nil:
		return fmt.Errorf("%w: the log does not reach back to its beginning, and there is no checkpoint", ErrBroken)
	case now == nil || checkpoint == nil || now.Position != checkpoint.Position:
		return errMoved
	}
	return fmt.Errorf("%w: the log does not reach back to the checkpoint at %d", ErrBroken, checkpoint.Position.Seq)
}

// walk calls f with each entry of the log after since, in order and without a
// hole, up to a moment at which there was no other. It returns the head at that
// moment. [store.ErrTrimmed]: the log begins behind since, perhaps only by now;
// [store.ErrMalformed]: it has a hole, or an entry cannot be decoded.
func walk(ctx context.Context, from Source, id string, since uint64, f func(*canvas.Entry)) (head uint64, err error) {
	for {
		entries, head, err := from.Read(ctx, id, since, page)
		for _, e := range entries {
			f(e)
			since = e.Last()
		}
		switch {
		case errors.Is(err, store.ErrTrimmed):
			// What follows since is not there. It was trimmed if the log begins
			// later, for it never begins earlier again.
			_, oldest, infoErr := from.LogInfo(ctx, id)
			if infoErr != nil {
				return head, infoErr
			}
			if oldest > since+1 {
				return head, err
			}
			return head, fmt.Errorf("%w: the log has nothing at %d, though it goes on to %d", store.ErrMalformed, since+1, head)
		case err != nil:
			return head, err
		case since >= head:
			return head, nil
		}
	}
}
