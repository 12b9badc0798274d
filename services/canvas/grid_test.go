package canvas

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// model is a grid as one would write it without a thought of speed: the cells
// that differ from the last reset.
type model struct {
	spec  Spec
	fill  Color
	cells map[[2]int]Color
}

func newModel(s Spec) *model { return &model{spec: s, fill: s.Background, cells: map[[2]int]Color{}} }

func (m *model) apply(o *Op) {
	if o.Kind == Reset {
		m.fill = o.Color
		clear(m.cells)
		return
	}
	for _, p := range o.Pixels {
		m.cells[[2]int{int(p.X), int(p.Y)}] = p.Color
	}
}

func (m *model) at(x, y int) Color {
	if c, ok := m.cells[[2]int{x, y}]; ok {
		return c
	}
	return m.fill
}

func (m *model) bytes() []byte {
	var b []byte
	for y := range m.spec.Height {
		for x := range m.spec.Width {
			c := m.at(x, y)
			b = append(b, byte(c>>16), byte(c>>8), byte(c))
		}
	}
	return b
}

// hashOf builds the hash of a picture from nothing but its cells.
func hashOf(s Spec, at func(x, y int) Color) uint64 {
	var sum uint64
	for y := range s.Height {
		for x := range s.Width {
			sum += cellHash(uint32(y*s.Width+x), at(x, y))
		}
	}
	return sum
}

// genSpec gives small canvases that have one to four tiles or touch the edges
// of tiles.
var genSpec = rapid.Custom(func(t *rapid.T) Spec {
	sides := rapid.SampledFrom([][2]int{{1, 1}, {3, 2}, {255, 2}, {256, 2}, {257, 2}, {2, 257}, {257, 258}, {1, 513}, {513, 1}})
	size := sides.Draw(t, "size")
	return Spec{Width: size[0], Height: size[1], Background: genColor.Draw(t, "background")}
})

// genColor has few colours, so that painting often changes nothing.
var genColor = rapid.SampledFrom([]Color{White, 0, 0xFF0000, 0x0000FF})

func genOp(s Spec) *rapid.Generator[Op] {
	coordinate := func(t *rapid.T, side int, name string) uint16 {
		// Most of what can go wrong goes wrong at the edges of tiles. A
		// coordinate outside is rare: it makes the operation a no-op.
		v := rapid.OneOf(rapid.IntRange(0, side-1), rapid.SampledFrom([]int{0, 254, 255, 256, 257, side - 1})).Draw(t, name)
		return uint16(v)
	}
	return rapid.Custom(func(t *rapid.T) Op {
		if rapid.IntRange(0, 6).Draw(t, "reset") == 0 {
			return Op{Kind: Reset, Color: genColor.Draw(t, "colour")}
		}
		o := Op{Kind: Paint}
		for range rapid.IntRange(1, 6).Draw(t, "pixels") {
			o.Pixels = append(o.Pixels, Pixel{coordinate(t, s.Width, "x"), coordinate(t, s.Height, "y"), genColor.Draw(t, "colour")})
		}
		return o
	})
}

// TestGridAgainstModel drives a grid, pictures frozen on the way and grids
// thawed from them against models.
func TestGridAgainstModel(t *testing.T) {
	type moment struct {
		frozen *Frozen
		bytes  []byte
		hash   uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		spec := genSpec.Draw(t, "spec")
		ops := genOp(spec)
		g, m := NewGrid(spec), newModel(spec)
		var moments []moment
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				moments = append(moments, moment{g.Freeze(), m.bytes(), g.Hash()})
			case 1:
				if len(moments) > 0 { // whatever is drawn on a thawed grid stays there
					other := rapid.SampledFrom(moments).Draw(t, "thaw").frozen.Thaw()
					o := ops.Draw(t, "op elsewhere")
					other.Apply(&o)
					if other.Hash() != hashOf(spec, other.At) {
						t.Fatal("hash of a thawed grid differs from that of its cells")
					}
				}
			default:
				o := ops.Draw(t, "op")
				if applied := g.Apply(&o); applied != (o.Check(spec) == nil) {
					t.Fatalf("applied: %v", applied)
				} else if applied {
					m.apply(&o)
				}
			}
		}
		if want := hashOf(spec, m.at); g.Hash() != want {
			t.Fatalf("the hash kept is %x, that of the cells %x", g.Hash(), want)
		}
		moments = append(moments, moment{g.Freeze(), m.bytes(), g.Hash()})
		for i, then := range moments {
			if !bytes.Equal(then.frozen.Bytes(), then.bytes) || then.frozen.Hash() != then.hash {
				t.Fatalf("frozen picture %d has changed", i)
			}
			loaded := NewGrid(spec)
			for n := range then.frozen.Tiles() {
				tile := then.frozen.AppendTile(nil, n)
				if then.frozen.TileIsBackground(n) {
					for i := 0; i < len(tile); i += 3 {
						if c := Color(tile[i])<<16 | Color(tile[i+1])<<8 | Color(tile[i+2]); c != spec.Background {
							t.Fatalf("tile %d is called background and has %v", n, c)
						}
					}
				}
				if i > 0 && then.frozen.SameTile(moments[i-1].frozen, n) && !bytes.Equal(tile, moments[i-1].frozen.AppendTile(nil, n)) {
					t.Fatalf("tile %d is called the same and differs", n)
				}
				if err := loaded.LoadTile(n, tile); err != nil {
					t.Fatal(err)
				}
			}
			if loaded.Hash() != then.hash || !bytes.Equal(loaded.Freeze().Bytes(), then.bytes) {
				t.Fatal("a grid loaded from the tiles differs")
			}
		}
	})
}

