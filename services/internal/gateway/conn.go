package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"
)

// How long the log remembers the last operation of a session after it.
const (
	sessionTTL = 24 * time.Hour
	privateTTL = 10 * time.Minute // of a session that ends with its connection
)

// conn is one client. Its goroutine reads; the hub writes.
type conn struct {
	gateway *Gateway
	room    *room
	ws      *websocket.Conn
	socket  *socket
	out     *hub.Conn
	binary  bool
	spec    canvas.Spec
	id      string

	messages *rate.Limiter
	pixels   *rate.Limiter
	offences *rate.Limiter
	reports  *rate.Limiter

	// The reader's.
	extended time.Time // read deadline last set
	turn     uint64    // of the socket, when answered was 0
	answered int       // answers since

	watcher *watcher // of others' places; guarded by the room's pointers

	draining atomic.Bool  // operations are refused from now on
	closedBy atomic.Int64 // close code that this side sent, 0 for none

	// mu orders the submission of operations against their refusal by the
	// writer.
	mu       sync.Mutex
	name     string
	own      bool // numbered's session came from the client
	started  bool // an operation came
	sequence sequence
	numbered lane // operations that the client has numbered
	private  lane // those that are numbered here, and never sent again
	bytes    int  // of operations in the writer's queue
	acked    *store.Appended
}

// lane is a session as this connection uses it.
type lane struct {
	session protocol.Session
	author  canvas.AuthorID
	// last is the highest number that was accepted on this connection and not
	// refused since.
	last    uint64
	waiting int // operations in the writer's queue
}

func newLane(s protocol.Session) lane { return lane{session: s, author: s.Author()} }

func newConn(g *Gateway, r *room, ws *websocket.Conn, s *socket, out *hub.Conn, binary bool, id string) *conn {
	c := &conn{
		gateway: g, room: r, ws: ws, socket: s, out: out, binary: binary, id: id,
		spec:     r.canvas.Replica.Spec(),
		messages: limiter(g.o.MessagesPerSecond, max(20, 2*g.o.MessagesPerSecond)),
		pixels:   limiter(g.o.PixelsPerSecond, max(2*canvas.MaxPixels, g.o.PixelsPerSecond)),
		offences: limiter(float64(min(g.o.MaxOffences, 1)), float64(g.o.MaxOffences)),
		reports:  limiter(reportsPerSecond, reportsBurst),
		numbered: newLane(protocol.NewSession()),
		private:  newLane(protocol.NewSession()),
	}
	return c
}

func (c *conn) session() protocol.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.numbered.session
}

