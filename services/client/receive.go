package client

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// lingerTime is how long a connection that is dropped because of a gap is
// still read, so that one can tell messages that come late from lost ones.
const lingerTime = 250 * time.Millisecond

// dropError is a reason for the client to drop a connection.
type dropError struct {
	reason string
	final  error // not nil: and not to try again
}

func (e *dropError) Error() string { return "client: connection dropped: " + e.reason }

// link is one connection, from the upgrade to its end.
type link struct {
	c       *Client
	ws      *websocket.Conn
	ctx     context.Context // ends with the connection
	cancel  context.CancelFunc
	running sync.WaitGroup // the writer and reloads
	began   time.Time      // of the attempt

	// asked is the position that the upgrade request claimed, if asks.
	asked canvas.Position
	asks  bool

	// Of the reader alone.
	extended time.Time // when the read deadline was set

	// Guarded by Client.handling.
	arrived    time.Time // when the present frame had been read
	greeted    bool      // connected has come
	greetedAt  time.Time
	epoch      canvas.Epoch // of what the gateway sends
	pod        string
	newHistory bool   // the snapshot under way is of another epoch than what came before
	seen       uint64 // position up to which the gateway has told everything
	awaiting   bool   // a picture is on its way; updates are kept in buffered
	buffered   []Update
	cell       [1]protocol.Cell // of an update that nobody keeps
	snapshot   *assembler
	target     canvas.Position    // of the reload
	stopReload context.CancelFunc // nil when none is under way
	covered    uint64             // position of the last picture: what it covers may still be on its way
	cause      error              // why the connection is being dropped; nil while it is not
	lostFrom   uint64             // the gap for which it is
	lostTo     uint64
	missing    []span // gaps that were stepped over
	piece      piece  // the last one, of a witness

	writeErr error // of the writer; others may look when it has ended
}

// frames are read into buffers that all clients of the process share.
var frames = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled keeps the buffers of snapshots from staying for ever.
const maxPooled = 64 << 10

// read is the reader: it handles frames until the connection ends.
func (l *link) read() error {
	l.ws.SetReadLimit(l.c.opts.ReadLimit)
	l.ws.SetPingHandler(func(payload string) error {
		l.c.mu.Lock()
		l.c.stats.Pings++
		l.c.mu.Unlock()
		l.extend(time.Now())
		// A pong that finds no way out is not worth the connection: if nothing
		// gets out, the writer notices.
		_ = l.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(time.Second))
		return nil
	})
	l.extend(time.Now())
	for {
		kind, r, err := l.ws.NextReader()
		if err != nil {
			return err
		}
		b := frames.Get().(*bytes.Buffer)
		b.Reset()
		if _, err = b.ReadFrom(r); err == nil {
			err = l.frame(kind, b.Bytes())
		}
		if b.Cap() <= maxPooled {
			frames.Put(b)
		}
		if err != nil {
			return err
		}
	}
}

// extend moves the read deadline, not more often than needed.
func (l *link) extend(now time.Time) {
	if idle := l.c.opts.IdleTimeout; idle > 0 && now.Sub(l.extended) >= idle/8 {
		l.extended = now
		_ = l.ws.SetReadDeadline(now.Add(idle))
	}
}

// frame handles the messages of a frame.
func (l *link) frame(kind int, b []byte) error {
	now := time.Now()
	l.extend(now)
	c := l.c
	c.handling.Lock()
	defer c.handling.Unlock()
	l.arrived = now
	c.mu.Lock()
	c.stats.Frames++
	c.stats.Bytes += uint64(len(b))
	c.mu.Unlock()

	if c.opts.Codec == Binary {
		if kind != websocket.BinaryMessage {
			return &dropError{reason: "text in the binary codec"}
		}
		return asDrop(protocol.DecodeServerBinary(b, l.handle))
	}
	if m, ok := protocol.DecodePixelUpdated(b); ok && l.greeted {
		l.onPixel(&m) // nearly all that comes is this
		return nil
	}
	m, err := protocol.DecodeServerJSON(b)
	if err == nil && m != nil {
		err = l.handle(m)
	}
	return asDrop(err)
}

// asDrop makes an error of a decoder a reason to drop the connection: after it
// one cannot know what was missed.
func asDrop(err error) error {
	if _, ok := err.(*dropError); ok || err == nil {
		return err
	}
	return &dropError{reason: err.Error()}
}

