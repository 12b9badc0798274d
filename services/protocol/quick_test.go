package protocol

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Whatever a gateway sends in its usual form, the quick decoders take: they
// would be of no use if the form changed and nobody noticed.
func TestQuickDecodersTakeWhatGatewaysSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"", "Ada", "a b-c_d.e", "0123456789abcdefghij"}).Draw(t, "name")
		p := canvas.Pixel{
			X:     rapid.Uint16().Draw(t, "x"),
			Y:     rapid.Uint16().Draw(t, "y"),
			Color: canvas.Color(rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "color")),
		}
		first := rapid.Uint64Range(1, MaxNumber).Draw(t, "seq")
		at := rapid.Int64Range(0, 1<<45).Draw(t, "time")
		j := JSON{}
		spec := canvas.Spec{Width: 1 << 16, Height: 1 << 16, Background: canvas.White}
		entry := &canvas.Entry{First: first, Time: at, Ops: []canvas.Op{{Kind: canvas.Paint, Pixels: []canvas.Pixel{p}, Name: name}}}
		j.Entry(entry, spec, func(frame []byte) {
			got, ok := DecodePixelUpdated(frame)
			if name == "" {
				name = Anonymous
			}
			if want := (PixelUpdated{Pixel: p, Name: name, Time: at, Prev: first - 1, Seq: first}); !ok || got != want {
				t.Fatalf("%q is %+v, %v; want %+v", frame, got, ok, want)
			}
			// Every other spelling is for the general decoder.
			cut := rapid.IntRange(0, len(frame)-1).Draw(t, "cut")
			if _, ok := DecodePixelUpdated(frame[:cut]); ok {
				t.Fatalf("%q was accepted", frame[:cut])
			}
			if _, ok := DecodePixelUpdated(append(append([]byte{}, frame...), ' ')); ok {
				t.Fatal("a space behind was accepted")
			}
		})
		want := Ack{Number: rapid.Uint64Range(1, MaxNumber).Draw(t, "number"), Seq: first}
		if got, ok := DecodeAck(EncodeJSON(want)[0]); !ok || got != want {
			t.Fatalf("%+v, %v; want %+v", got, ok, want)
		}
	})
}

// Runs of single pixels take two pieces of memory, whatever their number.
func TestSinglesAreReadAsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entry := &canvas.Entry{First: rapid.Uint64Range(1, MaxNumber-100).Draw(t, "first"), Time: 1}
		for range rapid.IntRange(1, 20).Draw(t, "operations") {
			o := canvas.Op{Kind: canvas.Paint, Author: canvas.AuthorID(rapid.Uint32().Draw(t, "author")), Number: rapid.Uint64Range(0, MaxNumber).Draw(t, "number")}
			for range rapid.SampledFrom([]int{1, 1, 1, 1, 1, 3}).Draw(t, "pixels") {
				o.Pixels = append(o.Pixels, canvas.Pixel{X: rapid.Uint16().Draw(t, "x"), Y: rapid.Uint16().Draw(t, "y"), Color: canvas.Color(rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "color"))})
			}
			entry.Ops = append(entry.Ops, o)
		}
		if err := DecodeServerBinary(AppendEntry(nil, entry), func(m ServerMessage) error {
			if want := (Updates{First: entry.First, Time: 1, Ops: entry.Ops}); !reflect.DeepEqual(m, want) {
				t.Fatalf("got %+v, want %+v", m, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkDecodeServerJSON(b *testing.B) {
	j := JSON{}
	entry := &canvas.Entry{First: 1 << 20, Time: 1_700_000_000_000, Ops: []canvas.Op{{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: 12, Y: 34, Color: 0x56789A}}}}}
	var frame []byte
	j.Entry(entry, canvas.Spec{Width: 50, Height: 50}, func(m []byte) { frame = append(frame, m...) })
	for _, decoder := range []struct {
		name string
		read func([]byte) bool
	}{
		{"typed", func(f []byte) bool { _, ok := DecodePixelUpdated(f); return ok }},
		{"quick", func(f []byte) bool { m, err := DecodeServerJSON(f); return m != nil && err == nil }},
		{"general", func(f []byte) bool { m, err := decodeServerJSON(f); return m != nil && err == nil }},
	} {
		b.Run(decoder.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !decoder.read(frame) {
					b.Fatal("not read")
				}
			}
		})
	}
}
