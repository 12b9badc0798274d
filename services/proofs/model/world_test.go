package model

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// world is one example: a Redis, processes, clients, and what has happened.
type world struct {
	t        *rapid.T
	settings settings
	redis    string
	admin    *redis.Client
	store    *store.Store // beside all processes, without faults
	gate     *gate
	history  *history
	tally    *tally
	patient  bool // finds losses by the processes' own looks at the head alone

	mu       sync.Mutex // for what clients ask from their goroutines
	gateways []*gatewayProcess
	keepers  []*keeper

	ended    []chan error // of processes that crashed
	seats    []*seat
	writes   []*write // by REST, all of them
	backup   *backup
	losses   int // how often Redis has lost something
	cuts     int // how often a connection or a process was
	nextMark canvas.Color
	started  int // processes
	script   []string
}

// hasty is set when an example has failed: then those that are tried to find
// a shorter one need not wait as long for what does not come.
var hasty atomic.Bool

// patience bounds every wait; nothing is expected to take it.
func patience() time.Duration {
	if hasty.Load() {
		return 4 * time.Second
	}
	return 30 * time.Second
}

func (w *world) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience())
}

// note adds a line to what a failure prints.
func (w *world) note(format string, args ...any) {
	w.script = append(w.script, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	hasty.Store(true)
	var b strings.Builder
	for i, line := range w.script {
		fmt.Fprintf(&b, "\n%4d. %s", i+1, line)
	}
	w.t.Fatalf("%s\nafter%s", fmt.Sprintf(format, args...), b.String())
}

// eventually waits until a condition holds, by asking again and again.
func (w *world) eventually(what func() string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := w.deadline()
	defer cancel()
	if !poll(ctx, holds) {
		w.fail("it never came to pass: %s", what())
	}
}

func poll(ctx context.Context, holds func() bool) bool {
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

func says(text string) func() string { return func() string { return text } }

// newWorld starts an example on an empty Redis.
func newWorld(t *rapid.T, server *embedded.Server, counts *tally) *world {
	t.Helper()
	w := &world{t: t, redis: server.Addr(), gate: newGate(), tally: counts, nextMark: 1}
	w.settings = settings{
		spec:      canvas.Spec{Width: 24, Height: 16, Background: canvas.White},
		history:   rapid.SampledFrom([]int{4, 40, 16 << 10}).Draw(t, "operations a gateway remembers"),
		slow:      rapid.SampledFrom([]time.Duration{15 * time.Second, 50 * time.Millisecond}).Draw(t, "slow-consumer time"),
		queue:     rapid.SampledFrom([]int{256 << 10, 1 << 10}).Draw(t, "bytes that may wait"),
		retention: rapid.SampledFrom([]uint64{1, 10}).Draw(t, "retention"),
	}
	w.patient = rapid.IntRange(0, 19).Draw(t, "patience") == 19
	w.note("settings: %+v, patient %v", w.settings, w.patient)
	w.admin = redis.NewClient(&redis.Options{Addr: w.redis, Protocol: 2})
	ctx, cancel := w.deadline()
	defer cancel()
	if err := w.admin.FlushAll(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.store, err = store.Open(store.Options{URL: server.URL(), Retention: w.settings.retention, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.store.Create(ctx, mainCanvas, w.settings.spec, 0); err != nil {
		t.Fatal(err)
	}
	w.history = newHistory(w.store, w.settings.spec)
	for range 2 {
		w.keepers = append(w.keepers, w.newKeeper())
	}
	for range 3 {
		w.gateways = append(w.gateways, w.newGateway())
	}
	for i := range 5 {
		w.seats = append(w.seats, w.newSeat(i))
	}
	for _, s := range w.seats {
		w.eventually(says(s.name+" connects"), w.isReady(s, 0))
	}
	return w
}

func (w *world) newGateway() *gatewayProcess {
	w.started++
	p, err := startGateway(w.redis, w.gate, fmt.Sprintf("gateway-%d", w.started), w.settings)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) newKeeper() *keeper {
	w.started++
	ctx, cancel := w.deadline()
	defer cancel()
	k, err := startKeeper(ctx, w.redis, w.gate, fmt.Sprintf("api-%d", w.started), w.settings)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// newSeat connects a client: two of the binary codec and one of JSON that
// number their operations, one of each that does not.
func (w *world) newSeat(i int) *seat {
	s := &seat{
		name: fmt.Sprintf("client-%d", i), acked: map[uint64]uint64{}, refused: map[uint64]protocol.Code{},
		via: i % len(w.gateways), anonymous: i >= 3,
		address: func(via int) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.gateways[via].addr
		},
	}
	if i == 2 || i == 4 {
		s.codec = client.JSON
	}
	if err := s.start(w.load); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// load is a REST read of the picture, by an api that answers.
func (w *world) load(ctx context.Context) (*canvas.Frozen, canvas.Position, error) {
	w.mu.Lock()
	k := w.keepers[0]
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return k.picture(ctx)
}

// close ends everything and waits for it.
func (w *world) close() {
	for _, s := range w.seats {
		s.setOnline(true)
		s.stall(false)
		_ = s.Close()
		w.tally.client(s.Stats())
	}
	w.tally.examples(len(w.script))
	for _, g := range w.gateways {
		w.tally.gateway(g)
		g.crash()
		w.ended = append(w.ended, g.ended)
	}
	for _, k := range w.keepers {
		k.crash()
		w.ended = append(w.ended, k.ended)
	}
	for _, e := range w.ended {
		if err := <-e; err != nil { // it ended without Redis
			w.tally.add("processes that ended with an error", 1)
		}
	}
	_ = w.store.Close()
	_ = w.admin.Close()
}

// isReady returns a condition: the client has connected more often than n
// times, and has what it follows.
func (w *world) isReady(s *seat, n uint64) func() bool {
	done, cancel := context.WithCancel(context.Background())
	cancel() // only look
	return func() bool { return s.Stats().Connected > n && s.WaitReady(done) == nil }
}

// clear tells whether nothing keeps a client from being answered.
func (w *world) clear(s *seat) bool {
	if !s.canTalk() {
		return false
	}
	g := w.gateways[s.via]
	k := w.keepers[0]
	return !g.holds(appending) && !g.holds(reading) && !g.holds(checking) &&
		(s.codec == client.Binary || !k.holds(reading) && !k.holds(checking))
}

// capture records what the log holds. The caller sees to it that Redis is
// still.
func (w *world) capture() {
	w.t.Helper()
	ctx, cancel := w.deadline()
	defer cancel()
	if err := w.history.capture(ctx); err != nil {
		w.fail("the log: %v", err)
	}
}

func (w *world) still(f func(ctx context.Context)) {
	w.t.Helper()
	w.gate.still(func() {
		ctx, cancel := w.deadline()
		defer cancel()
		f(ctx)
	})
}

// settle ends all faults, waits until everybody has everything, and checks what
// was promised.
func (w *world) settle() {
	w.t.Helper()
	processes := w.wires()
	for _, p := range processes {
		p.release()
		p.setWeather(calm)
		p.bringLate(func(int) int { return 0 })
	}
	for _, s := range w.seats {
		s.setOnline(true)
		s.stall(false)
	}
	ctx, cancel := w.deadline()
	defer cancel()
	for _, s := range w.seats {
		if s.anonymous {
			// What was sent before the ping has been read before its answer.
			if !poll(ctx, func() bool { _, err := s.Ping(ctx); return err == nil }) {
				w.fail("%s does not get an answer: %v, %v", s.name, s.State(), s.LastError())
			}
		}
		if err := s.Flush(ctx); err != nil {
			w.fail("%s: its operations are not answered: %v, %+v, %v", s.name, err, s.Stats(), s.LastError())
		}
	}
	for _, x := range w.writes {
		select {
		case <-x.done:
		case <-ctx.Done():
			w.fail("a write by %s is not answered", x.by.name)
		}
	}
	for _, g := range w.gateways {
		if !poll(ctx, func() bool { n, err := g.metric("pixel_append_queue_bytes", ""); return err == nil && n == 0 }) {
			w.fail("operations still wait in %s", g.name)
		}
	}
	// While an epoch changes, replicas load again, and that takes several looks.
	for round := 0; ; round++ {
		nudge, stop := context.WithTimeout(ctx, 25*time.Millisecond)
		if !w.patient {
			for _, p := range processes {
				p.stray()
			}
		}
		if round%10 == 1 {
			w.renewOldClients()
		}
		same := false
		poll(nudge, func() bool {
			w.still(func(context.Context) { w.capture() })
			same = w.converged()
			return same
		})
		stop()
		if same {
			break
		}
		if ctx.Err() != nil {
			w.fail("not everybody gets to %v/%d:%s", w.history.epoch, w.history.now.head(), w.whereabouts())
		}
	}
	w.check()
}

// renewOldClients has clients connect anew that speak as the original's did:
// nobody can tell them of an epoch. They do get the picture of the new one as
// single pixels; but the client of this project believes what it knows of
// positions, which an original's client does not have.
func (w *world) renewOldClients() {
	for _, s := range w.seats {
		if s.anonymous && s.codec == client.JSON && w.history.named && s.Position().Epoch != w.history.epoch {
			s.cut()
		}
	}
}

func (w *world) wires() []*wire {
	var all []*wire
	for _, g := range w.gateways {
		all = append(all, g.wire)
	}
	for _, k := range w.keepers {
		all = append(all, k.wire)
	}
	return all
}

// converged tells whether all stand where the log does, in its epoch.
func (w *world) converged() bool {
	h := w.history
	if !h.named {
		return false
	}
	want := canvas.Position{Epoch: h.epoch, Seq: h.now.head()}
	for _, k := range w.keepers {
		if k.canvas.Replica.Position() != want {
			return false
		}
	}
	return !slices.ContainsFunc(w.seats, func(s *seat) bool {
		f, at := s.Picture()
		if at != want || f == nil {
			return true
		}
		// An operation of several pixels may still be coming in.
		return s.codec == client.JSON && f.Hash() != h.now.grid.Hash()
	})
}

func (w *world) whereabouts() string {
	var b strings.Builder
	for _, k := range w.keepers {
		f, at, _ := k.canvas.Replica.Freeze()
		fmt.Fprintf(&b, "\n%s is at %v, its picture is that of the log: %v", k.name, at, f.Hash() == w.history.now.grid.Hash())
	}
	for _, s := range w.seats {
		f, at := s.Picture()
		fmt.Fprintf(&b, "\n%s (%s) is at %v, %v, ", s.name, s.codec, at, s.State())
		if f != nil {
			fmt.Fprintf(&b, "its picture is that of the log: %v, ", f.Hash() == w.history.now.grid.Hash())
		}
		fmt.Fprintf(&b, "last error %v", s.LastError())
	}
	return b.String()
}

// check compares everything with what the log held. Everybody has converged.
func (w *world) check() {
	w.t.Helper()
	h := w.history
	hash := h.now.grid.Hash()
	for _, k := range w.keepers {
		if f, at, _ := k.canvas.Replica.Freeze(); f.Hash() != hash {
			w.fail("at %d %s has another picture than the log", at.Seq, k.name)
		}
	}
	for _, s := range w.seats {
		if err := s.check(h, w.losses); err != nil {
			w.fail("%s (%s): %v", s.name, s.codec, err)
		}
		if f, at := s.Picture(); f.Hash() != hash {
			w.fail("at %d %s (%s) has another picture than the log", at.Seq, s.name, s.codec)
		}
		for _, d := range s.drawn {
			switch {
			case s.anonymous:
				if h.seen[d.mark] == 0 && !d.bad && w.cuts == 0 && w.losses == 0 {
					w.fail("%s was never cut off, and an operation that it sent is not in the log", s.name)
				}
			case d.bad && s.refused[d.number] != protocol.CodeOutOfBounds:
				w.fail("%s: operation %d, outside the canvas, was answered with %v", s.name, d.number, s.refused[d.number])
			case !d.bad && h.seen[d.mark] == 0:
				w.fail("%s: operation %d was drawn, is not in the outbox, and never was in the log (refused: %v)", s.name, d.number, s.refused[d.number])
			case !d.bad && d.after == w.losses && h.find(d.mark) == 0:
				w.fail("%s: operation %d is not in the log", s.name, d.number)
			}
		}
	}
	for _, x := range w.writes {
		mark, marked := markOf(&x.op)
		if isDone(x.done) && x.err == nil && marked && h.seen[mark] == 0 {
			w.fail("%s was answered a write at %v, which never was in the log", x.by.name, x.at)
		}
		if isDone(x.done) && x.err != nil && marked && h.seen[mark] > 0 {
			w.fail("%s was refused a write (%v), which is in the log all the same", x.by.name, x.err)
		}
	}
	w.still(func(ctx context.Context) {
		w.capture()
		if err := h.checkStored(ctx); err != nil {
			w.fail("%v", err)
		}
	})
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// finish checks everything once more, also through clients that come now.
func (w *world) finish() {
	w.t.Helper()
	w.settle()
	ctx, cancel := w.deadline()
	defer cancel()
	for _, g := range w.gateways {
		c, err := client.Dial(ctx, client.Options{URLs: []string{"ws://" + g.addr + "/ws"}})
		if err != nil {
			w.fail("a client that comes to %s: %v", g.name, err)
		}
		// Without a client until now, the gateway need not have noticed a new
		// epoch.
		want := canvas.Position{Epoch: w.history.epoch, Seq: w.history.now.head()}
		if c.Position() != want && !w.patient {
			g.stray()
		}
		if !poll(ctx, func() bool { return c.Position() == want }) {
			w.fail("a client that comes to %s stays at %v, the log is at %v", g.name, c.Position(), want)
		}
		if c.Grid().Hash() != w.history.now.grid.Hash() {
			w.fail("a client that comes to %s gets another picture", g.name)
		}
		_ = c.Close()
	}
}
