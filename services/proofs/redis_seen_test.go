package proofs

import (
	"encoding/binary"
	"hash/fnv"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// seenHistory is what a client saw of one epoch, in order.
type seenHistory struct {
	epoch   canvas.Epoch
	updates []seenUpdate
}

// seenUpdate is one thing that a client was told of the positions (prev, seq].
type seenUpdate struct {
	kind      seenKind
	prev, seq uint64
	value     uint64 // see seenKind
}

type seenKind uint8

const (
	seenOps     seenKind = iota // value: digest of the operations
	seenCell                    // value: packed cell, as it is at seq
	seenPicture                 // value: hash of the picture at seq
	seenReset                   // nobody resets here
)

// onUpdate writes an update down. Memory is what it has to be sparing with:
// all painters see everything.
func (p *steadyPainter) onUpdate(u client.Update) {
	picture, at := (*canvas.Frozen)(nil), p.Position()
	if u.Picture {
		picture, at = p.Picture()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.seen); n == 0 || p.seen[n-1].epoch != at.Epoch {
		p.seen = append(p.seen, seenHistory{epoch: at.Epoch})
	}
	h := &p.seen[len(p.seen)-1]
	note := func(k seenKind, value uint64) {
		h.updates = append(h.updates, seenUpdate{k, u.Prev, u.Seq, value})
	}
	switch {
	case u.Picture && picture != nil:
		note(seenPicture, picture.Hash())
	case u.Reset:
		note(seenReset, 0)
	case u.Ops != nil:
		note(seenOps, digest(u.Ops))
	default:
		for _, c := range u.Cells {
			note(seenCell, packed(c.Pixel))
		}
	}
}

func packed(p canvas.Pixel) uint64 { return uint64(p.X)<<48 | uint64(p.Y)<<32 | uint64(p.Color) }

// digest tells runs of operations apart. Of an author clients know the lower
// half only.
func digest(ops []canvas.Op) uint64 {
	h := fnv.New64a()
	var b []byte
	for i := range ops {
		b = binary.LittleEndian.AppendUint32(b[:0], uint32(ops[i].Author))
		b = binary.LittleEndian.AppendUint64(b, ops[i].Number)
		for _, p := range ops[i].Pixels {
			b = binary.LittleEndian.AppendUint64(b, packed(p))
		}
		_, _ = h.Write(b) // never fails
	}
	return h.Sum64()
}

// checkHistories checks that a client saw the given histories one after the
// other, never one that it had left, and of each only what its log has.
func (p *steadyPainter) checkHistories(t *testing.T, histories []*truth) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	next := 0
	for _, h := range p.seen {
		for next < len(histories) && histories[next].epoch != h.epoch {
			next++
		}
		if next == len(histories) {
			t.Errorf("%s saw epoch %v, of another history or one that had ended", p.name, h.epoch)
			return
		}
		wrong := 0
		check := histories[next].checker()
		for _, u := range h.updates {
			if !check(u) {
				if wrong++; wrong == 1 {
					t.Errorf("%s saw in epoch %v at (%d, %d] what that log does not have there: %+v", p.name, h.epoch, u.prev, u.seq, u)
				}
			}
		}
		if wrong > 1 {
			t.Errorf("%s saw %d such things", p.name, wrong)
		}
	}
	if len(p.seen) == 0 || p.seen[len(p.seen)-1].epoch != histories[len(histories)-1].epoch {
		t.Errorf("%s never saw the last epoch", p.name)
	}
}

// checker returns a function that tells whether the log has what a client saw.
func (w *truth) checker() func(seenUpdate) bool {
	ops := w.ops()
	grid, at := canvas.NewGrid(w.picture.Spec()), uint64(0)
	return func(u seenUpdate) bool {
		if u.seq > uint64(len(ops)) || u.prev > u.seq {
			return false
		}
		switch u.kind {
		case seenOps:
			return digest(ops[u.prev:u.seq]) == u.value
		case seenCell:
			for i := u.seq; i > u.prev; i-- {
				pixels := ops[i-1].Pixels
				for j := len(pixels) - 1; j >= 0; j-- {
					if packed(pixels[j])>>32 == u.value>>32 {
						return packed(pixels[j]) == u.value
					}
				}
			}
		case seenPicture:
			if u.seq < at {
				grid, at = canvas.NewGrid(w.picture.Spec()), 0
			}
			for ; at < u.seq; at++ {
				grid.Apply(&ops[at])
			}
			return grid.Hash() == u.value
		}
		return false
	}
}

// ops returns the operations of the log: number i is at position i+1.
func (w *truth) ops() []canvas.Op {
	var all []canvas.Op
	for _, e := range w.entries {
		all = append(all, e.Ops...)
	}
	return all
}
