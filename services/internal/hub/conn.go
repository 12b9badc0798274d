package hub

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Sink is the socket of a connection. The hub calls TryWrite and WriteAll from
// one goroutine at a time; Close may come at any moment from any.
type Sink interface {
	// TryWrite writes as much of b as the socket takes without waiting. Less
	// than all with a nil error means that the socket is full.
	TryWrite(b []byte) (int, error)
	// WriteAll waits until all of b is written, at most for the time-out: then
	// the error is os.ErrDeadlineExceeded. It returns how much was.
	WriteAll(b []byte, timeout time.Duration) (int, error)
	// Close ends the connection at once; whoever reads from it notices.
	Close() error
}

// maxControl bounds what may wait for one connection beside the canvas itself
// (acknowledgements, errors, pongs), in bytes.
const maxControl = 64 << 10

// Conn is a connection to a hub.
type Conn struct {
	sink Sink
	hub  *Hub // set by Join

	done chan struct{} // see Done
	once sync.Once

	mu      sync.Mutex
	codec   Codec
	control []byte // frames that wait
	goodbye []byte // close frame that waits behind them
	closing bool   // goodbye waits, or was written: nothing follows
	failed  bool
	account account // see account.go for which lock guards what

	// cursor is the position up to which everything was handed to the socket
	// (a rest that waits for a full socket included).
	cursor atomic.Uint64
	// blocked: a goroutine waits for the socket; the flusher keeps off.
	blocked atomic.Bool

	// Guarded by the hub's lock.
	index    int    // in hub.conns, -1 when not joined
	queued   bool   // in hub.dirty
	waiting  bool   // for a picture that is being made
	need     string // reason for which it needs a picture, or ""
	picture  *picture
	next     int           // message of the picture
	single   *canvas.Entry // an operation that it gets in pieces
	sent     int           // bytes of them
	caughtUp uint64        // head at the join: writes up to here are catching up
	presence uint64        // version that it has
	count    uint64
	status   uint64
}

// NewConn returns a connection that belongs to no hub yet.
func NewConn(s Sink, c Codec) *Conn {
	return &Conn{sink: s, codec: c, index: -1, done: make(chan struct{})}
}

// Resumption tells how a connection gets what it missed.
type Resumption string

// Resumptions.
const (
	// FromLog: as FromMemory, after the history was extended from the log for
	// it. Join itself never gives it.
	FromLog     Resumption = "log"
	Fresh       Resumption = "fresh"    // it did not claim a position
	FromMemory  Resumption = "memory"   // the history reaches back to its position
	FromScratch Resumption = "snapshot" // it gets a whole picture
)

// Join adds the connection. since is the position that a returning client
// claims to hold, nil for a new one. greet is called with the position from
// which on the connection gets everything; what it returns is sent first. The
// join and that position are one atomic step.
func (h *Hub) Join(c *Conn, since *canvas.Position, greet func(at canvas.Position, how Resumption) protocol.ServerMessage) Resumption {
	h.mu.Lock()
	how := Fresh
	at := canvas.Position{Epoch: h.epoch, Seq: h.head}
	if since != nil {
		how = FromScratch
		// A position ahead of this replica is that of a client which has seen
		// more through another gateway: it waits until the rest arrives.
		if since.Epoch == h.epoch && since.Seq >= h.history.oldest(h.head) {
			how = FromMemory
			at = *since
		}
	}
	c.hub = h
	c.index = len(h.conns)
	h.conns = append(h.conns, c)
	c.cursor.Store(at.Seq)
	c.caughtUp = h.head
	h.open(c, at.Seq)
	if h.state == protocol.Live {
		c.status = h.status.version
	} else {
		c.status = 0
	}
	if how == FromScratch || how == Fresh && c.codec == Binary {
		c.need = reasonJoin
	}
	c.queued = true
	h.dirty = append(h.dirty, c)
	c.mu.Lock()
	c.control = append(encodeMessage(greet(at, how), c.codec), c.control...)
	c.mu.Unlock()
	h.mu.Unlock()
	h.flusher.wake(h)
	return how
}

