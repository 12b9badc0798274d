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
				if rapid.Bool().Draw(t, "another pixel") { // when one of them does not fit, none is painted
					o.Pixels = append(o.Pixels, paint(rapid.IntRange(0, 3).Draw(t, "x"), 0, canvas.Color(len(ops)+1)).Pixels...)
				}
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

// Who stands before all that the history has gets a picture, not what there is.
func TestResumeFromBeforeTheHistory(t *testing.T) {
	for codec := JSON; codec < codecs; codec++ {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(canvas.Spec{Width: 4, Height: 4, Background: canvas.White}, Options{HistoryOps: 4})
			defer s.close()
			first := s.join(codec, 1<<20, nil, nil)
			s.settle()
			s.hub.Leave(first.conn)
			_ = first.pipe.Close()
			s.viewers = nil
			for i := range 10 {
				s.publish(paint(i%4, i%3, canvas.Color(i)))
			}
			since := first.at
			s.join(codec, 1<<20, &since, first)
			s.settle()
			if err := s.check(); err != nil {
				t.Errorf("codec %d: %v", codec, err)
			}
		})
	}
}

// What was read from the log for those who come back late outlives the next
// entries, but not for long, and never without bound.
func TestExtendedHistoryIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := history{spec: canvas.Spec{Width: 50, Height: 50}, maxOps: 4, maxSize: 1 << 20}
	for seq := uint64(101); seq <= 110; seq++ {
		h.push(&canvas.Entry{First: seq, Ops: []canvas.Op{paint(0, 0, 1)}}, now)
	}
	var older []*canvas.Entry
	for seq := uint64(1); seq <= 106; seq++ {
		older = append(older, &canvas.Entry{First: seq, Ops: []canvas.Op{paint(0, 0, 1)}})
	}
	h.prepend(older, now)
	if h.oldest(110) != 0 {
		t.Fatalf("oldest %d after the extension", h.oldest(110))
	}
	h.push(&canvas.Entry{First: 111, Ops: []canvas.Op{paint(0, 0, 1)}}, now.Add(extraTime/2))
	if h.oldest(111) > 1 {
		t.Errorf("the next entry drops it: oldest %d", h.oldest(111))
	}
	h.push(&canvas.Entry{First: 112, Ops: []canvas.Op{paint(0, 0, 1)}}, now.Add(2*extraTime))
	if h.oldest(112) != 108 {
		t.Errorf("it stays: oldest %d", h.oldest(112))
	}

	stroke := canvas.Op{Kind: canvas.Paint, Pixels: make([]canvas.Pixel, canvas.MaxPixels)}
	large := make([]*canvas.Entry, 108)
	for i := range large {
		large[i] = &canvas.Entry{First: uint64(i + 1), Ops: []canvas.Op{stroke}}
	}
	h.prepend(large, now)
	if h.weight > h.maxSize+maxExtraSize || h.oldest(112) == 108 {
		t.Errorf("%d bytes held, oldest %d", h.weight, h.oldest(112))
	}
}