// user returns the name, or "", and the tag.
func (c *conn) user() (string, canvas.AuthorID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.name, c.numbered.author
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read handles what the client sends until the connection ends. It returns the
// close code: the client's, that of a violation of the WebSocket protocol, or 0
// when there was none.
func (c *conn) read() int {
	c.ws.SetReadLimit(c.gateway.o.MaxMessage)
	c.ws.SetPongHandler(func(payload string) error {
		c.out.Received([]byte(payload))
		c.extend()
		return nil
	})
	c.ws.SetPingHandler(func(payload string) error {
		c.extend()
		c.out.Pong([]byte(payload))
		return nil
	})
	c.ws.SetCloseHandler(func(code int, _ string) error {
		if code == websocket.CloseNoStatusReceived {
			code = protocol.CloseNormal
		}
		c.out.Close(code, "") // the answer; nothing when we have sent ours
		return nil
	})
	c.extend()
	for {
		kind, reader, err := c.ws.NextReader()
		if err != nil {
			return c.closeCode(err)
		}
		buffer := buffers.Get().(*bytes.Buffer)
		buffer.Reset()
		if _, err := io.Copy(buffer, reader); err != nil {
			return c.closeCode(err)
		}
		c.extend()
		c.handle(kind == websocket.BinaryMessage, buffer.Bytes())
		if buffer.Cap() <= 16<<10 {
			buffers.Put(buffer)
		}
	}
}

func (c *conn) closeCode(err error) int {
	var closed *websocket.CloseError
	// The library passes on of a time-out only that it is one.
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() && c.closedBy.Load() == 0 {
		c.gateway.metrics.dead.Inc()
	}
	switch {
	case c.socket.violation != 0:
		return c.socket.violation
	case errors.Is(err, websocket.ErrReadLimit):
		// A length of 2^63 or more: the library sends no close frame for it.
		c.out.Close(protocol.CloseTooBig, "")
		return protocol.CloseTooBig
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return closed.Code
	}
	return 0
}

// extend sets the time by which the next sign of life must come.
func (c *conn) extend() {
	now := time.Now()
	if c.closedBy.Load() == 0 && now.Sub(c.extended) > c.gateway.o.PingInterval/8 {
		c.extended = now
		_ = c.socket.SetReadDeadline(now.Add(2*c.gateway.o.PingInterval + 5*time.Second))
		if c.closedBy.Load() != 0 { // meanwhile: its deadline holds
			c.endReading()
		}
	}
}

// close sends a close frame after all that waits and gives the client a moment
// to answer.
func (c *conn) close(code int, reason string) {
	if !c.closedBy.CompareAndSwap(0, int64(code)) {
		return
	}
	c.draining.Store(true)
	c.out.Close(code, reason)
	c.endReading()
}

// endReading gives the client a moment to answer a close frame.
func (c *conn) endReading() {
	_ = c.socket.SetReadDeadline(time.Now().Add(c.gateway.o.HandshakeTimeout))
}

// handle decodes a frame. In the JSON protocol text and binary frames are
// parsed alike.
func (c *conn) handle(binary bool, frame []byte) {
	if c.closedBy.Load() != 0 {
		return
	}
	now := time.Now()
	if c.binary {
		if !binary {
			c.refuse(&protocol.Refusal{Code: protocol.CodeInvalidFormat})
			return
		}
		protocol.DecodeBinary(frame, c.spec, func(m protocol.ClientMessage, err error) { c.message(now, m, err) })
		return
	}
	m, err := protocol.DecodeJSON(frame, c.spec)
	c.message(now, m, err)
}

// message handles one message, or what came instead of it.
func (c *conn) message(now time.Time, m protocol.ClientMessage, err error) {
	if c.closedBy.Load() != 0 {
		return
	}
	metrics := c.gateway.metrics.messages
	wait, inTime := take(c.messages, now, 1)
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) {
		metrics[messageBad].Inc()
		c.pace()
		c.refuse(refusal)
		return
	}
	if report, is := m.(protocol.Telemetry); is {
		metrics[messageTelemetry].Inc()
		c.report(now, report, inTime)
		return
	}
	if c.pointed(m, inTime) {
		metrics[messageCursor].Inc()
		return
	}
	draw, isDraw := m.(protocol.Draw)
	if !inTime && !isDraw {
		metrics[messageOther].Inc()
		c.pace()
		c.refuse(&protocol.Refusal{Code: protocol.CodeRateLimited, RetryAfter: milliseconds(wait)})
		return
	}
	switch m := m.(type) {
	case protocol.Draw:
		metrics[messageDraw].Inc()
		if inTime {
			wait, inTime = take(c.pixels, now, len(m.Pixels))
		}
		c.draw(now, &draw, inTime, wait)
	case protocol.SetName:
		metrics[messageName].Inc()
		c.mu.Lock()
		c.name = m.Name
		c.mu.Unlock()
		c.gateway.presence.changed()
	case protocol.Ping:
		metrics[messagePing].Inc()
		c.pace()
		c.out.Send(protocol.Pong{Time: now.UnixMilli()})
	case protocol.Hello:
		metrics[messageHello].Inc()
		c.hello(m)
	case nil: // ignored without a word
	default:
		metrics[messageOther].Inc()
		c.pace()
		c.refuse(&protocol.Refusal{Code: protocol.CodeUnsupported})
	}
}

// pointed handles what is not part of the log: where the client points and
// what it sees. Places beyond the rate are dropped without a word; the next one
// makes up for it.
func (c *conn) pointed(m protocol.ClientMessage, inTime bool) bool {
	switch m := m.(type) {
	case protocol.Cursor:
		c.gateway.cursors.metrics.received.Inc()
		if inTime {
			c.room.pointers.point(c, m)
		}
	case protocol.View:
		c.room.pointers.look(c, m)
	default:
		return false
	}
	return true
}

func (c *conn) hello(m protocol.Hello) {
	c.mu.Lock()
	late := c.own || c.started
	if !late {
		c.own, c.numbered = true, newLane(m.Session)
	}
	c.mu.Unlock()
	if late {
		c.refuse(&protocol.Refusal{Code: protocol.CodeInvalidHello})
		return
	}
	c.out.SetAware()
	c.room.claim(m.Session, c)
	c.gateway.presence.changed()
}

// draw submits an operation to the log, or refuses it.
func (c *conn) draw(now time.Time, d *protocol.Draw, inTime bool, wait time.Duration) {
	c.gateway.metrics.operations.Inc()
	var span *tracing.Span
	span, d.Trace = c.gateway.tracer.Draw(d.Trace, now, c.room.canvas.ID, d.Number, len(d.Pixels))
	refusal, excused := c.try(now, d, span, inTime, wait)
	if refusal == nil {
		return
	}
	span.Fail(refusal.Code.String(), nil)
	c.gateway.metrics.turnedAway[refusal.Code].Inc()
	c.pace()
	if excused {
		c.tell(refusal)
	} else {
		c.refuse(refusal)
	}
}

// try submits an operation if it is its turn. excused: it is refused only for
// being under way behind a refused one.
func (c *conn) try(now time.Time, d *protocol.Draw, span *tracing.Span, inTime bool, wait time.Duration) (refusal *protocol.Refusal, excused bool) {
	c.mu.Lock()
	defer c.mu.Unlock() // also in a panic: others ask for this lock
	c.started = true
	if refusal = c.sequence.admit(d.Number); refusal != nil {
		return refusal, c.sequence.excused()
	}
	return c.submit(now, d, span, inTime, wait), false
}

