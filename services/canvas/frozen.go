package canvas

import "slices"

// Frozen is a grid at one moment. It never changes and is safe for concurrent
// use by any number of goroutines.
type Frozen struct {
	spec    Spec
	columns int
	tiles   []*tile
	hash    uint64

	// As in Grid, so that Thaw need not walk over the cells.
	uniform      uint64
	uniformColor Color
}

// Spec returns the size and background.
func (f *Frozen) Spec() Spec { return f.spec }

// Hash returns the hash of the cells: equal pictures of one size have equal
// hashes, whatever operations led to them.
func (f *Frozen) Hash() uint64 { return f.hash }

// Sound tells whether the hash is that of the cells, by a walk over all of
// them. It is unless memory went bad or this package has a defect.
func (f *Frozen) Sound() bool {
	var sum uint64
	for n, t := range f.tiles {
		x0, y0, w, h := tileBounds(f.spec, n)
		for i := range w * h {
			sum += cellHash(uint32((y0+i/w)*f.spec.Width+x0+i%w), t.at(i))
		}
	}
	return sum == f.hash
}

// At returns the colour of the cell (x, y), which must exist.
func (f *Frozen) At(x, y int) Color {
	return f.tiles[y/TileSide*f.columns+x/TileSide].at(cellIndex(f.spec, x, y))
}

// Thaw returns a grid that starts as this picture. Its cost is that of
// [Grid.Freeze].
func (f *Frozen) Thaw() *Grid {
	return &Grid{
		spec: f.spec, columns: f.columns, tiles: slices.Clone(f.tiles), hash: f.hash,
		uniform: f.uniform, uniformColor: f.uniformColor,
	}
}

// Tiles returns the number of tiles, counted row by row from the upper left.
func (f *Frozen) Tiles() int { return len(f.tiles) }

// TileIsBackground tells whether tile n was never written, or was reset to
// the background and not written since. False says nothing about its cells.
func (f *Frozen) TileIsBackground(n int) bool {
	return f.tiles[n].cells == nil && f.tiles[n].fill == f.spec.Background
}

// SameTile tells whether tile n was not written between the two moments (of
// one grid) that f and earlier are. False says nothing about the cells.
func (f *Frozen) SameTile(earlier *Frozen, n int) bool {
	a, b := f.tiles[n], earlier.tiles[n]
	return a == b || a.cells == nil && b.cells == nil && a.fill == b.fill
}

// AppendTile appends the cells of tile n to b: three bytes a cell (red, green,
// blue), row by row.
func (f *Frozen) AppendTile(b []byte, n int) []byte {
	x, y, w, h := tileBounds(f.spec, n)
	return f.AppendRect(b, x, y, w, h)
}

// AppendRect appends the cells of a rectangle on the canvas to b: three bytes
// a cell (red, green, blue), row by row.
func (f *Frozen) AppendRect(b []byte, x0, y0, w, h int) []byte {
	for y := y0; y < y0+h; y++ {
		for x := x0; x < x0+w; x++ {
			c := f.At(x, y)
			b = append(b, byte(c>>16), byte(c>>8), byte(c))
		}
	}
	return b
}

// Bytes returns all cells: three bytes each, row by row.
func (f *Frozen) Bytes() []byte {
	return f.AppendRect(make([]byte, 0, 3*f.spec.Cells()), 0, 0, f.spec.Width, f.spec.Height)
}
