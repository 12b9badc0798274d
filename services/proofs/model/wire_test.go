package model

import (
	"bufio"
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// gate counts the commands that Redis has and has not answered, over all wires,
// and can hold all others back until there are none: then Redis is still.
type gate struct {
	mu     sync.Mutex
	change *sync.Cond
	paused bool
	out    int
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
	for g.paused && !givenUp() {
		g.change.Wait()
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
	g.paused = true
	for g.out > 0 {
		g.change.Wait()
	}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.paused = false
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

// tap is one connection of a process to Redis.
type tap struct {
	wire           *wire
	client, server net.Conn
	once           sync.Once
	closed         chan struct{}
	answers        chan *fault // one for each command that Redis has; nil: nothing special
	channel        []byte      // of a subscription; guarded by the wire's lock

	writing sync.Mutex
}

// close ends the side of the process. Redis's side goes on until all is
// answered, so that commands which it has got take effect before it counts as
// still.
func (t *tap) close() {
	t.once.Do(func() {
		close(t.closed)
		_ = t.client.Close()
	})
}

func (t *tap) isClosed() bool {
	select {
	case <-t.closed:
		return true
	default:
		return t.wire.isDead()
	}
}

func (w *wire) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// write sends to the process; an error shows where the process reads.
func (t *tap) write(b []byte) {
	t.writing.Lock()
	defer t.writing.Unlock()
	_, _ = t.client.Write(b)
}

// forward brings commands to Redis.
func (t *tap) forward() {
	defer close(t.answers)
	defer t.close()
	r := bufio.NewReaderSize(t.client, 64<<10)
	transaction := other // what the one under way does
	for {
		value, err := readValue(r)
		if err != nil {
			break
		}
		kind := kindOf(bulks(value))
		switch name := nameOf(value); {
		case name == "SUBSCRIBE":
			if !t.wire.gate.enter(t.isClosed) {
				return
			}
			t.answers <- &fault{fate: subscribing}
			if _, err := t.server.Write(value); err != nil {
				return
			}
			t.subscribed(r)
			return
		case name == "MULTI":
			transaction = other
		case name == "EXEC":
			kind = transaction
		case kind == reading:
			transaction, kind = reading, other
		}
		f := t.wire.strike(kind)
		if f != nil && f.fate == vanishes {
			return
		}
		if f != nil && f.fate == held {
			select {
			case <-f.free:
			case <-t.closed:
				return
			}
			f = nil
		}
		if !t.wire.gate.enter(t.isClosed) {
			return
		}
		t.answers <- f
		if _, err := t.server.Write(value); err != nil {
			return
		}
	}
}

// subscribed forwards what a subscriber says, which is pings.
func (t *tap) subscribed(r *bufio.Reader) {
	defer func() { _ = t.server.Close() }()
	for {
		value, err := readValue(r)
		if err != nil {
			return
		}
		if _, err := t.server.Write(value); err != nil {
			return
		}
	}
}

// back brings answers to the process.
func (t *tap) back() {
	defer func() {
		t.close()
		_ = t.server.Close()
		for range t.answers { // Redis is gone: nothing will be answered
			t.wire.gate.leave()
		}
		t.wire.mu.Lock()
		delete(t.wire.taps, t)
		t.wire.mu.Unlock()
	}()
	r := bufio.NewReaderSize(t.server, 64<<10)
	for f := range t.answers {
		value, err := readValue(r)
		t.wire.gate.leave()
		if err != nil {
			return
		}
		if f != nil {
			switch f.fate {
			case subscribing:
				t.listen(r, value)
				return
			case answerLost:
				t.close()
			case answerHeld:
				select {
				case <-f.free:
				case <-t.closed:
				}
			}
		}
		t.write(value) // in vain when it is closed
	}
}

// listen brings what a subscription gets.
func (t *tap) listen(r *bufio.Reader, confirmation []byte) {
	t.wire.mu.Lock()
	t.write(confirmation)
	if items := bulks(confirmation); len(items) > 1 {
		t.channel = bytes.Clone(items[1])
	}
	t.wire.mu.Unlock()
	for {
		value, err := readValue(r)
		if err != nil {
			return
		}
		if items := bulks(value); len(items) == 3 && string(items[0]) == "message" {
			t.wire.message(value)
			continue
		}
		t.write(value)
	}
}

func nameOf(value []byte) string {
	if items := bulks(value); len(items) > 0 {
		return strings.ToUpper(string(items[0]))
	}
	return ""
}

// kindOf tells what a command is for. Scripts are known by their arguments: an
// append names the channel, a check has a position and no more.
func kindOf(items [][]byte) command {
	if len(items) == 0 {
		return other
	}
	switch strings.ToUpper(string(items[0])) {
	case "XRANGE":
		return reading
	case "EVALSHA", "EVAL":
		for _, i := range items {
			if string(i) == "PUBLISH" {
				return appending
			}
		}
		// script, number of keys, 4 keys, epoch, seq, candidate
		if len(items) == 1+2+4+3 && len(items[7]) == 32 && len(items[9]) == 32 {
			return checking
		}
	}
	return other
}
