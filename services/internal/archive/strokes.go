package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// restoration is a picture on its way to a log, as operations 1 … all of one
// session. They are a pure function of the picture, so whoever carries on
// after an interruption cuts it into the same ones.
//
// A session outlives the restoration. So the operations of the next one, of the
// same file, have the numbers behind it: first is the number before them. Were
// the session's state deleted instead, an append of unknown outcome could still
// arrive, and would be drawn a second time.
type restoration struct {
	to      Target
	a       *Archive
	o       RestoreOptions
	session protocol.Session
	all     uint64 // operations of one restoration

	first    uint64 // the number before the first operation of this one
	done     uint64 // operations of this one that the log has
	at       canvas.Position
	from     uint64 // the head before the first append of this call
	appended uint64 // by this call
}

// layout is part of the session: a release that cuts pictures into other
// operations must not carry on what this one has begun.
const layout = "pixel canvas import, layout 1"

func newRestoration(to Target, a *Archive, o RestoreOptions) *restoration {
	w := &restoration{to: to, a: a, o: o, all: 1}
	sum := sha256.Sum256(append([]byte(layout), a.sum[:]...))
	copy(w.session[:], sum[:])
	for range strokes(a.Picture) {
		w.all++
	}
	return w
}

// resume finds out where to begin: behind what an interrupted restoration of
// the same file has appended, if nobody else has drawn since it began; else at
// the beginning.
func (w *restoration) resume(ctx context.Context) error {
	state, err := w.to.Session(ctx, w.o.Canvas, w.session)
	if err != nil {
		return err
	}
	w.done = state.Number % w.all
	w.first = state.Number - w.done
	if w.done == 0 {
		return nil
	}
	since, err := w.since(ctx)
	if err != nil && !errors.Is(err, store.ErrMalformed) {
		return err
	}
	if err != nil || since.picture == nil || since.others > 0 {
		w.first, w.done = w.first+w.all, 0
	}
	return nil
}

// strokes cuts the cells that differ from the background into pieces of as
// many pixels as an operation may have, row by row.
func strokes(f *canvas.Frozen) iter.Seq[[]canvas.Pixel] {
	return func(yield func([]canvas.Pixel) bool) {
		spec := f.Spec()
		var pixels []canvas.Pixel
		for y := range spec.Height {
			for x := range spec.Width {
				if c := f.At(x, y); c != spec.Background {
					pixels = append(pixels, canvas.Pixel{X: uint16(x), Y: uint16(y), Color: c})
				}
				if len(pixels) == canvas.MaxPixels {
					if !yield(pixels) {
						return
					}
					pixels = nil
				}
			}
		}
		if len(pixels) > 0 {
			yield(pixels)
		}
	}
}

// operations returns the operations behind the first skip ones.
func (w *restoration) operations(skip uint64) iter.Seq[canvas.Op] {
	return func(yield func(canvas.Op) bool) {
		n := uint64(0)
		next := func(op canvas.Op) bool {
			if n++; n <= skip {
				return true
			}
			op.Author, op.Number, op.Name = w.session.Author(), w.first+n, Author
			op.Received = time.Now().UnixMicro()
			return yield(op)
		}
		if !next(canvas.Op{Kind: canvas.Reset, Color: w.a.Picture.Spec().Background}) {
			return
		}
		for pixels := range strokes(w.a.Picture) {
			if !next(canvas.Op{Kind: canvas.Paint, Pixels: pixels}) {
				return
			}
		}
	}
}

// Bounds of a batch, below those of the log: what it broadcasts must be
// bearable for those who look on, and other writers wait meanwhile.
const maxBatchPixels = 8192

// append brings what the log lacks into it.
func (w *restoration) append(ctx context.Context) error {
	for w.done < w.all {
		if err := w.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run appends to the end, or until the canvas has another epoch.
func (w *restoration) run(ctx context.Context) error {
	var batch []store.AppendOp
	pixels := 0
	for op := range w.operations(w.done) {
		if len(batch) > 0 && (pixels+len(op.Pixels) > maxBatchPixels || len(batch) == store.MaxBatchOps) {
			if again, err := w.flush(ctx, batch); again || err != nil {
				return err
			}
			batch, pixels = nil, 0
		}
		batch = append(batch, store.AppendOp{Session: w.session, TTL: sessionTime, Op: op})
		pixels += len(op.Pixels)
	}
	_, err := w.flush(ctx, batch)
	return err
}

// flush appends a batch: the same one until its outcome is known, for the
// session must not be overtaken. It tells to begin again when the canvas has
// another epoch, whose log may have lost some of what was appended.
func (w *restoration) flush(ctx context.Context, batch []store.AppendOp) (again bool, err error) {
	patience := time.NewTimer(w.o.Patience)
	defer patience.Stop()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var stale *store.StaleError
		done, err := w.to.Append(ctx, w.o.Canvas, w.at, batch)
		switch {
		case err == nil:
			w.at = done.Position
			w.appended += uint64(done.Count)
			w.done = done.Sessions[w.session].Number - w.first
			if w.o.Progress != nil {
				w.o.Progress(w.done, w.all)
			}
			return false, nil
		case errors.As(err, &stale):
			w.at = stale.Current
			state, err := w.to.Session(ctx, w.o.Canvas, w.session)
			if err != nil {
				return false, err
			}
			w.done = max(state.Number, w.first) - w.first
			return true, nil
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrInvalid):
			return false, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-patience.C:
			timer.Stop()
			return false, fmt.Errorf("%d of %d operations are in the log; run it again to carry on: %w", w.done, w.all, err)
		case <-ctx.Done():
			timer.Stop()
			return false, fmt.Errorf("%d of %d operations are in the log; run it again to carry on: %w", w.done, w.all, ctx.Err())
		}
	}
}
