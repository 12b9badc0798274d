package canvas

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseColor(t *testing.T) {
	for s, want := range map[string]Color{
		"#000000": 0, "#FFFFFF": White, "#ffffff": White, "#FF8000": 0xFF8000, "#0a0B0c": 0x0A0B0C, "#000001": 1,
	} {
		if got, err := ParseColor(s); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "#", "#FFF", "#FFFFF", "#FFFFFFF", "#FFFFFFFF", "FFFFFF", "FFFFFFF", " #FFFFFF", "#FFFFFF ",
		"#GGGGGG", "#FFFFF/", "#FFFFF:", "#FFFFF@", "#FFFFF`", "#FFFFFg", "#FFFFF\x00", "#-FFFFF", "#+00001", "#0x0001",
		"#1_0000", "white", "#FFFFé", "#FF００", "＃FFFFFF", strings.Repeat("#", 1<<20)} {
		got, err := ParseColor(s)
		if err == nil || got != 0 {
			t.Errorf("%.20q is %v", s, got)
		} else if len(err.Error()) > 200 {
			t.Errorf("the error repeats %d bytes of input", len(err.Error()))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := Color(rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "colour"))
		s := c.String()
		if s != fmt.Sprintf("#%06X", uint32(c)) || string(c.Append([]byte("x"))) != "x"+s {
			t.Fatalf("%#x is written %q", uint32(c), s)
		}
		for _, form := range []string{s, strings.ToLower(s)} {
			if got, err := ParseColor(form); err != nil || got != c {
				t.Fatalf("%q is read as %v, %v", form, got, err)
			}
		}
	})
}

func TestCheckID(t *testing.T) {
	for _, id := range []string{"a", "0", "main", "a-", "a--b", "0123456789", strings.Repeat("z", 64)} {
		if err := CheckID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", "-", "-a", "A", "Main", "a_b", "a.b", "a b", "a/b", "a:b", "{a}", "a\x00", "é", "a\n", "..", strings.Repeat("z", 65)} {
		if err := CheckID(id); !errors.Is(err, ErrID) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestSpec(t *testing.T) {
	for _, s := range []Spec{{1, 1, 0}, {MaxSide, MaxSide, White}, {1, MaxSide, White}, {50, 50, White}} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []Spec{{}, {0, 1, 0}, {1, 0, 0}, {-1, 1, 0}, {1, -1, 0}, {MaxSide + 1, 1, 0}, {1, MaxSide + 1, 0}, {1, 1, 1 << 24}, {1 << 40, 1 << 40, 0}} {
		if err := s.Validate(); err == nil {
			t.Errorf("%+v is valid", s)
		}
	}
	s := Spec{Width: 3, Height: 2}
	if s.Cells() != 6 {
		t.Errorf("%d cells", s.Cells())
	}
	const most = int(^uint(0) >> 1)
	for _, p := range []struct {
		x, y int
		want bool
	}{{0, 0, true}, {2, 1, true}, {3, 0, false}, {0, 2, false}, {-1, 0, false}, {0, -1, false}, {most, most, false}, {-most - 1, 0, false}} {
		if got := s.Contains(p.x, p.y); got != p.want {
			t.Errorf("contains (%d, %d): %v", p.x, p.y, got)
		}
	}
}

func TestPositions(t *testing.T) {
	a, b := NewEpoch(), NewEpoch()
	if a == b || a.IsZero() || !(Epoch{}).IsZero() {
		t.Error("new epochs are not random")
	}
	rapid.Check(t, func(t *rapid.T) {
		p := Position{
			Epoch: Epoch(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "epoch")),
			Seq:   rapid.Uint64Range(0, 1<<53-1).Draw(t, "seq"),
		}
		for _, form := range []string{p.String(), strings.ToUpper(p.String())} {
			if got, err := ParsePosition(form); err != nil || got != p {
				t.Fatalf("%q is read as %v, %v", form, got, err)
			}
		}
	})
	e := strings.Repeat("0f", 16)
	for _, s := range []string{"", "/", "/1", e, e + "/", e + "/-1", e + "/+1", e + "/1.0", e + "/1e3", e + "/0x1", e + "/1_0", e + "/ 1", e + "/1 ",
		e + "/9007199254740992", e + "/18446744073709551616", e + "/1/2", e[1:] + "/1", e + "0/1", "g" + e[1:] + "/1", " " + e + "/1",
		strings.Repeat("x", 1<<20) + "/1"} {
		p, err := ParsePosition(s)
		if err == nil || p != (Position{}) {
			t.Errorf("%.50q is %v", s, p)
		} else if len(err.Error()) > 300 {
			t.Errorf("the error repeats %d bytes of input", len(err.Error()))
		}
	}
}

func TestOpCheck(t *testing.T) {
	spec := Spec{Width: 10, Height: 5}
	paint := func(pixels ...Pixel) Op { return Op{Kind: Paint, Pixels: pixels} }
	for name, row := range map[string]struct {
		op Op
		ok bool
	}{
		"pixel":                {paint(Pixel{9, 4, White}), true},
		"greatest number":      {paint(make([]Pixel, MaxPixels)...), true},
		"reset":                {Op{Kind: Reset, Color: White}, true},
		"reset without colour": {Op{Kind: Reset}, true},
		"zero":                 {Op{}, false},
		"unknown kind":         {Op{Kind: 3, Pixels: []Pixel{{}}}, false},
		"no pixel":             {paint(), false},
		"too many":             {paint(make([]Pixel, MaxPixels+1)...), false},
		"x outside":            {paint(Pixel{10, 0, 0}), false},
		"y outside":            {paint(Pixel{0, 5, 0}), false},
		"last outside":         {paint(Pixel{}, Pixel{X: 65535}), false},
		"colour of 25 bits":    {paint(Pixel{Color: 1 << 24}), false},
		"reset to 25 bits":     {Op{Kind: Reset, Color: 1 << 24}, false},
	} {
		if err := row.op.Check(spec); (err == nil) != row.ok {
			t.Errorf("%s: %v", name, err)
		}
		g := NewGrid(spec)
		before := g.Hash()
		if g.Apply(&row.op) != row.ok || !row.ok && g.Hash() != before {
			t.Errorf("%s: Apply does not agree with Check, or changed the grid in part", name)
		}
	}
}

func TestEntryAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := &Entry{First: rapid.Uint64Range(1, 100).Draw(t, "first"), Time: 7, Epoch: Epoch{1}}
		for i := range rapid.IntRange(1, 10).Draw(t, "ops") {
			e.Ops = append(e.Ops, Op{Number: e.First + uint64(i)}) // each knows its position
		}
		seq := rapid.Uint64Range(0, 120).Draw(t, "seq")
		rest := e.After(seq)
		switch {
		case seq >= e.Last():
			if rest != nil {
				t.Fatalf("[%d, %d] after %d has %d operations", e.First, e.Last(), seq, len(rest.Ops))
			}
		case seq < e.First:
			if rest != e {
				t.Fatal("the whole entry is not the entry itself")
			}
		default:
			if rest.First != seq+1 || rest.Last() != e.Last() || rest.Time != e.Time || rest.Epoch != e.Epoch {
				t.Fatalf("[%d, %d] after %d is [%d, %d]", e.First, e.Last(), seq, rest.First, rest.Last())
			}
			for i, o := range rest.Ops {
				if o.Number != rest.First+uint64(i) {
					t.Fatalf("position %d has the operation of %d", rest.First+uint64(i), o.Number)
				}
			}
		}
	})
}