// submit is called with the lock held. The span ends with the outcome of the
// operation; or by the caller, when it is refused here.
func (c *conn) submit(now time.Time, d *protocol.Draw, span *tracing.Span, inTime bool, wait time.Duration) *protocol.Refusal {
	l, ttl := &c.numbered, sessionTTL
	if d.Number == 0 {
		l = &c.private
	}
	if l == &c.private || !c.own {
		ttl = privateTTL
	}
	refuse := func(code protocol.Code, retryAfter uint32) *protocol.Refusal {
		if d.Number != 0 && d.Number <= l.last {
			// A repetition of what was accepted on this connection: its answer
			// is on the way. Refusing it would hold up what comes after it, for
			// an operation that its client may never send again.
			c.gateway.metrics.repeated.Inc()
			span.End()
			return nil
		}
		return c.sequence.refuse(d.Number, code, retryAfter)
	}
	switch {
	case c.draining.Load():
		return refuse(protocol.CodeDraining, 1000)
	case !inTime:
		return refuse(protocol.CodeRateLimited, milliseconds(max(wait, leastPause)))
	case c.bytes > c.gateway.o.MaxQueuePerConnection:
		return refuse(c.busy(), 250)
	}
	name := d.Name
	if name == "" {
		name = c.name
	}
	s := &replica.Submission{
		AppendOp: store.AppendOp{
			Session: l.session,
			TTL:     ttl,
			Op: canvas.Op{
				Kind: canvas.Paint, Pixels: d.Pixels, Author: l.author, Number: d.Number,
				Name: name, Received: now.UnixMicro(), Trace: d.Trace,
			},
		},
		Owner: c,
		Span:  span,
	}
	if err := c.room.canvas.Writer.Submit(s, func() uint64 { return l.last + 1 }); err != nil {
		if errors.Is(err, replica.ErrClosed) {
			return refuse(protocol.CodeDraining, 1000)
		}
		return refuse(c.busy(), 250)
	}
	l.last = max(l.last, s.Op.Number)
	l.waiting++
	c.bytes += len(s.Encoded)
	c.gateway.metrics.pixels.Add(float64(len(d.Pixels)))
	return nil
}

// lane returns the lane that a submission came on. Called with the lock held.
func (c *conn) lane(s *replica.Submission) *lane {
	if s.Session == c.private.session {
		return &c.private
	}
	return &c.numbered
}

// busy is the code for a full queue: the reason is Redis, or the load.
func (c *conn) busy() protocol.Code {
	if !c.room.canvas.Replica.Reachable() {
		return protocol.CodeDegraded
	}
	return protocol.CodeBusy
}

// Appended implements [replica.Owner]: acknowledges, once for each batch.
func (c *conn) Appended(s *replica.Submission, state store.SessionState, at *store.Appended) {
	c.mu.Lock()
	l := c.lane(s)
	// One acknowledgement says it for all operations of the session in this
	// append. What has no number needs none.
	first := c.acked != at && l == &c.numbered
	if first {
		c.acked = at
	}
	// The session's last operation in the log may be beyond what this
	// connection has seen: its client is sending again. An acknowledgement up
	// to there would also cover an operation in between that was refused for
	// good, if that refusal was lost with the connection before.
	ack := protocol.Ack{Number: min(state.Number, l.last), Seq: state.Seq}
	c.mu.Unlock()
	c.gateway.metrics.acked.Inc()
	if first {
		c.out.Send(ack)
	}
	s.Span.Acknowledged(state.Seq, at.Count == 0)
	// Not before: a drain closes the connection when nothing waits any more.
	c.mu.Lock()
	c.settle(s)
	c.mu.Unlock()
}

// Refused implements [replica.Owner].
func (c *conn) Refused(s *replica.Submission, err error) {
	code, retry := protocol.CodeBusy, uint32(1000)
	switch {
	case errors.Is(err, store.ErrLogFull):
		code = protocol.CodeLogFull
	case errors.Is(err, replica.ErrClosed):
		code = protocol.CodeDraining
	}
	c.mu.Lock()
	c.settle(s)
	number := s.Op.Number
	if l := c.lane(s); l == &c.numbered {
		l.last = min(l.last, number-1)
	} else {
		number = 0 // it was given here: the client does not know it
	}
	refusal := c.sequence.refuse(number, code, retry)
	c.mu.Unlock()
	c.gateway.metrics.turnedAway[code].Inc()
	s.Span.Fail(code.String(), err)
	c.refuse(refusal)
}

// settle accounts for an operation that no longer waits.
func (c *conn) settle(s *replica.Submission) {
	c.lane(s).waiting--
	c.bytes -= len(s.Encoded)
}

// pending returns how many operations of the connection wait for the log, and
// how many of them nobody can send again.
func (c *conn) pending() (all, unnumbered int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.numbered.waiting + c.private.waiting, c.private.waiting
}
