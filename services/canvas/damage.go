//go:build drill

package canvas

// Damage changes a cell and not the hash, as memory that goes bad does. It is
// for drills and does not exist in other builds.
func (g *Grid) Damage(x, y int) {
	n := g.tileIndex(x, y)
	t := g.tiles[n].clone(g.tileCells(n)) // somebody may be reading the old one
	t.cells[g.cellIndex(x, y)] ^= 1 << 9
	g.tiles[n] = t
}
