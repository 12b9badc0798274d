package client

import "github.com/cloud-pixel/playground/services/protocol"

// span is the positions (from, to] that were missing when a gap was stepped
// over.
type span struct{ from, to uint64 }

// fill notes that the positions (prev, seq] came late, and tells whether any
// of them was missing. The caller holds handling and mu.
func (l *link) fill(prev, seq uint64) bool {
	for i, s := range l.missing {
		from, to := max(s.from, prev), min(s.to, seq)
		if from >= to {
			continue
		}
		stats := &l.c.stats
		stats.OutOfOrder++
		stats.Missing -= to - from
		stats.Ops += to - from
		// What is left of the span, on both sides of what came.
		rest := append([]span(nil), l.missing[:i]...)
		if s.from < from {
			rest = append(rest, span{s.from, from})
		}
		if to < s.to {
			rest = append(rest, span{to, s.to})
		}
		l.missing = append(rest, l.missing[i+1:]...)
		return true // an update lies in one gap: each begins where the one before ended
	}
	return false
}

// piece is one pixel of the JSON codec.
type piece struct {
	seq  uint64
	cell protocol.Cell
}

// again tells whether a pixel of the JSON codec is the one before once more.
// By its position alone it could be another pixel of the same operation, and a
// client takes it for that, since painting twice does no harm; a witness wants
// to know. The caller holds handling.
func (l *link) again(u *Update) bool {
	if l.c.opts.Codec != JSON || len(u.Cells) != 1 {
		return false
	}
	p := piece{u.Seq, u.Cells[0]}
	if p == l.piece {
		return true
	}
	l.piece = p
	return false
}
