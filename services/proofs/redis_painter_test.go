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

// steadyPainter draws without a pause as long as not too much waits for an
// answer, and writes down what it was told.
type steadyPainter struct {
	*client.Client
	name      string
	gateway   string // its URL
	codec     client.Codec
	anonymous bool
	color     canvas.Color // its own, in the upper 8 bits
	spec      canvas.Spec
	pace      time.Duration
	floor     *atomic.Uint64 // what somebody was told that the log has

	ahead atomic.Int64  // it waits when so many operations wait
	drawn atomic.Uint64 // operations
	// refused counts operations without a number, which are not sent again.
	refused atomic.Uint64

	mu     sync.Mutex
	states []client.State
	acked  []uint64 // acked[n-1] is the position told for operation n
	seen   []seenHistory

	stop func() // ends the drawing and waits for it
}

// painters are those of one test.
type painters []*steadyPainter

// crowd says how painters are spread.
type crowd struct {
	numbered, anonymous int
	spec                canvas.Spec
	ahead               int
	pace                time.Duration
	api                 string
	urls                []string // of gateways: they take turns
}

// start connects a crowd and lets it draw.
func (c crowd) start(t *testing.T, ctx context.Context) painters {
	t.Helper()
	all := c.join(t, ctx)
	for _, p := range all {
		if err := p.WaitReady(ctx); err != nil {
			t.Fatalf("%s: %v (last: %v)", p.name, err, p.LastError())
		}
	}
	all.draw(t, ctx)
	return all
}

// join lets a crowd, both codecs mixed, try to connect until it can.
func (c crowd) join(t *testing.T, ctx context.Context) painters {
	t.Helper()
	all, floor := make(painters, c.numbered+c.anonymous), new(atomic.Uint64)
	for i := range all {
		p := &steadyPainter{
			name: fmt.Sprintf("painter %d", i), gateway: c.urls[i%len(c.urls)], anonymous: i >= c.numbered,
			color: canvas.Color(i+1) << 16, spec: c.spec, pace: c.pace, floor: floor,
		}
		p.ahead.Store(int64(c.ahead))
		o := client.Options{
			URLs: []string{p.gateway}, Name: p.name, Anonymous: p.anonymous,
			OnState: p.onState, OnAck: p.onAck, OnRefused: p.onRefused, OnUpdate: p.onUpdate,
		}
		if (i/len(c.urls))%2 == 1 {
			o.Codec, o.API = client.JSON, c.api
			p.codec = o.Codec
		}
		var err error
		if p.Client, err = client.New(o); err != nil {
			t.Fatal(err)
		}
		p.Start(context.WithoutCancel(ctx))
		t.Cleanup(func() { _ = p.Close() })
		all[i] = p
	}
	return all
}

// draw lets them draw until rest is called, or the test ends.
func (all painters) draw(t *testing.T, ctx context.Context) {
	for _, p := range all {
		drawing, end := context.WithCancel(ctx)
		var over sync.WaitGroup
		over.Go(func() {
			if err := p.draw(drawing); err != nil {
				t.Errorf("%s: %v", p.name, err)
			}
		})
		p.stop = sync.OnceFunc(func() { end(); over.Wait() })
		t.Cleanup(p.stop)
	}
}

// rest ends the drawing; outboxes may still hold something.
func (all painters) rest() {
	for _, p := range all {
		p.stop()
	}
}

