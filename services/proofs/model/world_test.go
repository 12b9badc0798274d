package model

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// world is one example: a Redis, processes, clients, and what has happened.
type world struct {
	settings settings
	patience time.Duration // bounds every wait; nothing is expected to take it
	server   *embedded.Server
	admin    *redis.Client
	store    *store.Store // beside all processes, without faults
	gate     *gate
	history  *history
	tally    *tally

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

func (w *world) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), w.patience)
}

// note adds a line to what a failure prints.
func (w *world) note(format string, args ...any) {
	w.script = append(w.script, fmt.Sprintf(format, args...))
}

// fail ends the example: a promise was not kept.
func (w *world) fail(what, format string, args ...any) { panic(broken(what, format, args...)) }

// must ends the example when what the model itself does fails.
func (w *world) must(err error) {
	if err != nil {
		w.fail("the model itself does not work", "%v", err)
	}
}

// eventually waits until a condition holds, by asking again and again.
func (w *world) eventually(what string, detail func() string, holds func() bool) {
	ctx, cancel := w.deadline()
	defer cancel()
	if !poll(ctx, holds) {
		w.fail("never: "+what, "%s", detail())
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

// begin empties Redis and starts everything.
func (w *world) begin() {
	w.note("settings: %+v", w.settings)
	w.admin = redis.NewClient(&redis.Options{Addr: w.server.Addr(), Protocol: 2})
	ctx, cancel := w.deadline()
	defer cancel()
	w.must(w.admin.FlushAll(ctx).Err())
	var err error
	w.store, err = store.Open(store.Options{URL: w.server.URL(), Retention: w.settings.retention, Logger: slog.New(slog.DiscardHandler)})
	w.must(err)
	_, _, err = w.store.Create(ctx, mainCanvas, w.settings.spec, 0)
	w.must(err)
	w.history = newHistory(w.store, w.settings.spec)
	for range apis {
		w.keepers = append(w.keepers, w.newKeeper())
	}
	for range gateways {
		w.gateways = append(w.gateways, w.newGateway())
	}
	for i := range clients {
		w.seats = append(w.seats, w.newSeat(i))
	}
	for _, s := range w.seats {
		w.eventually("a client connects", says(s.name), w.isReady(s, 0))
	}
}

func (w *world) newGateway() *gatewayProcess {
	w.started++
	p, err := startGateway(w.server.Addr(), w.gate, fmt.Sprintf("gateway-%d", w.started), w.settings)
	w.must(err)
	return p
}

func (w *world) newKeeper() *keeper {
	w.started++
	ctx, cancel := w.deadline()
	defer cancel()
	k, err := startKeeper(ctx, w.server.Addr(), w.gate, fmt.Sprintf("api-%d", w.started), w.settings)
	w.must(err)
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
	w.must(s.start(w.load))
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
func (w *world) close() *breach {
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
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	var found *breach
	for _, e := range w.ended {
		select {
		case err := <-e:
			if err != nil { // it ended without Redis
				w.tally.add("processes that ended with an error", 1)
			}
		case <-late.C:
			found = broken("a process does not end", "it has neither Redis nor clients")
			late.Reset(0)
		}
	}
	if w.store != nil {
		_ = w.store.Close()
	}
	_ = w.admin.Close()
	return found
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
	ctx, cancel := w.deadline()
	defer cancel()
	if err := w.history.capture(ctx); err != nil {
		panic(err)
	}
}

func (w *world) still(f func(ctx context.Context)) {
	w.gate.still(func() {
		ctx, cancel := w.deadline()
		defer cancel()
		f(ctx)
	})
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
