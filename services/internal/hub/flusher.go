package hub

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/protocol"
)

// FlusherOptions of a flusher. Zero values mean the defaults.
type FlusherOptions struct {
	// SlowTimeout is how long a full socket may stay full before its
	// connection is closed as a slow consumer (15 s).
	SlowTimeout time.Duration
	// MaxPause bounds the pause after a round when operations come faster than
	// rounds end. It is otherwise nearly as long as the round was: that halves
	// the sends for a few milliseconds of latency (20 ms; negative: no pause).
	MaxPause time.Duration
	Metrics  *Metrics
	// Now is the clock that latency is measured with (time.Now).
	Now func() time.Time
}

// When pauses begin. Measured: docs/PERFORMANCE.md, "What was learned".
const (
	// shortRound is how long a round may take, to some 500 connections, before a
	// pause is worth it.
	shortRound = 3 * time.Millisecond
	// behindFor is how many rounds in a row operations must have come in the
	// middle of: one may be chance, and a pause after it has more of them come
	// in the middle.
	behindFor = 3
)

// Flusher writes to the connections of its hubs. Start it with Run.
type Flusher struct {
	options FlusherOptions
	metrics *Metrics
	running sync.WaitGroup // helpers: drains and pictures in the making

	mu    sync.Mutex
	hubs  []*Hub // that have something to write
	awake chan struct{}

	// Only touched by Run.
	walk    []*Conn
	scratch []byte
	clock   uint64
	behind  int // rounds in a row in the middle of which operations came
}

// NewFlusher returns a flusher that does not run yet.
func NewFlusher(o FlusherOptions) *Flusher {
	if o.SlowTimeout == 0 {
		o.SlowTimeout = 15 * time.Second
	}
	if o.MaxPause == 0 {
		o.MaxPause = 20 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Flusher{options: o, metrics: o.Metrics, awake: make(chan struct{}, 1)}
}

// wake has the flusher look at h.
func (f *Flusher) wake(h *Hub) {
	f.mu.Lock()
	known := false
	for _, k := range f.hubs {
		known = known || k == h
	}
	if !known {
		f.hubs = append(f.hubs, h)
	}
	f.mu.Unlock()
	select {
	case f.awake <- struct{}{}:
	default:
	}
}

// Run serves until the context ends, then waits for its helpers; the sockets
// must be closed by then or the wait takes up to the slow time-out.
func (f *Flusher) Run(ctx context.Context) {
	defer f.running.Wait()
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.awake:
		}
		f.mu.Lock()
		hubs := f.hubs
		f.hubs = nil
		f.mu.Unlock()
		start := f.options.Now()
		walked := false
		for _, h := range hubs {
			walked = f.round(h) || walked
		}
		took := f.options.Now().Sub(start)
		f.metrics.busy.Add(took.Seconds())
		if f.behind++; !slices.ContainsFunc(hubs, (*Hub).hasNews) {
			f.behind = 0
		}
		// A short round needs no pause: what it would save by merging is less
		// than what it would cost in latency. Nor is there anything to merge as
		// long as rounds end before the next operation comes.
		rest := min(took-shortRound, f.options.MaxPause)
		if walked && f.behind >= behindFor && rest > shortRound/30 {
			pause.Reset(rest)
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
		}
	}
}

// round writes what the connections of a hub wait for.
func (f *Flusher) round(h *Hub) (walked bool) {
	h.mu.Lock()
	walked = h.walk
	var traced []tracedEntry
	if walked {
		traced = h.takeTraced()
		f.walk = append(f.walk[:0], h.conns...)
		for _, c := range h.dirty {
			c.queued = false
		}
		h.walk = false
	} else {
		f.walk = append(f.walk[:0], h.dirty...)
		for _, c := range h.dirty {
			c.queued = false
		}
	}
	clear(h.dirty)
	h.dirty = h.dirty[:0]
	h.mu.Unlock()
	for _, c := range f.walk {
		f.serve(h, c)
	}
	for _, t := range traced {
		t.delivered(f.walk)
	}
	clear(f.walk)
	return walked
}

// delivered ends the span of an entry after a round.
func (t tracedEntry) delivered(to []*Conn) {
	recipients := 0
	for _, c := range to {
		if c.cursor.Load() >= t.last {
			recipients++
		}
	}
	t.span.Delivered(recipients, len(to)-recipients)
}

// plan is one write.
type plan struct {
	out       []byte
	immutable bool // out may be kept
	more      bool // another plan may follow at once
	last      bool // the close frame is in it, or was in an earlier one
	frames    int

	// What the connection has got when all of it is written.
	era  uint32
	to   uint64 // everything up to here; 0: nothing new
	form string
	// Of the oldest operation in it.
	received int64 // µs since the Unix epoch; 0: nothing of which a latency is known
	trace    canvas.Trace
	catchUp  bool // it begins before the head that c found when it joined
	live     bool // it brings operations
}

