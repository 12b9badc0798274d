package fanout

import (
	"cmp"
	"slices"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Writes tells of each write, for those who look for races. Nobody may draw
// meanwhile.
func (g *Group) Writes(each func(Write)) {
	for k := range int(g.book.n.Load()) {
		w := g.book.write(k)
		each(Write{
			Color: color(k), Member: int(w.member), X: w.x, Y: w.y, Seq: w.seq.Load(),
			Due: w.due.Nanoseconds(), Acked: w.acked.Load(),
		})
	}
}

// Write is one pixel that was drawn.
type Write struct {
	Color      canvas.Color
	Member     int
	X, Y       uint16
	Seq        uint64 // where the log has it; 0 when nobody saw it there
	Due, Acked int64  // ns since the group began; Acked is 0 while it is not
}

// cell is where a write went.
type cell struct{ x, y uint16 }

// Races counts the writes that were due while another client's write to the
// same cell was under way, so that neither could know of the other, and those
// that were due within a time of another client's write to the same cell.
// Nobody may draw meanwhile.
func (g *Group) Races(within time.Duration) (overlapping, nearby uint64) {
	byCell := map[cell][]Write{}
	g.Writes(func(w Write) { byCell[cell{w.X, w.Y}] = append(byCell[cell{w.X, w.Y}], w) })
	for _, all := range byCell {
		slices.SortStableFunc(all, func(a, b Write) int { return cmp.Compare(a.Due, b.Due) })
		for i, w := range all {
			overlaps, near := false, false
			for j := i - 1; j >= 0 && w.Due-all[j].Due <= int64(time.Minute); j-- {
				if all[j].Member == w.Member {
					continue
				}
				// Neither knew that the other's was in the log when it was due.
				overlaps = overlaps || all[j].Acked == 0 || all[j].Acked > w.Due
				near = near || w.Due-all[j].Due <= int64(within)
			}
			if overlaps {
				overlapping++
			}
			if near {
				nearby++
			}
		}
	}
	return overlapping, nearby
}

// LastWrites returns, for each cell that was painted, the write that clients
// saw at the greatest position of the log, and how many writes no client saw.
// Nobody may draw meanwhile.
func (g *Group) LastWrites() (last []Write, unseen uint64) {
	at := map[cell]int{}
	g.Writes(func(w Write) {
		if w.Seq == 0 {
			unseen++
			return
		}
		c := cell{w.X, w.Y}
		if i, ok := at[c]; !ok {
			at[c] = len(last)
			last = append(last, w)
		} else if w.Seq > last[i].Seq {
			last[i] = w
		}
	})
	return last, unseen
}
