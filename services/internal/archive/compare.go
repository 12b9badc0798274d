package archive

import (
	"fmt"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Difference is where two pictures of one size differ.
type Difference struct {
	// Cells that differ, in so many Tiles of 256×256 cells.
	Cells, Tiles int
	// X, Y of the first one, row by row, and its two colours.
	X, Y  int
	A, B  canvas.Color
	sizes string // when the sizes differ, and all else is unknown
}

// Compare returns where two pictures differ, nil when they are the same.
func Compare(a, b *canvas.Frozen) *Difference {
	if a.Spec().Width != b.Spec().Width || a.Spec().Height != b.Spec().Height {
		return &Difference{sizes: fmt.Sprintf("one has %s cells, the other %s", size(a.Spec()), size(b.Spec()))}
	}
	d := &Difference{}
	columns := (a.Spec().Width + canvas.TileSide - 1) / canvas.TileSide
	tiles := make(map[int]bool)
	for y := range a.Spec().Height {
		for x := range a.Spec().Width {
			ours, theirs := a.At(x, y), b.At(x, y)
			if ours == theirs {
				continue
			}
			if d.Cells++; d.Cells == 1 {
				d.X, d.Y, d.A, d.B = x, y, ours, theirs
			}
			tiles[y/canvas.TileSide*columns+x/canvas.TileSide] = true
		}
	}
	if d.Tiles = len(tiles); d.Cells == 0 {
		return nil
	}
	return d
}

// String tells the difference in words, for "… differ: …".
func (d *Difference) String() string {
	if d.sizes != "" {
		return d.sizes
	}
	return fmt.Sprintf("%s in %s; the first is (%d, %d), %v and %v",
		count(d.Cells, "cell", "cells"), count(d.Tiles, "tile", "tiles"), d.X, d.Y, d.A, d.B)
}

func size(s canvas.Spec) string { return fmt.Sprintf("%d×%d", s.Width, s.Height) }

// count is a number with what it counts.
func count[T int | uint64](n T, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
