package canvas

import "fmt"

// TileSide is the side of the square tiles in which a grid is kept, in cells.
// Tiles at the right and lower edge are cut off at the canvas's border.
const TileSide = 256

// Grid is the picture of a canvas: the colour of each cell.
//
// It is kept in tiles of 256×256 cells. A tile of one colour takes no memory
// for its cells, and tiles are copied on write, so that [Grid.Freeze] takes
// time and memory for the number of tiles only. A Grid is not safe for
// concurrent use; a [Frozen] is.
type Grid struct {
	spec    Spec
	columns int // tiles in a row
	tiles   []*tile
	hash    uint64

	// The hash of a uniform grid takes a walk over all cells, so the last one
	// is kept: resets nearly always go to the same colour.
	uniform      uint64
	uniformColor Color
}

// tile is immutable while shared is set: somebody froze it.
type tile struct {
	fill   Color   // the colour of every cell while cells is nil
	cells  []Color // row by row, width·height of this tile
	shared bool
}

// NewGrid returns a grid whose cells all have the background colour. The spec
// must be valid.
func NewGrid(s Spec) *Grid {
	columns := (s.Width + TileSide - 1) / TileSide
	rows := (s.Height + TileSide - 1) / TileSide
	g := &Grid{spec: s, columns: columns, tiles: make([]*tile, columns*rows)}
	for i := range g.tiles {
		g.tiles[i] = &tile{fill: s.Background}
	}
	g.uniformColor = s.Background
	g.uniform = uniformHash(s.Cells(), s.Background)
	g.hash = g.uniform
	return g
}

// Spec returns the size and background.
func (g *Grid) Spec() Spec { return g.spec }

// Hash returns the grid's hash (see [Frozen.Hash]).
func (g *Grid) Hash() uint64 { return g.hash }

// At returns the colour of the cell (x, y), which must exist.
func (g *Grid) At(x, y int) Color {
	return g.tiles[g.tileIndex(x, y)].at(g.cellIndex(x, y))
}

// Apply changes the grid as the operation says and reports true. An operation
// that the canvas cannot hold (see [Op.Check]) changes nothing and reports
// false: every replica alike skips it.
func (g *Grid) Apply(o *Op) bool {
	if o.Check(g.spec) != nil {
		return false
	}
	if o.Kind == Reset {
		g.fill(o.Color)
		return true
	}
	for _, p := range o.Pixels {
		g.Set(int(p.X), int(p.Y), p.Color)
	}
	return true
}

// Set gives the cell (x, y), which must exist, a colour.
func (g *Grid) Set(x, y int, c Color) {
	n := g.tileIndex(x, y)
	t, cell := g.tiles[n], g.cellIndex(x, y)
	old := t.at(cell)
	if old == c {
		return
	}
	if t.shared || t.cells == nil {
		t = t.clone(g.tileCells(n))
		g.tiles[n] = t
	}
	t.cells[cell] = c
	index := uint32(y*g.spec.Width + x)
	g.hash += cellHash(index, c) - cellHash(index, old)
}

func (g *Grid) fill(c Color) {
	if g.uniformColor != c {
		g.uniformColor, g.uniform = c, uniformHash(g.spec.Cells(), c)
	}
	for i := range g.tiles {
		g.tiles[i] = &tile{fill: c}
	}
	g.hash = g.uniform
}

// Freeze returns the picture of this moment. Its cost is that of the tile
// table (at most 256 pointers); later changes copy the tiles that they touch.
func (g *Grid) Freeze() *Frozen {
	f := &Frozen{
		spec: g.spec, columns: g.columns, tiles: make([]*tile, len(g.tiles)), hash: g.hash,
		uniform: g.uniform, uniformColor: g.uniformColor,
	}
	for i, t := range g.tiles {
		if !t.shared { // else others may be reading it by now
			t.shared = true
		}
		f.tiles[i] = t
	}
	return f
}

// LoadTile sets the cells of tile n from rgb: three bytes a cell, row by row,
// as [Frozen.AppendTile] writes them.
func (g *Grid) LoadTile(n int, rgb []byte) error {
	if n < 0 || n >= len(g.tiles) {
		return fmt.Errorf("canvas: tile %d of a grid of %d tiles", n, len(g.tiles))
	}
	x0, y0, w, h := tileBounds(g.spec, n)
	return g.LoadRect(x0, y0, w, h, rgb)
}

// LoadRect sets the cells of a rectangle from rgb: three bytes a cell, row by
// row. It returns an error and changes nothing when the rectangle is not on
// the canvas or rgb has another length.
func (g *Grid) LoadRect(x0, y0, w, h int, rgb []byte) error {
	if w < 1 || h < 1 || !g.spec.Contains(x0, y0) || !g.spec.Contains(x0+w-1, y0+h-1) {
		return fmt.Errorf("canvas: rectangle %d×%d at (%d, %d) is outside %d×%d", w, h, x0, y0, g.spec.Width, g.spec.Height)
	}
	if len(rgb) != 3*w*h {
		return fmt.Errorf("canvas: %d bytes for a rectangle of %d×%d; want %d", len(rgb), w, h, 3*w*h)
	}
	for y := y0; y < y0+h; y++ {
		for x := x0; x < x0+w; x++ {
			g.Set(x, y, Color(rgb[0])<<16|Color(rgb[1])<<8|Color(rgb[2]))
			rgb = rgb[3:]
		}
	}
	return nil
}

func (g *Grid) tileIndex(x, y int) int { return y/TileSide*g.columns + x/TileSide }

func (g *Grid) cellIndex(x, y int) int { return cellIndex(g.spec, x, y) }

func (g *Grid) tileCells(n int) int {
	_, _, w, h := tileBounds(g.spec, n)
	return w * h
}

// cellIndex returns the place of (x, y) inside its tile's cells.
func cellIndex(s Spec, x, y int) int {
	width := min(TileSide, s.Width-x/TileSide*TileSide)
	return y%TileSide*width + x%TileSide
}

// tileBounds returns the upper left cell and the size of tile n.
func tileBounds(s Spec, n int) (x, y, w, h int) {
	columns := (s.Width + TileSide - 1) / TileSide
	x, y = n%columns*TileSide, n/columns*TileSide
	return x, y, min(TileSide, s.Width-x), min(TileSide, s.Height-y)
}

func (t *tile) at(cell int) Color {
	if t.cells == nil {
		return t.fill
	}
	return t.cells[cell]
}

func (t *tile) clone(cells int) *tile {
	c := &tile{cells: make([]Color, cells)}
	if t.cells != nil {
		copy(c.cells, t.cells)
		return c
	}
	for i := range c.cells {
		c.cells[i] = t.fill
	}
	return c
}