// serve writes to one connection until it has everything or its socket is
// full.
func (f *Flusher) serve(h *Hub, c *Conn) {
	for !c.blocked.Load() {
		p := f.plan(h, c)
		if len(p.out) == 0 {
			f.wrote(c, &p) // what completes it was written before
			if p.last {
				c.finish()
			}
			if p.more {
				continue
			}
			return
		}
		n, err := c.sink.TryWrite(p.out)
		f.metrics.writes.Inc()
		f.metrics.bytes.Add(float64(n))
		if err != nil {
			c.fail(missedBroken)
			return
		}
		if n < len(p.out) {
			rest := p.out[n:]
			if !p.immutable {
				rest = append([]byte(nil), rest...)
			}
			p.out = nil
			f.metrics.blocked.Inc()
			c.blocked.Store(true)
			f.running.Add(1)
			go f.drain(h, c, rest, p)
			return
		}
		f.wrote(c, &p)
		if p.last {
			c.finish()
		}
		if !p.more {
			return
		}
	}
}

// wrote accounts for a plan that the socket has taken as a whole.
func (f *Flusher) wrote(c *Conn, p *plan) {
	f.metrics.frames.Add(float64(p.frames))
	if p.to != 0 {
		c.wrote(f.metrics, p.era, p.to, p.form)
	}
	switch {
	case !p.live:
	case p.received == 0 || p.catchUp:
		f.metrics.catchUp.Inc()
	default:
		// The latency of a conflated range counts like any other: under
		// overload most are conflated, and late.
		telemetry.ObserveTraced(f.metrics.broadcast, float64(f.options.Now().UnixMicro()-p.received)/1e6, (*[25]byte)(&p.trace))
	}
}

// carries says that a plan brings c the operations of a chunk.
func (p *plan) carries(h *Hub, c *Conn, k *chunk) {
	p.live, p.era, p.to, p.form = true, h.era, k.to, formOperation
	if k.conflated {
		p.form = formRange
	}
	p.received, p.trace, p.catchUp = k.received, k.trace, k.from < c.caughtUp
	if !p.catchUp {
		k.trace = canvas.Trace{} // one exemplar is enough for all who get the chunk
	}
}

// plan decides what c gets next and moves its cursor: from here on that is
// handed to the socket.
func (f *Flusher) plan(h *Hub, c *Conn) plan {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.mu.Lock()
	out := append(f.scratch[:0], c.control...)
	if c.control = c.control[:0]; cap(c.control) > 1<<10 {
		c.control = nil
	}
	codec, goodbye, closing, failed := c.codec, c.goodbye, c.closing, c.failed
	c.goodbye = nil
	c.mu.Unlock()
	f.scratch = out
	if failed || c.index < 0 {
		return plan{}
	}
	if c.status != h.status.version && (goodbye != nil || !closing) {
		c.status = h.status.version
		out = append(out, h.status.frames[codec]...)
	}
	if closing {
		out = append(out, goodbye...)
		f.scratch = out
		h.stopOwing(c, missedClosed)
		return plan{out: out, last: true, frames: countFrames(out)}
	}
	if c.presence != h.presence.version {
		c.presence = h.presence.version
		out = append(out, h.presence.frames[codec]...)
	}
	if c.count != h.count.version {
		c.count = h.count.version
		out = append(out, h.count.frames[codec]...)
	}
	f.scratch = out
	if c.need != "" || c.picture != nil {
		return f.planPicture(h, c, codec, out)
	}
	if c.single != nil {
		return f.planPieces(h, c, codec, out)
	}
	from := c.cursor.Load()
	if from >= h.head {
		return plan{out: out, frames: countFrames(out)}
	}
	if from < h.history.oldest(h.head) {
		c.need = reasonLag
		return plan{out: out, more: true, frames: countFrames(out)}
	}
	k := h.chunk(codec, from)
	if k.single != nil {
		c.single, c.sent = k.single, 0
		return f.planPieces(h, c, codec, out)
	}
	frames, immutable := k.bytes()
	p := plan{frames: k.frames, more: k.to < h.head}
	if len(out) > 0 {
		if p.frames += countFrames(out); len(frames) > 4<<10 {
			return plan{out: out, more: true, frames: countFrames(out)} // not worth the copy
		}
		frames, immutable = append(out, frames...), false
		f.scratch = frames
	}
	p.out, p.immutable = frames, immutable
	p.carries(h, c, k)
	c.cursor.Store(k.to)
	if k.conflated {
		f.metrics.ranges.Inc()
	}
	return p
}