func (p *steadyPainter) draw(ctx context.Context) error {
	tick := time.NewTicker(p.pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if int64(p.Stats().Outbox) >= p.ahead.Load() {
			continue
		}
		if err := p.one(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// one draws one operation.
func (p *steadyPainter) one(ctx context.Context) error {
	n := p.drawn.Load()
	at := (n + uint64(p.color>>16)*7) % uint64(p.spec.Cells())
	point := canvas.Pixel{
		X: uint16(at % uint64(p.spec.Width)), Y: uint16(at / uint64(p.spec.Width)), Color: p.color | canvas.Color(n&0xFFFF),
	}
	_, err := p.Draw(ctx, point)
	if err == nil {
		p.drawn.Add(1)
	}
	return err
}

// flood draws so many of the greatest strokes with each of those who can: far
// more than may wait for Redis.
func (all painters) flood(t *testing.T, ctx context.Context, strokes int) {
	t.Helper()
	for _, p := range all {
		if p.codec == client.JSON || p.anonymous {
			continue
		}
		for i := range strokes {
			stroke := make([]canvas.Pixel, canvas.MaxPixels)
			for j := range stroke {
				at := (i + j) % p.spec.Cells()
				stroke[j] = canvas.Pixel{X: uint16(at % p.spec.Width), Y: uint16(at / p.spec.Width), Color: p.color | canvas.Color(i)}
			}
			if _, err := p.Draw(ctx, stroke...); err != nil {
				t.Fatalf("%s: %v", p.name, err)
			}
			p.drawn.Add(1)
		}
	}
}

// numbered returns those whose operations have numbers.
func (all painters) numbered() painters {
	var some painters
	for _, p := range all {
		if !p.anonymous {
			some = append(some, p)
		}
	}
	return some
}

// drawings is what checkOnce wants of those whose operations have numbers.
func (all painters) drawings() []drawn {
	var by []drawn
	for _, p := range all.numbered() {
		by = append(by, drawn{p.Client, p.drawn.Load()})
	}
	return by
}

// awaitAcks waits until each of those who hear about it has n more operations
// in the log.
func (all painters) awaitAcks(t *testing.T, ctx context.Context, n uint64) {
	t.Helper()
	before := make(map[*steadyPainter]uint64)
	for _, p := range all.numbered() {
		before[p] = p.Stats().Acked
	}
	for p, had := range before {
		eventually(t, ctx, p.name+" draws", func() bool { return p.Stats().Acked >= had+n })
	}
}

// awaitTold waits until all were told how the service is.
func (all painters) awaitTold(t *testing.T, ctx context.Context, s client.State) {
	t.Helper()
	for _, p := range all {
		eventually(t, ctx, fmt.Sprintf("%s is told that the service is %v", p.name, s), func() bool { return p.State() == s })
	}
}

// awaitWaiting waits until each has as much waiting as it lets wait.
func (all painters) awaitWaiting(t *testing.T, ctx context.Context) {
	t.Helper()
	for _, p := range all.numbered() {
		eventually(t, ctx, p.name+" has operations that wait", func() bool { return int64(p.Stats().Outbox) >= p.ahead.Load() })
	}
}

// settle ends the drawing and waits until everything that was sent is in the
// log or was refused.
func (all painters) settle(t *testing.T, ctx context.Context) {
	t.Helper()
	all.rest()
	// The gateways have read what the anonymous have sent; then something
	// numbered goes through each gateway behind it: queues keep their order.
	for _, p := range all {
		if err := errors.Join(p.Flush(ctx), p.ping(ctx)); err != nil {
			t.Fatalf("%s: %v (%+v)", p.name, err, p.Stats())
		}
	}
	for _, p := range all.numbered() {
		if err := errors.Join(p.one(ctx), p.Flush(ctx)); err != nil {
			t.Fatalf("%s: %v (%+v)", p.name, err, p.Stats())
		}
	}
	for _, p := range all { // all answers are there
		if err := p.ping(ctx); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
	}
}

func (p *steadyPainter) ping(ctx context.Context) error {
	_, err := p.Ping(ctx)
	return err
}

func (p *steadyPainter) onState(s client.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = append(p.states, s)
}

func (p *steadyPainter) onAck(a client.Acked) {
	for {
		known := p.floor.Load()
		if a.Seq <= known || p.floor.CompareAndSwap(known, a.Seq) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked = append(p.acked, a.Seq)
}

func (p *steadyPainter) onRefused(r client.Refused) {
	if p.anonymous && r.Code.Transient() {
		p.refused.Add(1)
	}
}

// told returns the states that it was told, acks how many operations.
func (p *steadyPainter) told() (states []client.State, acked []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(states, p.states...), append(acked, p.acked...)
}

// checkPainters checks the log against what was drawn: each numbered operation
// once and in order, and where it was said to be; of the others what was not
// refused, once. Operations of others, of which the log tells no name, may be
// there too.
func (w *truth) checkPainters(t *testing.T, all painters) {
	t.Helper()
	by := make(map[string]*steadyPainter)
	for _, p := range all {
		by[p.name] = p
	}
	numbered := &truth{head: w.head}
	where := make(map[*steadyPainter]map[uint64]uint64)         // number → position
	anonymous := make(map[*steadyPainter]map[canvas.Color]bool) // each colour was sent once
	for _, e := range w.entries {
		part := &canvas.Entry{Epoch: e.Epoch, First: e.First}
		for i, o := range e.Ops {
			p := by[o.Name]
			switch {
			case p == nil && o.Name == "":
			case p == nil:
				t.Errorf("position %d has an operation of %q", e.First+uint64(i), o.Name)
			case !p.anonymous:
				part.Ops = append(part.Ops, o)
				if where[p] == nil {
					where[p] = make(map[uint64]uint64)
				}
				where[p][o.Number] = e.First + uint64(i)
			default:
				if anonymous[p] == nil {
					anonymous[p] = make(map[canvas.Color]bool)
				}
				if c := o.Pixels[0].Color; anonymous[p][c] {
					t.Errorf("%s: the operation of colour %v is in the log twice", p.name, c)
				} else {
					anonymous[p][c] = true
				}
			}
		}
		numbered.entries = append(numbered.entries, part)
	}
	numbered.checkOnce(t, all.drawings())
	for _, p := range all {
		if p.anonymous {
			if in, drawn, refused := uint64(len(anonymous[p])), p.drawn.Load(), p.refused.Load(); in+refused != drawn {
				t.Errorf("%s: of %d operations %d are in the log and %d were refused", p.name, drawn, in, refused)
			}
			continue
		}
		_, acked := p.told()
		for i, seq := range acked {
			if at := where[p][uint64(i+1)]; at == 0 || at > seq || seq > w.head {
				t.Errorf("%s: operation %d is at %d in the log (0: nowhere); it was told that it is there by %d", p.name, i+1, at, seq)
				break
			}
		}
	}
}

// checkSeen checks that each painter has the log's picture, and saw nothing on
// the way there that is not so in the log of its time.
func (all painters) checkSeen(t *testing.T, ctx context.Context, histories ...*truth) {
	t.Helper()
	last := histories[len(histories)-1]
	for _, p := range all {
		if p.anonymous && p.codec == client.JSON {
			p.checkOriginal(t, ctx, last)
		} else {
			last.checkClient(t, ctx, p.name, p.Client)
		}
		p.checkHistories(t, histories)
	}
}

// checkOriginal is checkClient for one that speaks as the original's clients
// do. When such a client is far behind it gets all cells as updates from 0 on,
// so they overlap what it has.
func (p *steadyPainter) checkOriginal(t *testing.T, ctx context.Context, w *truth) {
	t.Helper()
	if err := p.WaitFor(ctx, w.head); err != nil {
		t.Errorf("%s is at %v, the log at %d: %v", p.name, p.Position(), w.head, err)
		return
	}
	if p.Position().Epoch != w.epoch || p.Grid().Hash() != w.picture.Hash() {
		t.Errorf("%s at %v has another picture than the log", p.name, p.Position())
	}
	if s := p.Stats(); s.Gaps != 0 || s.OutOfOrder != 0 || s.Duplicates != 0 || s.Outbox != 0 {
		t.Errorf("%s: %+v", p.name, s)
	}
}

// memory returns the resident bytes of each process of a fleet.
func memory(t *testing.T, f *fleet.Fleet) map[string]int64 {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]int64)
	for _, p := range s.Processes {
		u, err := fleet.UsageOf(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		used[p.Pod] = u.Memory
	}
	return used
}
