package replica

import (
	"fmt"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/prometheus/client_golang/prometheus"
)

// BenchmarkReceive is what a live message costs a replica, from the decoded
// entry to its having been drawn, without an observer.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{1, 16, 512} {
		b.Run(fmt.Sprint("operations=", size), func(b *testing.B) {
			r := New(Options{ID: "main", Metrics: NewMetrics(prometheus.NewRegistry())})
			r.grid = canvas.NewGrid(canvas.Spec{Width: 50, Height: 50, Background: canvas.White})
			entry := &canvas.Entry{}
			for i := range size {
				entry.Ops = append(entry.Ops, dot(i%50, i/50%50, canvas.Color(i)))
			}
			b.ReportAllocs()
			for n := uint64(0); b.Loop(); n++ {
				entry.First = r.pos.Seq + 1
				entry.Ops[0].Pixels[0].Color = canvas.Color(n & 0xFFFFFF)
				r.receive(b.Context(), store.Event{Kind: store.Live, Entry: entry})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/operation")
			if r.pos.Seq != uint64(b.N*size) {
				b.Fatalf("stands at %d, want %d", r.pos.Seq, b.N*size)
			}
		})
	}
}