// planPieces continues to give c a single operation of very many pixels, as
// frames of which each tells of one. What c holds meanwhile is the operation,
// not its encoded form, which is ten times as large and its own alone once the
// history has gone past it.
func (f *Flusher) planPieces(h *Hub, c *Conn, codec Codec, out []byte) plan {
	if p := &h.pieces; p.of != c.single || p.codec != codec {
		p.codec, p.of, p.frames = codec, c.single, encodeEntry(c.single, h.spec, codec)
	}
	rest := h.pieces.frames[c.sent:]
	n := frameEnd(rest, min(len(rest), maxChunk/2))
	out = append(out, rest[:n]...)
	f.scratch = out
	p := plan{out: out, frames: countFrames(out), more: true}
	if c.sent += n; n < len(rest) {
		return p
	}
	k := &chunk{from: c.single.First - 1, to: c.single.Last()}
	k.note(c.single)
	c.single = nil
	c.cursor.Store(k.to)
	p.carries(h, c, k)
	p.more = k.to < h.head
	return p
}

// planPicture continues, or begins, to give c a whole picture. Until it has
// it, it gets no updates.
func (f *Flusher) planPicture(h *Hub, c *Conn, codec Codec, out []byte) plan {
	if c.need != "" {
		c.picture, c.single = nil, nil
		switch {
		case codec == JSON:
			f.metrics.pictures.WithLabelValues(c.need).Inc()
			out = append(out, encodeMessage(protocol.Resync{Position: position(h)}, codec)...)
			f.scratch = out
			c.cursor.Store(h.head)
			c.need = ""
			return plan{out: out, frames: countFrames(out), era: h.era, to: h.head, form: formPicture}
		case codec == Original && h.spec.Cells() > protocol.MaxOriginalReset:
			// It can neither be told to load again nor be sent so many cells.
			c.need = ""
			c.mu.Lock()
			c.closing = true
			c.mu.Unlock()
			out = append(out, closeFrame(protocol.CloseSlow, "missed updates, load the canvas again")...)
			f.scratch = out
			h.stopOwing(c, missedSlow)
			return plan{out: out, last: true, frames: countFrames(out)}
		}
		p := h.pictures.get(codec, c)
		if p == nil {
			return plan{out: out, frames: countFrames(out)}
		}
		f.metrics.pictures.WithLabelValues(c.need).Inc()
		c.need, c.picture, c.next = "", p, 0
	}
	for c.next < len(c.picture.frames) {
		frame := c.picture.frames[c.next]
		if len(out) > 0 && len(out)+len(frame) > maxChunk {
			f.scratch = out
			return plan{out: out, more: true, frames: countFrames(out)}
		}
		c.next++
		if len(out) == 0 && len(frame) > maxChunk/4 {
			return plan{out: frame, immutable: true, more: true, frames: countFrames(frame)}
		}
		out = append(out, frame...)
	}
	f.scratch = out
	p := plan{out: out, more: true, frames: countFrames(out), era: h.era, to: c.picture.seq, form: formPicture}
	c.cursor.Store(c.picture.seq)
	c.picture = nil
	return p
}

// drainStep is how much a slow client must read within the slow time-out, in
// bytes.
const drainStep = 16 << 10

// drain waits until a full socket has taken the rest of a write. A client that
// reads at all has time; one that has stopped is given up.
func (f *Flusher) drain(h *Hub, c *Conn, rest []byte, p plan) {
	defer f.running.Done()
	for len(rest) > 0 {
		n, err := c.sink.WriteAll(rest[:min(len(rest), drainStep)], f.options.SlowTimeout)
		f.metrics.bytes.Add(float64(n))
		rest = rest[n:]
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.fail(missedBroken)
			return
		}
		if err != nil {
			f.metrics.slow.Inc()
			// Should it begin to read right now, it hears why it is closed. The
			// rest of what is under way has to go first.
			goodbye := append(rest[:len(rest):len(rest)], closeFrame(protocol.CloseSlow, "slow consumer")...)
			_, _ = c.sink.WriteAll(goodbye, f.options.SlowTimeout/4)
			c.fail(missedSlow)
			return
		}
	}
	f.wrote(c, &p)
	if p.last {
		c.finish()
	}
	c.blocked.Store(false)
	h.markDirty(c)
}

// fail gives the connection up; its reader notices and leaves the hub.
func (c *Conn) fail(reason string) {
	c.mu.Lock()
	c.failed, c.control, c.goodbye = true, nil, nil
	c.mu.Unlock()
	if h := c.hub; h != nil {
		h.mu.Lock()
		h.stopOwing(c, reason)
		h.mu.Unlock()
	}
	c.finish()
	_ = c.sink.Close()
}
