package proofs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// The canvas on which gatherings draw. Its last row is left to others.
const (
	gatheringWidth, gatheringHeight = 60, 40
	gatheringCanvas                 = "60x40"
)

// gathering is many witnesses who draw at the same time, each the way a person
// does: small operations mostly, a long stroke now and then.
type gathering struct {
	all   []*witness
	acked atomic.Int64 // operations, of everybody
	// brush makes the n-th operation of painter i, of at most this many pixels.
	brush func(i, n, most int) []canvas.Pixel
	// journal, unless nil, is told what happens.
	journal *journal

	enough  chan struct{}
	drawing sync.WaitGroup
	failed  error // of the first who could not draw, once all have ended
	once    sync.Once
}

// gather connects n witnesses through the playground's one port, every second
// one in JSON.
func gather(t *testing.T, ctx context.Context, f *fleet.Fleet, n int) *gathering {
	t.Helper()
	awaitTurns(t, ctx, f)
	g := newGathering(stroke)
	for i := range n {
		o := client.Options{URLs: []string{wsURL(t, f)}}
		if i%2 == 1 {
			o.Codec, o.API = client.JSON, baseURL(t, f)
		}
		g.all = append(g.all, watch(t, ctx, fmt.Sprintf("painter %d", i), o))
	}
	return g
}

// awaitTurns waits until all gateways take turns behind the one port: it learns
// a moment later than others that a gateway is ready.
func awaitTurns(t *testing.T, ctx context.Context, f *fleet.Fleet) {
	t.Helper()
	n := len(allReady(t, ctx, f).Of(fleet.Gateway))
	eventually(t, ctx, "all gateways take turns", func() bool {
		pods := map[string]bool{}
		for range n {
			c, err := client.Dial(ctx, client.Options{URLs: []string{wsURL(t, f)}})
			if err != nil {
				t.Fatal(err)
			}
			pods[c.Pod()] = true
			_ = c.Close()
		}
		return len(pods) == n
	})
}

func newGathering(brush func(i, n, most int) []canvas.Pixel) *gathering {
	return &gathering{brush: brush, enough: make(chan struct{})}
}

// pace is when a witness draws next.
type pace struct {
	// window of operations that a witness may have on the way: it draws
	// whenever one is acknowledged. So some are always on their way, and a test
	// does the same work at any speed.
	window int
	// every is the time between two operations, when window is 0.
	every time.Duration
}

// start lets everybody draw until stop is called.
func (g *gathering) start(ctx context.Context, p pace) {
	for i, w := range g.all {
		turn := make(chan time.Time, max(1, p.window))
		for range p.window {
			turn <- time.Time{}
		}
		w.mu.Lock()
		w.onAck = func(client.Acked) {
			g.acked.Add(1)
			select {
			case turn <- time.Time{}:
			default: // the last operation took no turn
			}
			if g.journal != nil {
				g.journal.drew(w)
			}
		}
		if g.journal != nil {
			w.onCut = func(c cut) { g.journal.left(w, c) }
			w.onBack = func(r client.Recovery) { g.journal.returned(w, r) }
		}
		w.mu.Unlock()
		g.drawing.Go(func() {
			next := (<-chan time.Time)(turn)
			if p.window == 0 {
				ticker := time.NewTicker(p.every)
				defer ticker.Stop()
				next = ticker.C
			}
			if err := g.paint(ctx, i, w, next); err != nil {
				g.once.Do(func() { g.failed = err })
			}
		})
	}
}

// paint draws at each turn, and in the end one pixel more: the log then ends
// with an operation that comes as one message in both codecs.
func (g *gathering) paint(ctx context.Context, i int, w *witness, turn <-chan time.Time) error {
	most := canvas.MaxPixels
	if w.json {
		most = 1
	}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.Done():
			return fmt.Errorf("%s has ended: %w", w.name, w.Err())
		case <-g.enough:
			if err := w.paint(ctx, g.brush(i, n, 1)...); err != nil {
				return err
			}
			if err := w.Flush(ctx); err != nil {
				return fmt.Errorf("%s: not everything was acknowledged: %w", w.name, err)
			}
			return nil
		case <-turn:
		}
		if err := w.paint(ctx, g.brush(i, n, most)...); err != nil {
			return err
		}
	}
}

// stroke is one pixel mostly, and fifty in every twentieth operation.
func stroke(i, n, most int) []canvas.Pixel {
	pixels := []canvas.Pixel{dab(i, n, 0)}
	if n%20 == i%20 {
		for k := 1; k < min(most, 50); k++ {
			pixels = append(pixels, dab(i, n, k))
		}
	}
	return pixels
}

// dab is the k-th pixel of the n-th operation of painter i. No two operations
// have the same colour.
func dab(i, n, k int) canvas.Pixel {
	cell := (977*i + 31*n + k) % (gatheringWidth * (gatheringHeight - 1))
	return canvas.Pixel{X: uint16(cell % gatheringWidth), Y: uint16(cell / gatheringWidth), Color: canvas.Color(i<<17 | n&(1<<17-1))}
}

// stop ends the drawing and waits until all that was drawn is acknowledged.
func (g *gathering) stop() error {
	close(g.enough)
	g.drawing.Wait()
	return g.failed
}

// await waits until the gathering has had n more operations acknowledged.
func (g *gathering) await(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	until := g.acked.Load() + int64(n)
	eventually(t, ctx, fmt.Sprintf("%d more acknowledgements", n), func() bool { return g.acked.Load() >= until })
}

// dawdle has a witness look at nothing until the gathering has had so many more
// operations acknowledged than the witness has seen, or draws no more; then it
// catches up with those, and looks away again.
func (g *gathering) dawdle(ctx context.Context, w *witness, step int) {
	tick := time.NewTicker(5 * time.Millisecond)
	context.AfterFunc(ctx, tick.Stop)
	reads := uint64(0) // up to this position
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onUpdate = func() {
		if w.at < reads {
			return
		}
		for g.acked.Load() < int64(w.at)+int64(step) {
			select {
			case <-ctx.Done():
				return
			case <-g.enough:
				return
			case <-tick.C:
			}
		}
		reads = uint64(g.acked.Load())
	}
}

// check compares everything with the log: what each of the gathering drew and was
// told, each api, each gateway, and what Redis has stored. others, unless nil,
// is called for each operation that none of the gathering has drawn. It returns
// the log.
func (g *gathering) check(t *testing.T, ctx context.Context, f *fleet.Fleet, redisURL string, others func(canvas.Op) error) *replay {
	t.Helper()
	r := readTruth(t, ctx, redisURL).replayed(t)
	ours := map[uint32]bool{}
	for _, w := range g.all {
		ours[w.Author()] = true
		r.check(t, ctx, w)
	}
	for author, places := range r.places {
		if ours[author] {
			continue
		}
		for _, seq := range places {
			err := errors.New("nobody drew it")
			if others != nil {
				err = others(r.op(seq))
			}
			if err != nil {
				t.Errorf("operation %d of the log: %v", seq, err)
			}
		}
	}
	r.checkAPIs(t, ctx, f)
	r.checkGateways(t, ctx, f)
	r.checkStored(t, ctx, redisURL)
	return r
}
