package model

import (
	"net"
	"slices"
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// gate counts the commands that Redis has and has not answered, over all wires,
// and can hold all others back until there are none: then Redis is still. Who
// was held back passes before Redis is still again: who looks at it all the
// time would else keep everybody out.
type gate struct {
	mu      sync.Mutex
	change  *sync.Cond
	paused  bool
	out     int
	waiting int // commands that are held back
	owed    int // of those, the ones that were when it opened last
}

func newGate() *gate {
	g := &gate{}
	g.change = sync.NewCond(&g.mu)
	return g
}

// enter waits until commands may pass. It reports false when given up is true
// by then.
func (g *gate) enter(givenUp func() bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.paused { // then nobody is owed
		g.waiting++
		for g.paused && !givenUp() {
			g.change.Wait()
		}
		g.waiting--
		if g.owed > 0 {
			g.owed--
			g.change.Broadcast()
		}
	}
	if givenUp() {
		return false
	}
	g.out++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	g.out--
	g.change.Broadcast()
	g.mu.Unlock()
}

func (g *gate) wake() {
	g.mu.Lock()
	g.change.Broadcast()
	g.mu.Unlock()
}

// still calls f while no command of any process is under way.
func (g *gate) still(f func()) {
	g.mu.Lock()
	for g.paused || g.owed > 0 {
		g.change.Wait()
	}
	g.paused = true
	for g.out > 0 {
		g.change.Wait()
	}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.paused = false
		g.owed = g.waiting
		g.change.Broadcast()
		g.mu.Unlock()
	}()
	f()
}

// Kinds of commands that faults tell apart.
type command string

const (
	other     command = "other"
	appending command = "append"
	checking  command = "check" // compares a position with the log's head
	reading   command = "read"  // reads a part of the log
	trimming  command = "trim"
)

// What may happen to a command.
type fate string

const (
	vanishes    fate = "vanishes on its way" // and the connection breaks
	answerLost  fate = "takes effect, but its answer is lost"
	held        fate = "is held up on its way"
	answerHeld  fate = "takes effect, but its answer is held up"
	passes      fate = ""
	subscribing fate = "subscribes"
)

// fault strikes the next command of its kind.
type fault struct {
	on    command
	fate  fate
	fired chan struct{}
	free  chan struct{} // of held ones: closed when they may go on
}

// What happens to live messages.
type weather string

const (
	calm    weather = "calm"
	losing  weather = "lost"
	patchy  weather = "every other one lost"
	doubled weather = "delivered twice"
	waiting weather = "delayed"
)

// wire is what one process knows of Redis: a proxy with faults.
type wire struct {
	redis    string
	gate     *gate
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	taps    map[*tap]struct{}
	armed   []*fault
	holding []*fault
	weather weather
	late    [][]byte // live messages that wait
	lost    bool     // the last one was, in patchy weather
	dead    bool
}

func newWire(redis string, g *gate) (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{redis: redis, gate: g, listener: l, taps: make(map[*tap]struct{}), weather: calm}
	w.running.Go(w.accept)
	return w, nil
}

func (w *wire) url() string { return "redis://" + w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.redis)
		if err != nil {
			_ = client.Close()
			continue
		}
		t := &tap{wire: w, client: client, server: server, closed: make(chan struct{}), answers: make(chan *fault, 256)}
		w.mu.Lock()
		if w.dead {
			w.mu.Unlock()
			t.close()
			_ = server.Close()
			return
		}
		w.taps[t] = struct{}{}
		w.mu.Unlock()
		w.running.Go(t.forward)
		w.running.Go(t.back)
	}
}

// kill cuts everything, for good, as the end of a process does. Commands that
// Redis has got take effect.
func (w *wire) kill() {
	w.mu.Lock()
	w.dead = true
	taps := w.list()
	w.mu.Unlock()
	_ = w.listener.Close()
	for _, t := range taps {
		t.close()
	}
	w.gate.wake()
	w.running.Wait()
}

// list is called with the lock held.
func (w *wire) list() []*tap {
	var all []*tap
	for t := range w.taps {
		all = append(all, t)
	}
	return all
}

// arm has the next command of a kind meet its fate.
func (w *wire) arm(on command, f fate) *fault {
	x := &fault{on: on, fate: f, fired: make(chan struct{}), free: make(chan struct{})}
	w.mu.Lock()
	w.armed = append(w.armed, x)
	w.mu.Unlock()
	return x
}

func (w *wire) strike(on command) *fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, f := range w.armed {
		if f.on == on {
			w.armed = slices.Delete(w.armed, i, i+1)
			if f.fate == held || f.fate == answerHeld {
				w.holding = append(w.holding, f)
			}
			close(f.fired)
			return f
		}
	}
	return nil
}

// holds tells whether a command of the kind is held up, or the next will be.
func (w *wire) holds(on command) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	holds := func(f *fault) bool { return f.on == on && (f.fate == held || f.fate == answerHeld) }
	return slices.ContainsFunc(w.armed, holds) || slices.ContainsFunc(w.holding, holds)
}

// release lets go on what is held up, and disarms.
func (w *wire) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.holding {
		close(f.free)
	}
	w.holding, w.armed = nil, nil
}

// free lets go on what one fault holds up.
func (w *wire) free(f *fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.holding, f); i >= 0 {
		close(f.free)
		w.holding = slices.Delete(w.holding, i, i+1)
	}
}

// setWeather says what becomes of live messages from now on.
func (w *wire) setWeather(to weather) {
	w.mu.Lock()
	w.weather = to
	w.mu.Unlock()
}

// bringLate delivers what was delayed, in the order in which pick takes it.
func (w *wire) bringLate(pick func(n int) int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.late)
	for len(w.late) > 0 {
		i := pick(len(w.late))
		w.deliver(w.late[i])
		w.late = slices.Delete(w.late, i, i+1)
	}
	return n
}

// cutSubscription breaks the connections on which live messages come.
func (w *wire) cutSubscription() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.taps {
		if t.channel != nil {
			t.close()
		}
	}
}

// stray delivers a live message of a history that nobody knows. It has the
// process look at the log's head now instead of within a second.
func (w *wire) stray() {
	o := canvas.Op{Kind: canvas.Reset, Number: 1}
	record := append([]byte{1}, canvas.NewEpoch().String()+" 1 1 0\n"...)
	record = store.EncodeOp(record, &o)
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.taps {
		if t.channel != nil {
			t.write(array([]byte("message"), t.channel, record))
		}
	}
}

// message handles a live message from Redis.
func (w *wire) message(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.weather {
	case losing:
	case patchy:
		if w.lost = !w.lost; !w.lost {
			w.deliver(b)
		}
	case waiting:
		w.late = append(w.late, b)
	case doubled:
		w.deliver(b)
		w.deliver(b)
	default:
		w.deliver(b)
	}
}

// deliver is called with the lock held.
func (w *wire) deliver(b []byte) {
	for t := range w.taps {
		if t.channel != nil {
			t.write(b)
		}
	}
}
