package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"pgregory.net/rapid"
)

// What is held of (from, to] is exactly those operations, also when either end
// lies inside an entry, and conflating any stretch has the effect of its
// operations.
func TestEntriesOfAStretch(t *testing.T) {
	spec := canvas.Spec{Width: 4, Height: 3, Background: canvas.White}
	rapid.Check(t, func(t *rapid.T) {
		h := history{spec: spec, maxOps: 1 << 20, maxSize: 1 << 30}
		var ops []canvas.Op
		first := uint64(rapid.IntRange(1, 5).Draw(t, "first"))
		next := first
		for _, n := range rapid.SliceOfN(rapid.IntRange(1, 4), 1, 12).Draw(t, "entries") {
			e := &canvas.Entry{First: next}
			for range n {
				o := paint(rapid.IntRange(0, 4).Draw(t, "x"), rapid.IntRange(0, 2).Draw(t, "y"), canvas.Color(len(ops)+1))
				if rapid.IntRange(0, 9).Draw(t, "reset") == 0 {
					o = canvas.Op{Kind: canvas.Reset, Color: canvas.Color(len(ops) + 1)}
				}
				e.Ops = append(e.Ops, o)
				ops = append(ops, o)
				next++
			}
			h.push(e, time.Time{})
		}
		from := rapid.Uint64Range(first-1, next-2).Draw(t, "from")
		to := rapid.Uint64Range(from+1, next-1).Draw(t, "to")

		at := from
		entries := h.entries(from, to)
		for _, e := range entries {
			if e.First != at+1 {
				t.Fatalf("an entry begins at %d after %d", e.First, at)
			}
			at = e.Last()
		}
		if at != to {
			t.Fatalf("(%d, %d] ends at %d", from, to, at)
		}

		want, got := canvas.NewGrid(spec), canvas.NewGrid(spec)
		for i := range ops[:to-first+1] {
			want.Apply(&ops[i])
		}
		for i := range ops[:from-first+1] {
			got.Apply(&ops[i])
		}
		r := conflate(entries, from, to, spec)
		if r.Reset {
			got.Apply(&canvas.Op{Kind: canvas.Reset, Color: r.ResetTo})
		}
		for _, c := range r.Cells {
			got.Set(int(c.X), int(c.Y), c.Color)
		}
		if r.Prev != from || r.Seq != to || got.Hash() != want.Hash() {
			t.Fatalf("the range (%d, %d] of (%d, %d] has another effect", r.Prev, r.Seq, from, to)
		}
	})
}

// A client that stands inside an entry gets the rest of it, and nothing twice.
func TestResumeInsideAnEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 4, Height: 4, Background: canvas.White}, Options{})
		defer s.close()
		first := s.join(Binary, 1<<20, nil, nil)
		s.publish(paint(0, 0, 1))
		s.settle()
		s.hub.Leave(first.conn)
		_ = first.pipe.Close()
		s.viewers = nil
		first.grid.Apply(&canvas.Op{Kind: canvas.Paint, Pixels: paint(1, 1, 2).Pixels})
		first.at.Seq = 2 // it had the first of the next three when it was cut off
		s.publish(paint(1, 1, 2), paint(2, 2, 3), paint(1, 1, 4))
		since := first.at
		s.join(Binary, 1<<20, &since, first)
		s.publish(paint(3, 3, 5))
		s.settle()
		if err := s.check(); err != nil {
			t.Error(err)
		}
	})
}
