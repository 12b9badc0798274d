package hub

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// sinkhole is a socket that takes everything and keeps nothing, so that what is
// measured is the hub.
type sinkhole struct{ bytes int }

func (s *sinkhole) TryWrite(b []byte) (int, error) { s.bytes += len(b); return len(b), nil }

func (s *sinkhole) WriteAll(b []byte, _ time.Duration) (int, error) { return len(b), nil }

func (s *sinkhole) Close() error { return nil }

// BenchmarkRound is one round of the flusher: so many entries of one pixel for
// so many connections. Reported per delivery (one entry to one connection);
// the send on a real socket, 6 µs and more, comes on top.
func BenchmarkRound(b *testing.B) {
	for _, codec := range []Codec{JSON, Binary} {
		for _, conns := range []int{100, 1000} {
			for _, entries := range []int{1, 20} {
				b.Run(fmt.Sprintf("codec=%d/conns=%d/entries=%d", codec, conns, entries), func(b *testing.B) {
					f := NewFlusher(FlusherOptions{Metrics: NewMetrics(prometheus.NewRegistry())})
					spec := canvas.Spec{Width: 50, Height: 50, Background: canvas.White}
					frozen := canvas.NewGrid(spec).Freeze()
					at := canvas.Position{Epoch: canvas.Epoch{1}}
					h := New(f, Options{Spec: spec, Freeze: func() (*canvas.Frozen, canvas.Position) { return frozen, at }})
					h.Restart(at, spec)
					ctx, cancel := context.WithCancel(b.Context())
					cancel()
					for range conns {
						h.Join(NewConn(&sinkhole{}, codec), &at, func(at canvas.Position, _ Resumption) protocol.ServerMessage {
							return protocol.Connected{Position: at, Spec: spec}
						})
					}
					f.round(h)
					seq := uint64(0)
					b.ReportAllocs()
					for b.Loop() {
						for range entries {
							seq++
							o := paint(int(seq%50), int(seq/50%50), canvas.Color(seq&0xFFFFFF))
							o.Received = 1
							h.Publish(&canvas.Entry{Epoch: at.Epoch, First: seq, Time: 1, Ops: []canvas.Op{o}})
						}
						f.round(h)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(conns*entries), "ns/delivery")
					f.Run(ctx) // waits for its helpers
				})
			}
		}
	}
}

// BenchmarkConflate makes a range of 10,000 operations on 2,500 cells.
func BenchmarkConflate(b *testing.B) {
	spec := canvas.Spec{Width: 50, Height: 50, Background: canvas.White}
	var entries []*canvas.Entry
	for i := range 10_000 {
		entries = append(entries, &canvas.Entry{First: uint64(i + 1), Ops: []canvas.Op{paint(i%50, i/50%50, canvas.Color(i))}})
	}
	b.ReportAllocs()
	for b.Loop() {
		encodeRange(conflate(entries, 0, 10_000, spec), spec, Binary)
	}
}
