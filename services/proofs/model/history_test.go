package model

import (
	"context"
	"slices"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// timeline is a log from its beginning: what was at each position.
type timeline struct {
	ops    []canvas.Op // position i+1
	hashes []uint64    // of the picture after so many operations
	grid   *canvas.Grid
}

func newTimeline(spec canvas.Spec) *timeline {
	g := canvas.NewGrid(spec)
	return &timeline{grid: g, hashes: []uint64{g.Hash()}}
}

func (l *timeline) head() uint64 { return uint64(len(l.ops)) }

func (l *timeline) add(o canvas.Op) {
	l.grid.Apply(&o)
	l.ops = append(l.ops, o)
	l.hashes = append(l.hashes, l.grid.Hash())
}

// copy returns a timeline that goes its own way from here.
func (l *timeline) copy() *timeline {
	return &timeline{ops: slices.Clone(l.ops), hashes: slices.Clone(l.hashes), grid: l.grid.Freeze().Thaw()}
}

// history is all that the log ever held, over all epochs.
type history struct {
	store *store.Store
	spec  canvas.Spec

	now    *timeline // the log as it is
	epoch  canvas.Epoch
	named  bool // epoch is that of now; else nobody has noticed yet that the log is another
	epochs map[canvas.Epoch]*timeline

	// seen has, for each operation by its mark, how often it was ever appended,
	// in whatever timeline.
	seen map[canvas.Color]int
}

func newHistory(s *store.Store, spec canvas.Spec) *history {
	return &history{store: s, spec: spec, now: newTimeline(spec), epochs: map[canvas.Epoch]*timeline{}, seen: map[canvas.Color]int{}}
}

// marked: the low colours are given to one operation each, as the colour of its
// first pixel, so that it can be told wherever it is seen.
const marked canvas.Color = 0x800000

func markOf(o *canvas.Op) (canvas.Color, bool) {
	if o.Kind != canvas.Paint || o.Pixels[0].Color >= marked {
		return 0, false
	}
	return o.Pixels[0].Color, true
}

// capture records what was appended since the last time. Redis must be still.
func (h *history) capture(ctx context.Context) *breach {
	meta, err := h.store.Meta(ctx, mainCanvas)
	if err != nil {
		return broken("the log cannot be read", "meta: %v", err)
	}
	for {
		entries, head, err := h.store.Read(ctx, mainCanvas, h.now.head(), 500)
		if err != nil {
			return broken("the log cannot be read", "behind %d: %v", h.now.head(), err)
		}
		for _, e := range entries {
			if e.First != h.now.head()+1 {
				return broken("the log has a hole", "it goes on at %d after %d", e.First, h.now.head())
			}
			if err := h.name(e.Epoch, true); err != nil {
				return err
			}
			for _, o := range e.Ops {
				if err := h.append(o); err != nil {
					return err
				}
			}
		}
		if h.now.head() >= head {
			break
		}
	}
	return h.name(meta.Epoch, false)
}

func (h *history) append(o canvas.Op) *breach {
	for _, before := range h.now.ops {
		if before.Author == o.Author && before.Number >= o.Number {
			return broken("the log has operations of an author out of order", "at %d operation %d of author %x comes after its operation %d", h.now.head()+1, o.Number, o.Author, before.Number)
		}
	}
	if mark, ok := markOf(&o); ok {
		if at := h.find(mark); at != 0 {
			return broken("the log has an operation twice", "%v is at %d and again at %d", mark, at, h.now.head()+1)
		}
		h.seen[mark]++
	}
	h.now.add(o)
	return nil
}

// find returns the position of an operation in the log of now, 0 for none.
func (h *history) find(mark canvas.Color) uint64 {
	return uint64(1 + slices.IndexFunc(h.now.ops, func(o canvas.Op) bool { m, ok := markOf(&o); return ok && m == mark }))
}

// name notes which epoch the log of now belongs to. Once a log lost its end,
// its epoch must not go on with other operations.
func (h *history) name(e canvas.Epoch, appended bool) *breach {
	if h.named && e == h.epoch {
		return nil
	}
	if _, old := h.epochs[e]; old {
		if appended {
			return broken("positions are used again", "at %d the log goes on in the epoch %v, in which it had others", h.now.head()+1, e)
		}
		return nil // nobody has noticed yet
	}
	if h.named {
		h.now = h.now.copy() // what was stays as it was
	}
	h.epoch, h.named, h.epochs[e] = e, true, h.now
	return nil
}

// replace notes that the log is another one now, by a fault of Redis.
func (h *history) replace(by *timeline) {
	h.now, h.named = by.copy(), false
}

// at returns the picture's hash at a position, if the log ever was there.
func (h *history) at(p canvas.Position) (uint64, bool) {
	l := h.epochs[p.Epoch]
	if l == nil || p.Seq > l.head() {
		return 0, false
	}
	return l.hashes[p.Seq], true
}

// checkStored compares the checkpoint and the log behind it, as Redis holds
// them, with what the log made from its beginning. Redis must be still.
func (h *history) checkStored(ctx context.Context) *breach {
	cp, err := h.store.LoadCheckpoint(ctx, mainCanvas)
	if err != nil {
		return broken("the checkpoint cannot be loaded", "%v", err)
	}
	grid, at := canvas.NewGrid(h.spec), uint64(0)
	if cp != nil {
		grid, at = cp.Grid.Thaw(), cp.Position.Seq
		if at > h.now.head() || grid.Hash() != h.now.hashes[at] {
			return broken("the checkpoint is not the picture of the log", "at %d", at)
		}
	}
	entries, head, err := h.store.Read(ctx, mainCanvas, at, 1<<20)
	if err != nil {
		return broken("the log behind the checkpoint cannot be read", "at %d: %v", at, err)
	}
	for _, e := range entries {
		for i := range e.Ops {
			grid.Apply(&e.Ops[i])
		}
	}
	if head != h.now.head() || grid.Hash() != h.now.grid.Hash() {
		return broken("checkpoint and log make another picture than the log", "from %d to %d; its head is %d", at, head, h.now.head())
	}
	return nil
}

// checkSame tells how operations that a client was given differ from those of
// the log, the first of them at the position first.
func (h *history) checkSame(e canvas.Epoch, first uint64, ops []canvas.Op) *breach {
	l := h.epochs[e]
	if l == nil || first+uint64(len(ops))-1 > l.head() {
		return broken("a client has operations that never were in the log", "%d to %d of epoch %v", first, first+uint64(len(ops))-1, e)
	}
	for i := range ops {
		got, want := &ops[i], &l.ops[first-1+uint64(i)]
		if got.Kind != want.Kind || got.Color != want.Color || uint32(got.Author) != uint32(want.Author) || !slices.Equal(got.Pixels, want.Pixels) {
			return broken("a client has another operation than the log", "at %d", first+uint64(i))
		}
	}
	return nil
}
