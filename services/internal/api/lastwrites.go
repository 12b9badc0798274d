package api

import (
	"context"
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
)

// maxWrites is how many writes of cells are remembered for each canvas in
// memory, 48 bytes each at most, for "who painted this?".
const maxWrites = 1 << 16

// written is a write of one cell, or a reset, which writes all.
type written struct {
	seq   uint64
	time  int64 // ms since 1970, by the log
	name  string
	reset bool
}

// lastWrites knows the last write of each cell that was written lately. It is
// fed by the canvas's replica.
type lastWrites struct {
	mu   sync.Mutex
	spec canvas.Spec
	at   canvas.Position
	// ring has the last writes in order: number n, counted from 0, stands at
	// n mod size. latest has the number of each cell's last write in it.
	size   int
	ring   []cellWrite
	count  int
	latest map[uint32]int
	// Every write of a cell after floor is in the ring, unless a reset came
	// later. Up to floor the log has to be asked.
	floor uint64
	reset written       // the last one; its seq is 0 when there is none after the start
	moved chan struct{} // closed and replaced when at changes
}

type cellWrite struct {
	cell uint32
	written
}

func newLastWrites(size int) *lastWrites {
	return &lastWrites{size: size, latest: make(map[uint32]int), moved: make(chan struct{})}
}

// restart begins anew at a position; recent leads up to it.
func (l *lastWrites) restart(at canvas.Position, spec canvas.Spec, recent []*canvas.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spec, l.floor, l.reset = spec, at.Seq, written{}
	l.clear()
	if len(recent) > 0 {
		l.floor = recent[0].First - 1
	}
	for _, e := range recent {
		l.add(e)
	}
	l.move(at)
}

// apply takes the next entry.
func (l *lastWrites) apply(e *canvas.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(e)
	l.move(canvas.Position{Epoch: e.Epoch, Seq: e.Last()})
}

func (l *lastWrites) move(at canvas.Position) {
	l.at = at
	close(l.moved)
	l.moved = make(chan struct{})
}

func (l *lastWrites) clear() {
	l.ring, l.count = l.ring[:0], 0
	clear(l.latest)
}

func (l *lastWrites) add(e *canvas.Entry) {
	for i := range e.Ops {
		o := &e.Ops[i]
		if o.Check(l.spec) != nil {
			continue // it changed nothing
		}
		w := written{seq: e.First + uint64(i), time: e.Time, name: o.Name}
		if o.Kind == canvas.Reset {
			w.reset = true
			l.reset = w
			l.clear()
			l.floor = max(l.floor, w.seq) // all up to here is the reset
			continue
		}
		for _, p := range o.Pixels {
			l.addCell(cellWrite{cellOf(int(p.X), int(p.Y)), w})
		}
	}
}

func (l *lastWrites) addCell(w cellWrite) {
	n := l.count
	l.count++
	l.latest[w.cell] = n
	if len(l.ring) < l.size {
		l.ring = append(l.ring, w)
		return
	}
	oldest := &l.ring[n%l.size]
	if l.latest[oldest.cell] == n-l.size {
		delete(l.latest, oldest.cell)
	}
	l.floor = max(l.floor, oldest.seq)
	*oldest = w
}

// lookup returns the last write of a cell, as of a position at or after the
// given one, for which it waits; nothing when the canvas, whose position now
// returns, has begun another history meanwhile. When it is not in memory, the
// log has to be searched: what wrote the cell in (after, floor], if anything,
// else known.
func (l *lastWrites) lookup(ctx context.Context, at canvas.Position, now func() canvas.Position, x, y int) (known written, after, floor uint64, err error) {
	for {
		l.mu.Lock()
		if l.at.Epoch == at.Epoch && l.at.Seq >= at.Seq {
			break
		}
		epoch, moved := l.at.Epoch, l.moved
		l.mu.Unlock()
		if epoch != at.Epoch && now().Epoch != at.Epoch {
			return written{}, 0, 0, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return written{}, 0, 0, ctx.Err()
		}
	}
	defer l.mu.Unlock()
	if n, ok := l.latest[cellOf(x, y)]; ok {
		return l.ring[n%l.size].written, 0, 0, nil
	}
	return l.reset, l.reset.seq, l.floor, nil
}

func cellOf(x, y int) uint32 { return uint32(y)<<16 | uint32(x) }
