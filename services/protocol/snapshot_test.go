package protocol

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
)

// TestSnapshot sends pictures of noise, which DEFLATE cannot make smaller, of
// the sizes where bands begin and end.
func TestSnapshot(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 4096}, {4096, 1}, {4096, 5}, {4096, 6}, {50, 50}, {256, 80}, {256, 81}, {257, 300}} {
		spec := canvas.Spec{Width: size[0], Height: size[1], Background: canvas.White}
		noise := rand.New(rand.NewPCG(1, uint64(spec.Cells())))
		g := canvas.NewGrid(spec)
		for y := range spec.Height {
			for x := range spec.Width {
				g.Set(x, y, canvas.Color(noise.Uint32N(1<<24)))
			}
		}
		at := canvas.Position{Epoch: vectorEpoch, Seq: 77}
		messages := EncodeSnapshot(g.Freeze(), at)
		got := canvas.NewGrid(spec)
		var begin SnapshotBegin
		bands := 0
		for _, message := range messages {
			if len(message) > 64<<10 {
				t.Errorf("%v: message of %d bytes", size, len(message))
			}
			if err := DecodeServerBinary(message, func(m ServerMessage) error {
				switch m := m.(type) {
				case SnapshotBegin:
					begin = m
				case SnapshotBand:
					if m.Index != bands {
						t.Errorf("%v: band %d comes as number %d", size, m.Index, bands)
					}
					bands++
					return LoadBand(got, &m)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if want := (SnapshotBegin{Position: at, Spec: spec, Hash: g.Hash(), Bands: bands}); begin != want {
			t.Errorf("%v: begins with %+v, want %+v", size, begin, want)
		}
		if got.Hash() != g.Hash() || !bytes.Equal(got.Freeze().Bytes(), g.Freeze().Bytes()) {
			t.Errorf("%v: the picture arrives different", size)
		}
	}
}

func TestCleanName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.OneOf(rapid.String(), rapid.StringN(18, 24, -1), rapid.StringOf(rapid.SampledFrom([]rune("a é\u0085\u2028\u202E\u3000\t\uFFFD😀"))),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "name")
		cut, ok := CleanName(raw, true)
		if ok {
			if !utf8.ValidString(cut) || utf8.RuneCountInString(cut) > canvas.MaxName || cut != strings.TrimSpace(cut) {
				t.Fatalf("%q became %q", raw, cut)
			}
			if strings.ContainsAny(cut, "\x00\t\n\u0085\u2028\u2029\u202A\u202E\u2066\u2069") {
				t.Fatalf("%q keeps what it must not: %q", raw, cut)
			}
			if again, ok := CleanName(cut, false); !ok || again != cut {
				t.Fatalf("%q is clean, but becomes %q, %v", cut, again, ok)
			}
		}
		whole, okWhole := CleanName(raw, false)
		if okWhole && (!ok || whole != cut || whole != strings.TrimSpace(raw)) {
			t.Fatalf("%q uncut is %q, cut %q, %v", raw, whole, cut, ok)
		}
	})
}

func TestParseTraceparent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for s, want := range map[string]bool{
		good:                               true,
		"01" + good[2:]:                    true, // a later version, without more fields
		"01" + good[2:] + "-more":          true,
		"01" + good[2:] + "more":           false,
		good + "-more":                     false,
		"ff" + good[2:]:                    false,
		"zz" + good[2:]:                    false,
		strings.ToUpper(good):              false,
		good[:54]:                          false,
		"":                                 false,
		strings.Replace(good, "-", "_", 1): false,
		"00-" + strings.Repeat("0", 32) + good[35:]:                     false,
		good[:36] + strings.Repeat("0", 16) + "-01":                     false,
		strings.Replace(good, "0af7", "xaf7", 1):                        false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-\xC3\xA9": false,
	} {
		got, ok := ParseTraceparent(s)
		if ok != want || ok != (got == vectorTrace) || !ok && got != (canvas.Trace{}) {
			t.Errorf("%q is %x, %v; want %v", s, got, ok, want)
		}
	}
	if s := FormatTraceparent(canvas.Trace{}); s != "" {
		t.Errorf("no context is %q", s)
	}
}

func TestCodes(t *testing.T) {
	for _, c := range Codes() {
		if c.Message() == "Error" || codesByName[c.String()] != c {
			t.Errorf("code %d has the name %q and the text %q", c, c, c.Message())
		}
	}
	if len(Codes()) != len(codesByName) {
		t.Error("two codes have one name")
	}
	if c := Code(200); c.String() != "unknown" || c.Message() != "Error" || !c.Transient() {
		t.Errorf("a code of a later version: %v, %q, transient %v", c, c.Message(), c.Transient())
	}
	if s := State(9); s.String() != "unknown" {
		t.Errorf("a state of a later version: %v", s)
	}
}

var benchmarkFrames = map[string][]byte{
	"json":   []byte(`{"type":"pixel_update","x":3,"y":4,"color":"#FF0000","username":"Ada","op":12345}`),
	"binary": {0x42, 0x09, 0x81, 0x01, 0x00, 0x05, 0x03, 0x04, 0xFF, 0x00, 0x00},
}

func BenchmarkDecodeJSON(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeJSON(benchmarkFrames["json"], vectorSpec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBinary(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		DecodeBinary(benchmarkFrames["binary"], vectorSpec, func(_ ClientMessage, err error) {
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkAppendEntry(b *testing.B) {
	e := &canvas.Entry{First: 1}
	for i := range uint16(100) {
		e.Ops = append(e.Ops, canvas.Op{Kind: canvas.Paint, Number: uint64(i), Pixels: []canvas.Pixel{pixel(i, i, 0xFF0000)}})
	}
	var frame []byte
	b.ReportAllocs()
	for b.Loop() {
		frame = AppendEntry(frame[:0], e)
	}
	b.SetBytes(int64(len(frame)))
}

func BenchmarkEncodeSnapshot(b *testing.B) {
	f := canvas.NewGrid(canvas.Spec{Width: 1024, Height: 1024, Background: canvas.White}).Freeze()
	b.ReportAllocs()
	for b.Loop() {
		EncodeSnapshot(f, canvas.Position{})
	}
	b.SetBytes(3 << 20)
}
