package hub

import (
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Options of a hub. Zero values mean the defaults.
type Options struct {
	Spec canvas.Spec
	// Freeze returns the canvas's picture of this moment and its position,
	// which is never behind an entry that was published. It may be called by
	// any goroutine.
	Freeze func() (*canvas.Frozen, canvas.Position)
	// HistoryOps and HistoryBytes bound what is kept in memory for clients
	// that resume or lag (16,384 operations, 32 MiB with encoded forms).
	HistoryOps, HistoryBytes int
}

// Hub fans out one canvas. Its methods may be called by any goroutine, except
// that Publish, Extend and Restart must come from one at a time, in order.
type Hub struct {
	flusher *Flusher
	metrics *Metrics
	freeze  func() (*canvas.Frozen, canvas.Position)

	mu       sync.Mutex
	spec     canvas.Spec
	epoch    canvas.Epoch
	head     uint64
	history  history
	era      uint32 // of the history; counts restarts
	conns    []*Conn
	owing    int     // connections that are owed what comes
	ahead    int     // of those, the ones that hold a position after the head
	dirty    []*Conn // have something of their own to write
	walk     bool    // everybody has something to write
	state    protocol.State
	presence shared // who is here
	count    shared // only how many; newer than presence, or empty
	status   shared
	pictures pictures
	traced   []tracedEntry // that are not written yet

	chunks []*chunk // the flusher's; see chunk.go
	// pieces are the frames of the operation that was sent in pieces last.
	pieces struct {
		codec  Codec
		of     *canvas.Entry
		frames []byte
	}
}

// shared is a message for all connections of which only the latest counts.
type shared struct {
	version uint64
	frames  [codecs][]byte
}

func (s *shared) set(m protocol.ServerMessage) {
	s.version++
	for c := range codecs {
		s.frames[c] = encodeMessage(m, c)
	}
}

// clear has nothing to tell from now on.
func (s *shared) clear() {
	s.version++
	s.frames = [codecs][]byte{}
}

// New returns a hub whose connections are served by the flusher. It has no
// position until Restart.
func New(f *Flusher, o Options) *Hub {
	if o.HistoryOps == 0 {
		o.HistoryOps = 16 << 10
	}
	if o.HistoryBytes == 0 {
		o.HistoryBytes = 32 << 20
	}
	h := &Hub{flusher: f, metrics: f.metrics, freeze: o.Freeze, spec: o.Spec, state: protocol.Live}
	h.history = history{spec: o.Spec, maxOps: o.HistoryOps, maxSize: o.HistoryBytes}
	h.pictures.hub = h
	h.metrics.add(h)
	return h
}

// Publish hands an entry to all connections. It must begin right after the
// entry before it. It does not wait for any socket.
func (h *Hub) Publish(e *canvas.Entry) {
	h.mu.Lock()
	if e.First != h.head+1 {
		h.mu.Unlock()
		panic("hub: an entry was published out of order")
	}
	before := h.history.ops
	h.history.push(e, h.flusher.options.Now())
	h.metrics.historyOps.Add(float64(h.history.ops - before))
	h.owe(h.head, e.Last())
	h.head = e.Last()
	h.walk = true
	h.mu.Unlock()
	h.flusher.wake(h)
}

// tracedEntry is an entry whose span ends when it is written to all connections.
type tracedEntry struct {
	last uint64
	span *tracing.Span
}

// maxTraced bounds the entries that are traced at a time; the others' spans end
// when they are published.
const maxTraced = 1024

// Trace has the span of the entry that ends at position last, and is published
// next, end when the flusher has been round all connections with it.
func (h *Hub) Trace(last uint64, span *tracing.Span) {
	if span == nil {
		return
	}
	h.mu.Lock()
	full := len(h.traced) >= maxTraced
	if !full {
		h.traced = append(h.traced, tracedEntry{last, span})
	}
	h.mu.Unlock()
	if full {
		span.End()
	}
}

// takeTraced removes those of the traced entries that are published. Called with
// the lock held.
func (h *Hub) takeTraced() []tracedEntry {
	n := 0
	for n < len(h.traced) && h.traced[n].last <= h.head {
		n++
	}
	taken := h.traced[:n:n]
	if h.traced = h.traced[n:]; len(h.traced) == 0 {
		h.traced = nil
	}
	return taken
}

// Extend adds entries before the oldest that is held, for clients that want to
// resume from there; epoch is the hub's at the time when they were read.
// Entries that are held already are ignored; a hole makes
// the call a no-op. What does not fit into the bounds of the history is held
// for half a minute, as far as a bound of its own allows; the oldest goes
// first.
func (h *Hub) Extend(epoch canvas.Epoch, entries []*canvas.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if epoch != h.epoch {
		return // of a history that has ended
	}
	oldest := h.history.oldest(h.head)
	var fitting []*canvas.Entry
	var next uint64 // the number that must follow; 0 before the first entry
	for _, e := range entries {
		if next != 0 && e.First != next {
			return // who resumed across the hole would miss what is in it
		}
		next = e.Last() + 1
		if e.First > oldest {
			break
		}
		if e.Last() > oldest {
			cut := *e
			cut.Ops = e.Ops[:oldest-e.First+1]
			e = &cut
		}
		fitting = append(fitting, e)
	}
	if n := len(fitting); n > 0 && fitting[n-1].Last() == oldest {
		before := h.history.ops
		h.history.prepend(fitting, h.flusher.options.Now())
		h.metrics.historyOps.Add(float64(h.history.ops - before))
	}
}

// Restart begins another history: the canvas stands at pos now, whatever was
// published before. Every connection gets a picture, except one whose client
// has seen more of the same epoch at another gateway: nothing was sent to it
// from here, and a picture would take it back.
func (h *Hub) Restart(pos canvas.Position, spec canvas.Spec) {
	h.mu.Lock()
	epoch, head := h.epoch, h.head
	h.metrics.historyOps.Add(-float64(h.history.ops))
	h.history.clear()
	h.history.spec = spec
	for _, c := range h.conns {
		h.closeBooks(c)
	}
	h.spec, h.epoch, h.head = spec, pos.Epoch, pos.Seq
	h.era, h.ahead = h.era+1, 0
	h.pictures.clear()
	for _, c := range h.conns {
		if pos.Epoch == epoch && c.aheadOf(max(head, pos.Seq)) {
			h.setAccount(c, c.account.joined)
			continue
		}
		c.need = reasonEpoch
		c.picture, c.single = nil, nil
		c.cursor.Store(pos.Seq)
		c.caughtUp = pos.Seq
		h.setAccount(c, pos.Seq)
	}
	h.walk = true
	h.mu.Unlock()
	h.flusher.wake(h)
}

// Close lets the history go. Connections that are still there get nothing
// more.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.metrics.historyOps.Sub(float64(h.history.ops))
	h.history.clear()
	h.pictures.clear()
	h.pieces.of, h.pieces.frames = nil, nil
	h.epoch = canvas.Epoch{}
	h.metrics.remove(h)
	for _, t := range h.traced {
		t.span.End()
	}
	h.traced = nil
}

