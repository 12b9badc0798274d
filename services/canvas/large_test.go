package canvas

import (
	"math/rand/v2"
	"sync"
	"testing"
)

// TestLargest works at the corners of the greatest canvas and of its tiles.
func TestLargest(t *testing.T) {
	spec := Spec{Width: MaxSide, Height: MaxSide, Background: 0x123456}
	g := NewGrid(spec)
	if g.Freeze().Tiles() != 256 {
		t.Errorf("%d tiles", g.Freeze().Tiles())
	}
	want := g.Hash()
	for i, side := range []int{0, 1, 254, 255, 256, 257, 511, 512, 4094, 4095} {
		for _, p := range [][2]int{{side, 0}, {0, side}, {side, side}, {4095 - side, side}} {
			c := Color(i + 1)
			want += cellHash(uint32(p[1]*MaxSide+p[0]), c) - cellHash(uint32(p[1]*MaxSide+p[0]), g.At(p[0], p[1]))
			if !g.Apply(&Op{Kind: Paint, Pixels: []Pixel{{uint16(p[0]), uint16(p[1]), c}}}) || g.At(p[0], p[1]) != c {
				t.Errorf("(%d, %d) is %v, want %v", p[0], p[1], g.At(p[0], p[1]), c)
			}
		}
	}
	if g.Hash() != want || hashOf(spec, g.At) != want {
		t.Error("the hash kept is not that of the cells")
	}
	if g.Apply(&Op{Kind: Paint, Pixels: []Pixel{{MaxSide, 0, 0}}}) {
		t.Error("painted right of the canvas")
	}
	if c := g.At(2000, 2000); c != spec.Background {
		t.Errorf("the middle is %v", c)
	}
}

func TestSmallest(t *testing.T) {
	g := NewGrid(Spec{Width: 1, Height: 1, Background: White})
	g.Apply(&Op{Kind: Paint, Pixels: []Pixel{{0, 0, 1}, {0, 0, 2}}})
	if g.At(0, 0) != 2 || g.Hash() != cellHash(0, 2) {
		t.Errorf("of two pixels for one cell the later wins; it is %v", g.At(0, 0))
	}
	if b := g.Freeze().Bytes(); len(b) != 3 || b[2] != 2 {
		t.Errorf("bytes % X", b)
	}
}

// TestFrozenIsShared lets several goroutines read and thaw pictures while the
// grid goes on; the race detector judges.
func TestFrozenIsShared(t *testing.T) {
	spec := Spec{Width: 300, Height: 300, Background: White}
	g := NewGrid(spec)
	var readers sync.WaitGroup
	for i := range 20 {
		g.Set(i, i, Color(i))
		g.Set(299-i, 299, Color(i))
		f := g.Freeze()
		readers.Go(func() {
			if got := hashOf(spec, f.At); got != f.Hash() {
				t.Errorf("picture %d changed while it was read", i)
			}
			thawed := f.Thaw()
			thawed.Set(5, 5, 0xABCDEF)
			thawed.Freeze()
			if f.At(5, 5) == 0xABCDEF {
				t.Errorf("drawing on a thawed grid changed picture %d", i)
			}
		})
	}
	readers.Wait()
}

// TestCellHash: no two of many cells and colours share a hash (it is a
// bijection of their 48 bits), and the values do not change between releases:
// they stand in checkpoints and snapshots.
func TestCellHash(t *testing.T) {
	seen := map[uint64]bool{}
	for index := range uint32(300) {
		for c := range Color(300) {
			seen[cellHash(index, c)] = true
		}
	}
	if len(seen) != 300*300 {
		t.Errorf("%d values for %d cells", len(seen), 300*300)
	}
	// The first output of SplitMix64 with seed 0.
	if got := cellHash(0, 0); got != 0xe220a8397b1dcdaf {
		t.Errorf("cellHash(0, 0) is %#x", got)
	}
}

var benchmarkSpec = Spec{Width: 1024, Height: 1024, Background: White}

// randomOps gives operations that each change their cells, however often they
// are applied in turn: the second half has the cells of the first in another
// colour.
func randomOps(pixels int) []Op {
	random := rand.New(rand.NewPCG(1, 2))
	ops := make([]Op, 2048)
	for i := range ops[:1024] {
		ops[i].Kind, ops[i+1024].Kind = Paint, Paint
		for range pixels {
			p := Pixel{uint16(random.IntN(1024)), uint16(random.IntN(1024)), Color(random.IntN(1 << 24))}
			ops[i].Pixels = append(ops[i].Pixels, p)
			p.Color ^= 1
			ops[i+1024].Pixels = append(ops[i+1024].Pixels, p)
		}
	}
	return ops
}

func BenchmarkApply(b *testing.B) {
	for name, pixels := range map[string]int{"1 pixel": 1, "64 pixels": 64} {
		b.Run(name, func(b *testing.B) {
			g, ops := NewGrid(benchmarkSpec), randomOps(pixels)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				g.Apply(&ops[i%len(ops)])
			}
		})
	}
}

func BenchmarkReset(b *testing.B) {
	for name, colors := range map[string][2]Color{"same colour": {White, White}, "other colour": {White, 0}} {
		b.Run(name, func(b *testing.B) {
			g := NewGrid(benchmarkSpec)
			for i := 0; b.Loop(); i++ {
				g.Apply(&Op{Kind: Reset, Color: colors[i%2]})
			}
		})
	}
}

// BenchmarkFreeze freezes after each operation: the worst case of copying on
// write.
func BenchmarkFreeze(b *testing.B) {
	b.Run("unchanged", func(b *testing.B) {
		g := NewGrid(benchmarkSpec)
		b.ReportAllocs()
		for b.Loop() {
			g.Freeze()
		}
	})
	b.Run("after one pixel", func(b *testing.B) {
		g, ops := NewGrid(benchmarkSpec), randomOps(1)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			g.Apply(&ops[i%len(ops)])
			g.Freeze()
		}
	})
}

func BenchmarkThaw(b *testing.B) {
	f := NewGrid(benchmarkSpec).Freeze()
	for b.Loop() {
		f.Thaw()
	}
}

// BenchmarkHash compares reading the hash that is kept with building it.
func BenchmarkHash(b *testing.B) {
	g := NewGrid(benchmarkSpec)
	var sum uint64
	b.Run("kept", func(b *testing.B) {
		for b.Loop() {
			sum += g.Hash()
		}
	})
	b.Run("built", func(b *testing.B) {
		for b.Loop() {
			sum += hashOf(benchmarkSpec, g.At)
		}
	})
	b.Run("uniform", func(b *testing.B) {
		for b.Loop() {
			sum += uniformHash(benchmarkSpec.Cells(), White)
		}
	})
}
