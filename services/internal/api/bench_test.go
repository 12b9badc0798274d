package api

import (
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

// What it costs to make a picture; a position that was asked for before costs
// nothing of it.
func BenchmarkPictures(b *testing.B) {
	for _, side := range []int{50, 1000} {
		for _, colors := range []int{16, 100_000} {
			f := randomGrid(canvas.Spec{Width: side, Height: side, Background: canvas.White}, colors)
			b.Run(fmt.Sprintf("json/%dx%d/%d-colors", side, side, colors), func(b *testing.B) {
				b.SetBytes(int64(f.Spec().Cells()))
				for b.Loop() {
					for part := range encodeJSON(f, math.MaxInt) {
						_ = part
					}
				}
			})
			b.Run(fmt.Sprintf("png/%dx%d/%d-colors", side, side, colors), func(b *testing.B) {
				b.SetBytes(int64(f.Spec().Cells()))
				for b.Loop() {
					if err := encodePNG(io.Discard, f, 1); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
