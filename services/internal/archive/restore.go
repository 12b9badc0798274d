package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Target is where a picture is restored: a [store.Store].
type Target interface {
	Source
	Create(ctx context.Context, id string, spec canvas.Spec, maximum int) (store.Meta, bool, error)
	Session(ctx context.Context, id string, session protocol.Session) (store.SessionState, error)
	Append(ctx context.Context, id string, at canvas.Position, ops []store.AppendOp) (*store.Appended, error)
	SaveCheckpoint(ctx context.Context, id string, cp, base *store.Checkpoint) error
	NoteActive(ctx context.Context, id string) error
}

// Errors of [Restore] with which nothing was appended.
var (
	// ErrNotBlank: somebody has drawn on the canvas.
	ErrNotBlank = errors.New("archive: the canvas is not blank")
	// ErrSize: the canvas has another size than the picture.
	ErrSize = errors.New("archive: the canvas has another size")
)

// ErrDifferent tells that the canvas is not what was restored, though nobody
// else drew.
var ErrDifferent = errors.New("archive: the canvas is not what was restored")

// RestoreOptions of [Restore].
type RestoreOptions struct {
	// Canvas to restore, by its id. It is made, with the size of the picture,
	// where it does not exist.
	Canvas string
	// MaxCanvases bounds how many there may be when it is made; 0: no bound.
	MaxCanvases int
	// Replace what is drawn on the canvas, instead of [ErrNotBlank].
	Replace bool
	// Patience is how long Redis may be away, or the log full, before Restore
	// gives up; 0: a minute. What was appended until then counts when it is
	// called again.
	Patience time.Duration
	// Progress, unless nil, is called after each append with the number of
	// operations that the log has, of all that there are.
	Progress func(done, all uint64)
}

// Restored is the outcome of [Restore].
type Restored struct {
	// Created: the canvas did not exist.
	Created bool
	// Before is the canvas as it was, nil when it did not exist or could not
	// be read; then Broken says why not.
	Before *View
	Broken error
	// Continued: an interrupted restoration of this very file was carried on.
	Continued bool
	// Appended is how many operations this call added to the log.
	Appended uint64
	// After is the canvas as it is now.
	After *View
	// Others is how many operations others drew meanwhile, at least.
	Others uint64
	// Difference between the file and After, nil when there is none.
	Difference *Difference
}

// sessionTime is how long the log remembers how far a restoration got: as long
// as it remembers any client.
const sessionTime = 24 * time.Hour

// Author is the name that others see beside what was restored.
const Author = "import"

