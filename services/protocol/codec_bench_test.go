package protocol

import (
	"fmt"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

var benchSpec = canvas.Spec{Width: 50, Height: 50, Background: canvas.White}

// benchEntry is an entry of operations of one pixel each.
func benchEntry(size int) *canvas.Entry {
	e := &canvas.Entry{First: 1 << 20, Time: 1_700_000_000_000}
	for i := range size {
		e.Ops = append(e.Ops, canvas.Op{
			Kind: canvas.Paint, Author: canvas.AuthorID(0x12345678 + i), Number: uint64(1000 + i),
			Pixels: []canvas.Pixel{{X: uint16(i % 50), Y: uint16(i / 50 % 50), Color: canvas.Color(i*7919) & 0xFFFFFF}},
		})
	}
	return e
}

func perOperation(b *testing.B, size int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/operation")
}

// BenchmarkEncodeEntry is what a gateway does once for each entry and codec.
func BenchmarkEncodeEntry(b *testing.B) {
	for _, size := range []int{1, 20, 512} {
		e := benchEntry(size)
		b.Run(fmt.Sprintf("json/operations=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			j, n := JSON{}, 0
			for b.Loop() {
				j.Entry(e, benchSpec, func(m []byte) { n += len(m) })
			}
			perOperation(b, size)
		})
		b.Run(fmt.Sprintf("binary/operations=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				out = AppendEntry(out[:0], e)
			}
			perOperation(b, size)
		})
	}
}

// BenchmarkDecodeEntry is what a client does for each frame.
func BenchmarkDecodeEntry(b *testing.B) {
	for _, size := range []int{1, 20, 512} {
		frame := AppendEntry(nil, benchEntry(size))
		b.Run(fmt.Sprintf("binary/operations=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := DecodeServerBinary(frame, func(ServerMessage) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			perOperation(b, size)
		})
		b.Run(fmt.Sprintf("binary-visited/operations=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := VisitServerBinary(frame, func(uint64, canvas.Pixel) {}, nil); err != nil {
					b.Fatal(err)
				}
			}
			perOperation(b, size)
		})
	}
}

// BenchmarkEncodeDraw is what a client does for each of its operations.
func BenchmarkEncodeDraw(b *testing.B) {
	draw := Draw{Number: 1000, Pixels: []canvas.Pixel{{X: 12, Y: 34, Color: 0x56789A}}}
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodeClientJSON(draw); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("binary", func(b *testing.B) {
		b.ReportAllocs()
		var out []byte
		for b.Loop() {
			var err error
			if out, err = AppendClientBinary(out[:0], draw); err != nil {
				b.Fatal(err)
			}
		}
	})
}
