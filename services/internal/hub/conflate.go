package hub

import (
	"cmp"
	"slices"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// conflate returns the range (from, to] with the effect of the entries, which
// are the consecutive operations of just these positions: the last reset, if
// any, then the last colour of each cell that was painted after it.
func conflate(entries []*canvas.Entry, from, to uint64, spec canvas.Spec) *protocol.Range {
	r := &protocol.Range{Prev: from, Seq: to}
	cells := make(map[uint32]protocol.Cell)
	for _, e := range entries {
		r.Time = e.Time
		for i := range e.Ops {
			o := &e.Ops[i]
			if o.Check(spec) != nil {
				continue // changes nothing, on no replica
			}
			if o.Kind == canvas.Reset {
				clear(cells)
				r.Reset, r.ResetTo = true, o.Color
				continue
			}
			for _, p := range o.Pixels {
				cells[uint32(p.Y)<<16|uint32(p.X)] = protocol.Cell{Pixel: p, Name: o.Name}
			}
		}
	}
	r.Cells = make([]protocol.Cell, 0, len(cells))
	for _, c := range cells {
		r.Cells = append(r.Cells, c)
	}
	// By colour, as the binary codec groups them, then by place, which makes
	// its differences small.
	slices.SortFunc(r.Cells, func(a, b protocol.Cell) int {
		return cmp.Or(cmp.Compare(a.Color, b.Color), cmp.Compare(a.Y, b.Y), cmp.Compare(a.X, b.X))
	})
	return r
}

// weighRange tells how many bytes at most the conflated form of the entries
// takes, without making it.
func weighRange(entries []*canvas.Entry, spec canvas.Spec, c Codec) int {
	perPixel := 7
	if c != Binary {
		perPixel = 150
	}
	n := 0
	for _, e := range entries {
		for i := range e.Ops {
			n += len(e.Ops[i].Pixels)
			if e.Ops[i].Kind == canvas.Reset {
				n = 0
				if c == Original {
					n = spec.Cells()
				}
			}
		}
	}
	return min(n, spec.Cells()) * perPixel
}
