package api

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/replica/replicatest"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// fill makes a canvas of 100×100 cells and appends at least total operations:
// number n paints the cell (n mod 100, n / 100 mod 100) and is called n.
func fill(t *testing.T, log *store.Store, id string, total int) (canvas.Position, *canvas.Grid) {
	t.Helper()
	spec := canvas.Spec{Width: 100, Height: 100, Background: canvas.White}
	meta, _, err := log.Create(t.Context(), id, spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	session := protocol.NewSession()
	at := canvas.Position{Epoch: meta.Epoch}
	grid := canvas.NewGrid(spec)
	for n := 1; n <= total; {
		var ops []store.AppendOp
		for range 1 + n%300 {
			op := canvas.Op{Kind: canvas.Paint, Author: session.Author(), Number: uint64(n), Name: fmt.Sprint(n),
				Pixels: []canvas.Pixel{{X: uint16(n % 100), Y: uint16(n / 100 % 100), Color: canvas.Color(n)}}}
			grid.Apply(&op)
			ops = append(ops, store.AppendOp{Session: session, TTL: time.Hour, Op: op})
			n++
		}
		done, err := log.Append(t.Context(), id, at, ops)
		if err != nil {
			t.Fatal(err)
		}
		at = done.Position
	}
	return at, grid
}

func openStore(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// The search goes back through the log in steps, stops where it was told to
// and where the log ends, and says whether it covered everything.
func TestSearch(t *testing.T) {
	server := newRedis(t)
	log := openStore(t, store.Options{URL: server.URL(), Retention: 3000})
	const total = 6000
	at, grid := fill(t, log, "c", total)
	s := &service{store: log}
	find := func(after, floor uint64, n int) found {
		t.Helper()
		f, err := s.search(t.Context(), "c", after, floor, n%100, n/100%100)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	expect := func(f found, seq uint64, complete bool) {
		t.Helper()
		if f.seq != seq || f.complete != complete || seq > 0 && f.name != fmt.Sprint(seq) {
			t.Errorf("found %+v; want %d, complete: %v", f, seq, complete)
		}
	}
	for _, n := range []int{1, 777, 2500, 4097, 5999} {
		expect(find(0, total, n), uint64(n), true)
		expect(find(uint64(n-1), total, n), uint64(n), true)
		expect(find(uint64(n), total, n), 0, true)
		expect(find(0, uint64(n), n), uint64(n), true)
		expect(find(0, uint64(n-1), n), 0, true)
	}
	expect(find(0, total, 7777), 0, true) // nobody painted it

	// Behind the retention nothing is known, and nothing is claimed.
	checkpoint := &store.Checkpoint{Position: at, Grid: grid.Freeze()}
	if err := log.SaveCheckpoint(t.Context(), "c", checkpoint, nil); err != nil {
		t.Fatal(err)
	}
	if removed, err := log.Trim(t.Context(), "c"); err != nil || removed == 0 {
		t.Fatal(removed, err)
	}
	expect(find(0, at.Seq, 5000), 5000, true)
	expect(find(0, at.Seq, 1), 0, false)
	expect(find(0, 500, 400), 0, false)
}

// A process that starts does not read the whole log; what it asks for from
// before, it finds.
func TestLastWriteFromLog(t *testing.T) {
	server := newRedis(t)
	log := openStore(t, store.Options{URL: server.URL()})
	at, grid := fill(t, log, "main", 9500)
	if err := log.SaveCheckpoint(t.Context(), "main", &store.Checkpoint{Position: at, Grid: grid.Freeze()}, nil); err != nil {
		t.Fatal(err)
	}
	p := run(t, server, nil)
	for _, n := range []int{1, 500, 9400} {
		var s pixelStory
		if err := json.Unmarshal([]byte(p.get(fmt.Sprintf("/api/canvases/main/pixels/%d/%d", n%100, n/100)).body), &s); err != nil {
			t.Fatal(err)
		}
		if s.LastWrite == nil || s.LastWrite.Seq != uint64(n) || s.LastWrite.Username != fmt.Sprint(n) || s.Color != canvas.Color(n).String() {
			t.Errorf("cell %d: %+v %+v", n, s, s.LastWrite)
		}
	}
	if n := p.metric(`pixel_last_write_lookups_total{source="log"}`); n != 2 {
		t.Errorf("%v answers from the log", n)
	}
}

// The log is that of another history by the time when it is searched: what it
// says of a cell is not told of the picture that was looked at.
func TestLastWriteOfAnotherHistory(t *testing.T) {
	server := newRedis(t)
	log := openStore(t, store.Options{URL: server.URL()})
	at, grid := fill(t, log, "main", 9500) // more than a process reads at its start
	if err := log.SaveCheckpoint(t.Context(), "main", &store.Checkpoint{Position: at, Grid: grid.Freeze()}, nil); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	s := &service{store: log, metrics: newMetrics(registry), scans: make(chan struct{}, maxScans)}
	spec := canvas.Spec{Width: 100, Height: 100, Background: canvas.White}
	s.pool = replica.NewPool(replica.PoolOptions{
		Replica:   replica.Options{Source: replicatest.Deaf{Source: replica.FromStore(log)}, Metrics: replica.NewMetrics(registry), CheckEvery: time.Hour},
		Permanent: map[string]canvas.Spec{"main": spec}, Observe: s.observe,
	})
	defer start(t.Context(), s.pool.Run)()
	c, err := s.pool.Get(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if w, err := s.lastWrite(t.Context(), c, at, 1, 0); err != nil || w.seq == 0 {
		t.Fatalf("%+v, %v", w, err)
	}
	if err := commands(t, server).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	fill(t, log, "main", 300)
	if w, err := s.lastWrite(t.Context(), c, at, 1, 0); err != nil || w.seq != 0 {
		t.Errorf("the cell was last written by %+v, %v", w, err)
	}
}