// TestHashIgnoresTheWay: equal pictures have equal hashes, and one cell or
// colour more or less another.
func TestHashIgnoresTheWay(t *testing.T) {
	spec := Spec{Width: 300, Height: 2, Background: White}
	a, b := NewGrid(spec), NewGrid(spec)
	a.Set(0, 0, 1)
	a.Set(299, 1, 2)
	b.Apply(&Op{Kind: Reset, Color: 5})
	b.Apply(&Op{Kind: Reset, Color: White})
	b.Set(299, 1, 2)
	b.Set(1, 1, 7)
	b.Set(0, 0, 1)
	b.Set(1, 1, White)
	if a.Hash() != b.Hash() {
		t.Error("two ways to one picture give two hashes")
	}
	b.Set(0, 0, 2)
	if a.Hash() == b.Hash() {
		t.Error("another colour gives the same hash")
	}
	b.Set(0, 0, White)
	b.Set(0, 1, 1)
	if a.Hash() == b.Hash() {
		t.Error("another cell gives the same hash")
	}
}

func TestTileBookkeeping(t *testing.T) {
	spec := Spec{Width: 300, Height: 257, Background: White} // 2×2 tiles
	g := NewGrid(spec)
	start := g.Freeze()
	if start.Tiles() != 4 {
		t.Fatalf("%d tiles", start.Tiles())
	}
	g.Set(299, 256, 1) // the last
	g.Set(0, 0, White) // no change
	next := g.Freeze()
	for n, changed := range []bool{false, false, false, true} {
		if next.SameTile(start, n) == changed || next.TileIsBackground(n) == changed || !start.TileIsBackground(n) {
			t.Errorf("tile %d: same %v, background %v", n, next.SameTile(start, n), next.TileIsBackground(n))
		}
	}
	for n, want := range []int{256 * 256, 44 * 256, 256, 44} {
		if got := len(next.AppendTile(nil, n)); got != 3*want {
			t.Errorf("tile %d has %d bytes, want %d", n, got, 3*want)
		}
	}
	g.Apply(&Op{Kind: Reset, Color: 2})
	if g.Freeze().TileIsBackground(3) {
		t.Error("a reset to another colour is not the background")
	}
	g.Apply(&Op{Kind: Reset, Color: White})
	if back := g.Freeze(); !back.TileIsBackground(3) || !back.SameTile(start, 3) || back.Hash() != start.Hash() {
		t.Error("a reset to the background is the background")
	}
	if next.At(299, 256) != 1 {
		t.Error("a reset changed a frozen picture")
	}
}

func TestLoadErrors(t *testing.T) {
	g := NewGrid(Spec{Width: 300, Height: 10, Background: White})
	before := g.Hash()
	const most = int(^uint(0) >> 1)
	for _, r := range []struct{ x, y, w, h, bytes int }{
		{0, 0, 0, 1, 0}, {0, 0, 1, 0, 0}, {0, 0, -1, -1, 3}, {-1, 0, 1, 1, 3}, {0, -1, 1, 1, 3},
		{300, 0, 1, 1, 3}, {0, 10, 1, 1, 3}, {299, 0, 2, 1, 6}, {0, 9, 1, 2, 6}, {0, 0, 301, 10, 3 * 3010},
		{0, 0, 1, 1, 2}, {0, 0, 1, 1, 4}, {0, 0, 2, 2, 0}, {2, 0, most, 1, 3}, {0, 2, 1, most, 3}, {most, 0, most, 1, 3},
	} {
		if err := g.LoadRect(r.x, r.y, r.w, r.h, make([]byte, r.bytes)); err == nil {
			t.Errorf("loaded %d bytes into %d×%d at (%d, %d)", r.bytes, r.w, r.h, r.x, r.y)
		}
	}
	for _, n := range []int{-1, 2, most} {
		if err := g.LoadTile(n, make([]byte, 3*256*10)); err == nil {
			t.Errorf("loaded tile %d", n)
		}
	}
	if err := g.LoadTile(1, make([]byte, 3*256*10)); err == nil {
		t.Error("loaded the bytes of a wide tile into a narrow one")
	}
	if g.Hash() != before {
		t.Error("a refused load changed the grid")
	}
	if err := g.LoadRect(255, 8, 2, 2, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}); err != nil {
		t.Error(err)
	}
	if g.At(255, 8) != 0x010203 || g.At(256, 8) != 0x040506 || g.At(255, 9) != 0x070809 || g.At(256, 9) != 0x0A0B0C {
		t.Error("a rectangle over the edge of two tiles came out wrong")
	}
}

// A cell that changes by itself shows when the cells are looked at.
func TestSound(t *testing.T) {
	for _, s := range []Spec{{Width: 1, Height: 1}, {Width: 300, Height: 257, Background: White}} {
		g := NewGrid(s)
		if !g.Freeze().Sound() {
			t.Errorf("%+v: a blank canvas is not sound", s)
		}
		g.Set(0, 0, 7)
		g.Set(s.Width-1, s.Height-1, 9)
		if !g.Freeze().Sound() {
			t.Errorf("%+v: a painted canvas is not sound", s)
		}
		last := g.tiles[len(g.tiles)-1]
		last.cells[len(last.cells)-1] ^= 1
		if g.Freeze().Sound() {
			t.Errorf("%+v: the damage is not seen", s)
		}
	}
}