// Restore brings the picture of an archive, which was read from a file, onto a
// canvas: by a reset to its background and strokes, appended to the log as any
// writer does. So it works while people look on and draw, positions go on, and
// every replica follows.
//
// It may be interrupted at any moment and called again with the same file: the
// session of its operations is made from the file's checksum, and the log drops
// what it has. Such a call carries on if nobody else has drawn since the
// restoration began. If somebody has, or it was complete, it is one as any
// other: refused ([ErrNotBlank]) unless the canvas is to be replaced, and then
// it begins anew.
//
// When a canvas that is to be replaced cannot be read ([ErrBroken]) because its
// checkpoint is damaged or gone, it is mended: nothing before the reset matters,
// so a checkpoint behind it can be made of the log alone, and is stored.
func Restore(ctx context.Context, to Target, a *Archive, o RestoreOptions) (*Restored, error) {
	if a.sum == [sha256.Size]byte{} {
		return nil, errors.New("archive: the archive is of no file")
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	r := &Restored{}
	meta, created, err := to.Create(ctx, o.Canvas, a.Picture.Spec(), o.MaxCanvases)
	if err != nil {
		return nil, err
	}
	r.Created = created
	if theirs, ours := size(meta.Spec), size(a.Picture.Spec()); theirs != ours {
		return nil, fmt.Errorf("%w: it has %s cells, the picture %s", ErrSize, theirs, ours)
	}
	w := newRestoration(to, a, o)
	if err := w.resume(ctx); err != nil {
		return nil, err
	}
	before, err := Load(ctx, to, o.Canvas)
	switch {
	case errors.Is(err, ErrBroken) && !errors.Is(err, store.ErrMalformed) && (o.Replace || w.done > 0):
		r.Broken = err
		w.at = canvas.Position{Epoch: meta.Epoch}
	case err != nil:
		return nil, err
	default:
		if !created {
			r.Before = before
		}
		if before.Picture.Hash() == a.Picture.Hash() {
			r.After = before
			return r, nil // it looks so already
		}
		if !o.Replace && w.done == 0 && !blank(before.Picture) {
			return nil, ErrNotBlank
		}
		w.at, w.from = before.Position, before.Position.Seq
	}
	r.Continued = w.done > 0

	// Whoever keeps checkpoints of canvases in use shall see this one.
	if err := to.NoteActive(ctx, o.Canvas); err != nil {
		return nil, err
	}
	if err := w.append(ctx); err != nil {
		return nil, err
	}
	r.Appended = w.appended
	return r, w.conclude(ctx, r)
}

func blank(f *canvas.Frozen) bool {
	return f.Hash() == canvas.NewGrid(f.Spec()).Hash()
}

// conclude looks at the canvas as it is now.
func (w *restoration) conclude(ctx context.Context, r *Restored) (err error) {
	if r.Broken != nil {
		if err := w.mend(ctx); err != nil {
			return err
		}
	}
	if r.After, err = Load(ctx, w.to, w.o.Canvas); err != nil {
		return err
	}
	r.Difference = Compare(w.a.Picture, r.After.Picture)
	// Who drew is asked last, so that nobody whose pixels were seen is missed.
	// The log tells as far as it reaches back, and positions tell how much came
	// that was not appended here.
	since, err := w.since(ctx)
	if err != nil {
		return err
	}
	r.Others = since.others
	if r.Broken == nil && r.After.Position.Seq > w.from+w.appended {
		r.Others = max(r.Others, r.After.Position.Seq-w.from-w.appended)
	}
	if r.Difference != nil && r.Others == 0 {
		return fmt.Errorf("%w: %v", ErrDifferent, r.Difference)
	}
	return nil
}

// mend stores a checkpoint that is made of nothing but the log since the reset.
func (w *restoration) mend(ctx context.Context) error {
	since, err := w.since(ctx)
	if err != nil {
		return err
	}
	if since.picture == nil {
		return fmt.Errorf("%w: the restoration is no longer in the log as a whole", ErrBroken)
	}
	err = w.to.SaveCheckpoint(ctx, w.o.Canvas, &store.Checkpoint{
		Position: since.at, Time: since.time, Grid: since.picture.Freeze(),
	}, nil)
	if errors.Is(err, store.ErrConflict) {
		return nil // another was faster; loading the canvas tells
	}
	return err
}

// aftermath is what the log holds behind the beginning of the restoration.
type aftermath struct {
	others  uint64       // operations that are not of the restoration
	picture *canvas.Grid // nil when the log no longer has its beginning
	at      canvas.Position
	time    int64
}

// since reads the log from the restoration's reset on.
func (w *restoration) since(ctx context.Context) (*aftermath, error) {
	for range tries {
		meta, err := w.to.Meta(ctx, w.o.Canvas)
		if err != nil {
			return nil, err
		}
		_, oldest, err := w.to.LogInfo(ctx, w.o.Canvas)
		if err != nil {
			return nil, err
		}
		s := &aftermath{at: canvas.Position{Epoch: meta.Epoch}}
		_, err = walk(ctx, w.to, w.o.Canvas, max(oldest, 1)-1, func(e *canvas.Entry) { s.take(e, w, meta.Spec) })
		if errors.Is(err, store.ErrTrimmed) {
			continue
		}
		return s, err
	}
	return nil, errMoved
}

func (s *aftermath) take(e *canvas.Entry, w *restoration, spec canvas.Spec) {
	s.at.Seq, s.time = e.Last(), e.Time
	for i := range e.Ops {
		op := &e.Ops[i]
		switch {
		case op.Author != w.session.Author():
			s.others++
		case op.Number == w.first+1:
			s.others, s.picture = 0, canvas.NewGrid(spec)
		}
		if s.picture != nil {
			s.picture.Apply(op)
		}
	}
}