// handle handles a message. The caller holds handling.
func (l *link) handle(m protocol.ServerMessage) error {
	if !l.greeted {
		hello, ok := m.(protocol.Connected)
		if !ok {
			return &dropError{reason: fmt.Sprintf("first message is %T", m)}
		}
		l.onConnected(hello)
		return nil
	}
	switch m := m.(type) {
	case protocol.Updates:
		if m.First == 0 {
			return &dropError{reason: "an operation at position 0"}
		}
		if len(m.Ops) > 0 {
			l.offer(Update{Prev: m.First - 1, Seq: m.First - 1 + uint64(len(m.Ops)), Time: m.Time, Ops: m.Ops})
		}
	case protocol.Range:
		l.offer(Update{Prev: m.Prev, Seq: m.Seq, Time: m.Time, Reset: m.Reset, ResetTo: m.ResetTo, Cells: m.Cells})
	case protocol.PixelUpdated:
		l.onPixel(&m)
	case protocol.CanvasReset:
		l.offer(Update{Prev: m.Prev, Seq: m.Seq, Reset: true, ResetTo: m.Color})
	case protocol.Advanced:
		l.offer(Update{Prev: m.Prev, Seq: m.Seq, complete: true})
	case protocol.SnapshotBegin:
		return l.onSnapshot(m)
	case protocol.SnapshotBand:
		return l.onBand(&m)
	case protocol.Resync:
		l.onResync(m)
	case protocol.Ack:
		l.onAck(m)
	case protocol.Error:
		return l.onError(m)
	case protocol.Status:
		l.onStatus(m)
	case protocol.Presence:
		if l.c.opts.OnPresence != nil {
			l.c.opts.OnPresence(m)
		}
	case protocol.Pong:
		l.onPong()
	case protocol.Connected:
		return &dropError{reason: "connected came twice"}
	}
	return nil
}

// onPixel takes one pixel of the JSON codec. Its cell needs memory of its own
// only where somebody may keep it.
func (l *link) onPixel(m *protocol.PixelUpdated) {
	cells := l.cell[:]
	if l.awaiting || l.c.opts.OnUpdate != nil {
		cells = make([]protocol.Cell, 1)
	}
	cells[0] = protocol.Cell{Pixel: m.Pixel, Name: m.Name}
	l.offer(Update{Prev: m.Prev, Seq: m.Seq, Time: m.Time, Cells: cells})
}

func (l *link) onConnected(m protocol.Connected) {
	c := l.c
	l.greeted, l.greetedAt, l.epoch = true, l.arrived, m.Position.Epoch
	c.mu.Lock()
	c.stats.Connected++
	l.pod, l.seen = m.Pod, m.Position.Seq
	l.count(Received{Connections: 1})
	c.lastErr = nil
	c.spec, c.pod = m.Spec, m.Pod
	c.mu.Unlock()
	if c.opts.OnConnected != nil {
		c.opts.OnConnected(Connection{Pod: m.Pod, Position: m.Position, Took: l.greetedAt.Sub(l.began)})
	}
	c.changeState(Live)
	switch {
	case l.asks && m.Position == l.asked:
		l.goOn(m.Position, wentOn(m.Resumed))
	case c.opts.Codec == Binary:
		l.awaiting = true // a snapshot follows
	case c.load != nil:
		l.startReload(m.Position)
	default:
		l.goOn(m.Position, Skipped)
	}
}

// goOn notes that everything behind p will come as messages.
func (l *link) goOn(p canvas.Position, kind RecoveryKind) {
	c := l.c
	c.mu.Lock()
	c.restart(p)
	recovery, recovered := c.recover(l, kind)
	c.mu.Unlock()
	if recovered && c.opts.OnResume != nil {
		c.opts.OnResume(recovery)
	}
}

// recover notes that nothing is missing any more. The caller holds mu.
func (c *Client) recover(l *link, kind RecoveryKind) (Recovery, bool) {
	c.have, c.ready = true, true
	c.notify()
	if c.lostAt.IsZero() {
		return Recovery{}, false
	}
	r := Recovery{Kind: kind, Position: c.tracker.at, Connect: l.greetedAt.Sub(c.lostAt), Took: time.Since(c.lostAt)}
	c.lostAt = time.Time{}
	c.stats.Recoveries[kind]++
	c.stats.RecoverySum += r.Took
	c.stats.RecoveryMax = max(c.stats.RecoveryMax, r.Took)
	return r, true
}