// Leave removes the connection; it may be called more than once.
func (h *Hub) Leave(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.index < 0 {
		return
	}
	h.settle(c, missedBroken)
	last := len(h.conns) - 1
	h.conns[c.index] = h.conns[last]
	h.conns[c.index].index = c.index
	h.conns[last] = nil
	h.conns = h.conns[:last]
	c.index = -1
	c.picture, c.single = nil, nil
	c.mu.Lock()
	c.failed, c.control, c.goodbye = true, nil, nil
	c.mu.Unlock()
	c.finish()
}

// Done is closed when nothing will be written any more: the close frame was
// handed to the socket, the connection failed, or it left.
func (c *Conn) Done() <-chan struct{} { return c.done }

func (c *Conn) finish() { c.once.Do(func() { close(c.done) }) }

// Codec returns the connection's codec.
func (c *Conn) Codec() Codec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codec
}

// SetAware tells that a JSON connection knows the newer messages.
func (c *Conn) SetAware() {
	c.mu.Lock()
	if c.codec == Original {
		c.codec = JSON
	}
	c.mu.Unlock()
}

// Written returns the position up to which everything was handed to the
// socket.
func (c *Conn) Written() uint64 { return c.cursor.Load() }

// Send queues a message for this connection alone. It never waits: a
// connection that lets too much pile up is closed as a slow consumer.
func (c *Conn) Send(m protocol.ServerMessage) {
	c.mu.Lock()
	codec := c.codec
	c.mu.Unlock()
	c.enqueue(encodeMessage(m, codec), false)
}

// Pong answers a client's ping frame.
func (c *Conn) Pong(payload []byte) {
	c.enqueue(appendFrame(nil, framePong, payload[:min(len(payload), 125)]), false)
}

// Frame queues a frame that somebody else has made whole, such as the
// WebSocket library's close frame after a violation of the protocol.
func (c *Conn) Frame(frame []byte) {
	c.enqueue(frame, len(frame) > 0 && frame[0] == frameClose)
}

// Close queues a close frame behind what waits for this connection alone and
// the state of the service, which tells why. Nothing is sent after it; the
// socket stays open for the client's answer.
func (c *Conn) Close(code int, reason string) {
	c.enqueue(closeFrame(code, reason), true)
}

// Received tells that the client has answered a ping; payload is what the
// ping carried.
func (c *Conn) Received(payload []byte) {
	if len(payload) != pingSize || c.hub == nil {
		return
	}
	c.received(c.hub.metrics, binary.BigEndian.Uint32(payload[8:]), binary.BigEndian.Uint64(payload))
}

// pingSize is the length of a ping's payload, in bytes: the position up to
// which everything was handed to the socket before it, and the era in which
// that was.
const pingSize = 12

func (c *Conn) ping() {
	var payload [pingSize]byte
	c.mu.Lock()
	binary.BigEndian.PutUint64(payload[:], c.cursor.Load())
	binary.BigEndian.PutUint32(payload[8:], c.account.era)
	missed := c.account.pinged
	c.account.pinged = true
	c.mu.Unlock()
	if c.hub != nil {
		c.hub.metrics.pings.Inc()
		if missed {
			c.hub.metrics.missed.Inc()
		}
	}
	c.enqueue(appendFrame(nil, framePing, payload[:]), false)
}

func (c *Conn) enqueue(frames []byte, last bool) {
	c.mu.Lock()
	if c.closing || c.failed {
		c.mu.Unlock()
		return
	}
	if len(c.control)+len(frames) > maxControl {
		c.failed, c.control, c.goodbye = true, nil, nil
		c.mu.Unlock()
		if h := c.hub; h != nil {
			h.metrics.slow.Inc()
			h.mu.Lock()
			h.stopOwing(c, missedSlow)
			h.mu.Unlock()
		}
		c.finish()
		_ = c.sink.Close()
		return
	}
	if last {
		c.goodbye, c.closing = frames, true
	} else {
		c.control = append(c.control, frames...)
	}
	c.mu.Unlock()
	if c.hub != nil {
		c.hub.markDirty(c)
	}
}

// encodeMessage returns a message as whole frames.
func encodeMessage(m protocol.ServerMessage, c Codec) []byte {
	if c == Binary {
		return appendFrame(nil, frameBinary, protocol.AppendServerBinary(nil, m))
	}
	var out []byte
	for _, message := range protocol.EncodeJSON(m) {
		out = appendFrame(out, frameText, message)
	}
	return out
}
