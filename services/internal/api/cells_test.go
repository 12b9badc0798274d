package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Whatever is forgotten, lastWrites never names a wrong write: either it knows
// the last one, or the range in which the log has to be searched holds it.
func TestLastWrites(t *testing.T) {
	spec := canvas.Spec{Width: 6, Height: 5, Background: canvas.White}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 7))
		var entries []*canvas.Entry
		truth := map[[2]int][]uint64{} // the writes of each cell, in order
		epoch := canvas.NewEpoch()
		seq := uint64(0)
		for range 60 {
			e := &canvas.Entry{Epoch: epoch, First: seq + 1, Time: int64(seq)}
			for range 1 + random.IntN(4) {
				seq++
				if random.IntN(25) == 0 {
					e.Ops = append(e.Ops, canvas.Op{Kind: canvas.Reset})
					for x := range spec.Width {
						for y := range spec.Height {
							truth[[2]int{x, y}] = append(truth[[2]int{x, y}], seq)
						}
					}
					continue
				}
				op := canvas.Op{Kind: canvas.Paint}
				if random.IntN(20) == 0 {
					op.Pixels = []canvas.Pixel{{X: 99}} // the canvas cannot hold it: it writes nothing
					e.Ops = append(e.Ops, op)
					continue
				}
				for range 1 + random.IntN(3) {
					x, y := random.IntN(spec.Width), random.IntN(spec.Height)
					op.Pixels = append(op.Pixels, canvas.Pixel{X: uint16(x), Y: uint16(y)})
					truth[[2]int{x, y}] = append(truth[[2]int{x, y}], seq)
				}
				e.Ops = append(e.Ops, op)
			}
			entries = append(entries, e)
		}
		start := random.IntN(len(entries))
		from := max(0, start-5)
		l := newLastWrites(1 + random.IntN(20))
		l.restart(canvas.Position{Epoch: epoch, Seq: entries[start].First - 1}, spec, entries[from:start])
		for _, e := range entries[start:] {
			l.apply(e)
		}
		at := canvas.Position{Epoch: epoch, Seq: seq}
		for cell, writes := range truth {
			known, after, floor, err := l.lookup(t.Context(), at, func() canvas.Position { return at }, cell[0], cell[1])
			if err != nil {
				t.Fatal(err)
			}
			want := writes[len(writes)-1]
			if known.seq != want && (want <= after || want > floor) {
				t.Fatalf("seed %d: cell %v was written last at %d; known is %d, and to be searched (%d, %d]", seed, cell, want, known.seq, after, floor)
			}
			if floor <= after && known.seq != want {
				t.Fatalf("seed %d: cell %v was written last at %d, not %d", seed, cell, want, known.seq)
			}
		}
	}
}

// A question waits for the writes that it asks about.
func TestLastWritesWaits(t *testing.T) {
	l := newLastWrites(10)
	epoch := canvas.NewEpoch()
	l.restart(canvas.Position{Epoch: epoch}, canvas.Spec{Width: 1, Height: 1}, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	at := canvas.Position{Epoch: epoch, Seq: 1}
	now := func() canvas.Position { return at }
	if _, _, _, err := l.lookup(ended, at, now, 0, 0); err == nil {
		t.Fatal("an answer before the write")
	}
	answered := make(chan written)
	go func() {
		w, _, _, _ := l.lookup(t.Context(), at, now, 0, 0)
		answered <- w
	}()
	l.apply(&canvas.Entry{Epoch: epoch, First: 1, Ops: []canvas.Op{{Kind: canvas.Paint, Pixels: []canvas.Pixel{{}}}}})
	if w := <-answered; w.seq != 1 {
		t.Fatalf("%+v", w)
	}
	// The canvas has begun anew: of the history that was asked about nothing
	// comes any more.
	at.Seq = 2
	next := canvas.Position{Epoch: canvas.NewEpoch()}
	l.restart(next, canvas.Spec{Width: 1, Height: 1}, nil)
	if w, after, floor, err := l.lookup(t.Context(), at, func() canvas.Position { return next }, 0, 0); w.seq != 0 || floor > after || err != nil {
		t.Fatalf("%+v, to be searched (%d, %d], %v", w, after, floor, err)
	}
}

// Who painted a cell is known to a process that was not there, too.
func TestLastWriteRoute(t *testing.T) {
	server := newRedis(t)
	p := run(t, server, nil)
	story := func(by *process, x, y int) *lastWrite {
		t.Helper()
		var s pixelStory
		if err := json.Unmarshal([]byte(by.get(fmt.Sprintf("/api/canvases/main/pixels/%d/%d", x, y)).body), &s); err != nil {
			t.Fatal(err)
		}
		return s.LastWrite
	}
	p.put("/api/pixel", `{"x":1,"y":0,"color":"#010101"}`)
	const count = 40
	for range count {
		p.put("/api/pixel", `{"x":2,"y":0,"color":"#020202"}`)
	}
	if s := story(p, 1, 0); s == nil || s.Seq != 1 || s.Username != anonymous || s.Timestamp == 0 || s.Reset {
		t.Errorf("in memory: %+v", s)
	}
	q := run(t, server, nil)
	if s := story(q, 1, 0); s == nil || s.Seq != 1 {
		t.Errorf("in another process: %+v", s)
	}
	if s := story(q, 2, 0); s == nil || s.Seq != 1+count {
		t.Errorf("%+v", s)
	}
	if s := story(q, 3, 3); s != nil {
		t.Errorf("a cell that nobody painted: %+v", s)
	}
}
