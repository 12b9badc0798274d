package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

// BenchmarkAppend shows what a batch costs by its size, each operation of a
// session of its own, as when many draw at once, on a redis-server that writes
// to disk before it answers or once a second.
func BenchmarkAppend(b *testing.B) {
	for _, fsync := range []string{"always", "everysec"} {
		for _, size := range []int{1, 16, 512} {
			b.Run(fmt.Sprintf("%s/operations=%d", fsync, size), func(b *testing.B) { benchmarkAppend(b, fsync, size) })
		}
	}
}

func benchmarkAppend(b *testing.B, fsync string, size int) {
	server, err := embedded.StartRedis(b.Context(), embedded.Options{AppendFsync: fsync})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }() // the figures are taken
	s, err := Open(Options{URL: server.URL()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m, _, err := s.Create(b.Context(), "main", spec, 0)
	if err != nil {
		b.Fatal(err)
	}
	at := canvas.Position{Epoch: m.Epoch}
	var batch []AppendOp
	for range size {
		batch = append(batch, paint(protocol.NewSession(), 1)...)
	}
	for n := uint64(1); b.Loop(); n++ {
		for i := range batch {
			batch[i].Op.Number, batch[i].TTL = n, time.Hour
		}
		a, err := s.Append(b.Context(), "main", at, batch)
		if err != nil {
			b.Fatal(err)
		}
		at = a.Position
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "operations/s")
}
