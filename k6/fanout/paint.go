package fanout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/k6/metrics"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// Plan says what is drawn: write i is due i/Rate seconds after the beginning,
// by the clients in turn.
type Plan struct {
	Rate float64 // writes per second of the whole group, over 0
	// The end: after so many writes, or after some time; the earlier, and 0 is
	// never.
	Writes int
	For    time.Duration
	// Cell returns where write i goes, which must be on the canvas.
	Cell func(i int) (x, y uint16)
	// Writers is how many of the clients draw; 0: all.
	Writers int
	// Volley is how many writes are due at the same moment; 0: 1. The rate
	// stays what it is.
	Volley int
}

// due returns when write i is due after the beginning.
func (p *Plan) due(i int) time.Duration {
	if p.Volley > 1 {
		i -= i % p.Volley
	}
	return time.Duration(float64(i) / p.Rate * float64(time.Second))
}

// Spread goes over all cells of a canvas, in an order in which neighbours do
// not follow each other.
func Spread(width, height int) func(int) (uint16, uint16) {
	cells := width * height
	step := cells*5/8 | 1
	for gcd(step, cells) != 1 {
		step += 2
	}
	return func(i int) (uint16, uint16) {
		at := i % cells * step % cells
		return uint16(at % width), uint16(at / width)
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Paint draws a plan. It returns when the last write was handed to its client
// or ctx has ended. It never waits for a server: who has no connection keeps
// the write in its outbox, and that time counts. One call at a time.
func (g *Group) Paint(ctx context.Context, p Plan) error {
	if p.Rate <= 0 || p.Cell == nil {
		return errors.New("fanout: a plan needs a rate and cells")
	}
	begin := time.Now()
	g.mu.Lock()
	if g.painted.IsZero() {
		g.painted = begin
	}
	for _, m := range g.slots {
		m.until.Store(unset) // it goes on
	}
	g.mu.Unlock()
	writes, ends := p.Writes, time.Duration(0)
	if byTime := int(p.For.Seconds() * p.Rate); p.For > 0 && (writes == 0 || byTime < writes) {
		writes = byTime
	}
	ticking, stop := context.WithCancel(ctx)
	ticked := make(chan struct{})
	go func() { defer close(ticked); g.tick(ticking) }()
	defer func() {
		stop()
		<-ticked
		g.mu.Lock()
		g.writing += ends
		g.mu.Unlock()
	}()
	for i := 0; writes == 0 || i < writes; i++ {
		due := begin.Add(p.due(i))
		if sleepUntil(ctx, due) != nil {
			return nil // told to stop
		}
		ends = time.Duration(float64(i+1) / p.Rate * float64(time.Second))
		x, y := p.Cell(i)
		if err := g.draw(i, p.Writers, due, x, y); err != nil {
			return err
		}
	}
	_ = sleepUntil(ctx, begin.Add(ends)) // the last one's share of the time
	return nil
}

// PaintedFrom returns when the first plan began, zero when none has.
func (g *Group) PaintedFrom() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.painted
}

// draw lets the client whose turn it is draw.
func (g *Group) draw(i, writers int, due time.Time, x, y uint16) error {
	g.mu.Lock()
	n := len(g.slots)
	if writers > 0 {
		n = min(n, writers)
	}
	if n == 0 {
		g.mu.Unlock()
		g.drawFailed.Add(1) // it was due, and nobody was there
		return nil
	}
	m := g.slots[i%n]
	pod := m.pod
	number := g.podNumber(pod)
	g.mu.Unlock()
	k, err := g.book.add(m.id, number, due.Sub(g.book.begin), x, y)
	if err != nil {
		return err
	}
	now := time.Now()
	g.late.Note(now.Sub(due))
	g.observe.Time(generatorLate, pod, now.Sub(due), now)
	// The lock keeps the acknowledgement from coming before its write is known.
	g.mu.Lock()
	defer g.mu.Unlock()
	op, err := m.Draw(context.Background(), canvas.Pixel{X: x, Y: y, Color: color(k)})
	switch {
	case err == nil:
		g.numbers[author{m.id, op}] = k
	case errors.Is(err, client.ErrClosed) || errors.Is(err, client.ErrOutboxFull):
		// It has just left, or is kept from sending for too long.
		g.book.withdraw()
		g.drawFailed.Add(1)
	default:
		return fmt.Errorf("fanout: client %d: %w", m.id, err)
	}
	return nil
}

// acked takes the acknowledgement of a write.
func (g *Group) acked(m *Member, a client.Acked) {
	key := author{m.id, a.Op}
	g.mu.Lock()
	k, ok := g.numbers[key]
	delete(g.numbers, key)
	g.mu.Unlock()
	if !ok {
		return
	}
	w := g.book.write(k)
	at := a.Arrived.Sub(g.book.begin)
	w.acked.Store(int64(max(1, at)))
	g.ackTimes.Note(at - w.due)
	g.observe.Time(ackLatency, m.pod, at-w.due, a.Arrived)
}

// arrived takes what came for one position. The caller holds the lock of the
// member's record.
func (m *Member) arrived(u *client.Update, seq uint64, i identity) {
	g := m.g
	k, w, ok := g.book.find(i)
	if !ok {
		g.book.place(seq, -1)
		return
	}
	g.book.place(seq, k)
	at := u.Arrived.Sub(g.book.begin)
	m.record.note(m, w, at, m.since.Sub(g.book.begin))
	if u.Time > 0 && int(w.member) != m.id {
		took := u.Arrived.Sub(time.UnixMilli(u.Time))
		metrics.Note(m.record.stamped, took)
		g.observe.Time(stampedLatency, m.pod, took, u.Arrived)
	}
	g.series.mu.Lock()
	g.series.note(at - w.due)
	g.series.mu.Unlock()
}

// note records that a write arrived at a member that has been connected since
// a moment. The caller holds mu.
func (r *record) note(m *Member, w *write, at, since time.Duration) {
	observe, moment := m.g.observe, m.g.book.begin.Add(at)
	switch {
	case int(w.member) == m.id:
		metrics.Note(r.echo, at-w.due)
		observe.Time(echoLatency, r.pod, at-w.due, moment)
	case w.due < since:
		metrics.Note(r.caught, at-w.due)
		observe.Time(e2eLatency, r.pod, at-w.due, moment)
		observe.Time(catchUpLatency, r.pod, at-w.due, moment)
	default:
		metrics.Note(r.live, at-w.due)
		observe.Time(e2eLatency, r.pod, at-w.due, moment)
	}
	if int(w.member) != m.id {
		r.from[w.pod]++
	}
}

// maxRanges bounds the memory that ranges may take.
const maxRanges = 1 << 20

// later keeps an update that stands for several writes until it is known which
// (see Group.resolve).
func (g *Group) later(u *client.Update, m *Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ranges) >= maxRanges {
		g.untimed.Add(u.Seq - u.Prev)
		return
	}
	g.ranges = append(g.ranges, ranged{m, m.record, m.since, u.Prev, u.Seq, u.Arrived})
}

// resolve times the writes that ranges stood for, by what others saw at those
// positions; also writes that were painted over and came by no message of
// their own count, with the time until the range came.
func (g *Group) resolve() {
	g.mu.Lock()
	ranges := g.ranges
	g.ranges = nil
	g.mu.Unlock()
	for _, r := range ranges {
		r.record.mu.Lock()
		for seq := r.prev + 1; seq <= r.seq; seq++ {
			w, ok := g.book.atPosition(seq)
			if !ok {
				g.untimed.Add(1)
				continue
			}
			r.record.note(r.member, w, r.arrived.Sub(g.book.begin), r.since.Sub(g.book.begin))
		}
		r.record.mu.Unlock()
	}
}

// tick follows the group second by second.
func (g *Group) tick(ctx context.Context) {
	last := g.book.n.Load()
	for next := time.Now(); ; {
		next = next.Add(time.Second)
		if sleepUntil(ctx, next) != nil {
			return
		}
		n := g.book.n.Load()
		g.series.tick(uint64(n-last), g.Connected())
		last = n
	}
}