// Position returns the position up to which entries were published.
func (h *Hub) Position() canvas.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	return canvas.Position{Epoch: h.epoch, Seq: h.head}
}

// Oldest returns the earliest position from which a client can resume out of
// memory.
func (h *Hub) Oldest() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.history.oldest(h.head)
}

// Ahead returns the connections whose clients claim to have seen more, at
// another gateway, than was published here.
func (h *Hub) Ahead() []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ahead == 0 {
		return nil
	}
	var all []*Conn
	for _, c := range h.conns {
		if c.aheadOf(h.head) {
			all = append(all, c)
		}
	}
	return all
}

// IsAhead tells whether c is one of those that Ahead returns.
func (h *Hub) IsAhead(c *Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return c.index >= 0 && c.aheadOf(h.head)
}

// Disprove gives a whole picture to those of the connections that are still
// ahead: the log did not reach as far as their clients claim at a moment after
// the claim. Call it only with connections that Ahead returned before the log
// was asked, and when what it held then is published.
func (h *Hub) Disprove(conns []*Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range conns {
		if c.index < 0 || !c.aheadOf(h.head) {
			continue
		}
		h.ahead--
		c.cursor.Store(h.head)
		h.setAccount(c, h.head)
		c.need = reasonLag
		if !c.queued {
			c.queued = true
			h.dirty = append(h.dirty, c)
		}
	}
	h.flusher.wake(h)
}

// SetState tells all connections the state of the service, and every later one
// when it joins unless it is Live.
func (h *Hub) SetState(s protocol.State) {
	h.mu.Lock()
	if s == h.state {
		h.mu.Unlock()
		return
	}
	h.state = s
	h.status.set(protocol.Status{State: s})
	h.walk = true
	h.mu.Unlock()
	h.flusher.wake(h)
}

// State returns what SetState was given last.
func (h *Hub) State() protocol.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

// SetPresence tells all connections who is here, or only how many when p has no
// list, and every later one when it joins. The caller sees to it that it is
// called at most once a second, and seldom with a long list.
func (h *Hub) SetPresence(p protocol.Presence) {
	h.mu.Lock()
	if p.IsList {
		h.presence.set(p)
		h.count.clear() // the list tells it too
	} else {
		h.count.set(p)
	}
	h.walk = true
	h.mu.Unlock()
	h.flusher.wake(h)
}

// hasNews tells whether something waits that is for all.
func (h *Hub) hasNews() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.walk
}

// Conns returns the connections of this moment.
func (h *Hub) Conns() []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Conn(nil), h.conns...)
}

// Len returns the number of connections.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns)
}

// markDirty has the flusher look at c.
func (h *Hub) markDirty(c *Conn) {
	h.mu.Lock()
	if !c.queued {
		c.queued = true
		h.dirty = append(h.dirty, c)
	}
	h.mu.Unlock()
	h.flusher.wake(h)
}

// PingAll sends a ping to each connection, with the position up to which it
// has been written, so that the pong proves the receipt.
func (h *Hub) PingAll() {
	for _, c := range h.Conns() {
		c.ping()
	}
}

func position(h *Hub) canvas.Position { return canvas.Position{Epoch: h.epoch, Seq: h.head} }
