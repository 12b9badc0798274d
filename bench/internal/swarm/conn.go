package swarm

import (
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Conn is one connection. Except where it says otherwise it belongs to the
// goroutine that reads.
type Conn struct {
	s      *Swarm
	index  int
	sender int // its number in the schedule; -1: sends nothing
	silent bool
	fd     int
	key    [4]byte

	rest     []byte // the beginning of a frame whose end has not come
	fragment []byte
	err      error // why it is not read any more

	ready bool
	last  uint64 // position of what it has seen
	prev  uint64 // where the last message began
	acked uint64 // operations
	// picture has the colour of each cell plus 1, 0 for what was not painted
	// since the connection joined; nil: none is kept.
	picture  []canvas.Color
	spoiled  bool // the picture cannot be known any more
	snapshot *snapshot

	// Of the goroutine that sends.
	op      uint64
	waiting []byte // what the socket did not take
}

// join notes that everything behind a position will come.
func (c *Conn) join(at uint64) {
	c.ready, c.last = true, at
}

// update takes a pixel of the operation or range (prev, seq].
func (c *Conn) update(prev, seq uint64, p canvas.Pixel) {
	if !c.advance(prev, seq) {
		return
	}
	c.paint(p)
	if c.silent {
		return
	}
	s, k := c.s, int(p.Color)
	if seq-prev == 1 {
		if s.schedule.measured(k) {
			s.record.Single++
			note(s.record.Latency, s.arrived-s.schedule.due(k))
		}
		return
	}
	if s.schedule.measured(k) {
		s.record.InRanges++
	}
}

// advance moves the position, and tells whether the message is to be applied.
func (c *Conn) advance(prev, seq uint64) bool {
	s := c.s
	switch {
	case prev > c.last:
		s.record.Gaps++
		c.spoiled = true
	case seq == c.last && prev == c.prev && seq-prev > 1:
		return true // a further pixel of the same range
	case seq <= c.last:
		s.record.Repeats++
		return false
	}
	if seq-prev > 1 {
		c.cover(max(prev, c.last), seq)
	}
	c.prev, c.last = prev, seq
	return true
}

// cover notes that (prev, seq] came as one. Each of the writes that this
// stands for counts with the time that it took until now, also those that
// were painted over and never came by themselves.
func (c *Conn) cover(prev, seq uint64) {
	s := c.s
	if c.silent || s.schedule == nil {
		return
	}
	for at := prev + 1; at <= seq; at++ {
		if k := s.schedule.atPosition(at); s.schedule.measured(k) {
			s.record.Covered++
			note(s.record.Latency, s.arrived-s.schedule.due(k))
		}
	}
}

func (c *Conn) paint(p canvas.Pixel) {
	if c.picture == nil {
		return
	}
	if i := int(p.Y)*c.s.width + int(p.X); int(p.X) < c.s.width && i < len(c.picture) {
		c.picture[i] = p.Color + 1
	}
}

// reset paints everything.
func (c *Conn) reset(color canvas.Color) {
	for i := range c.picture {
		c.picture[i] = color + 1
	}
}

// ack takes an acknowledgement of all operations up to op, at or before seq.
func (c *Conn) ack(op, seq uint64) {
	s := c.s
	s.record.Head = max(s.record.Head, seq)
	for c.acked < op {
		c.acked++
		s.record.Acks++
		if k := s.schedule.write(c.sender, c.acked); s.schedule.measured(k) {
			note(s.record.Acked, s.arrived-s.schedule.due(k))
		}
	}
}

func (c *Conn) refused(code string) { c.s.record.Refused[code]++ }

// resync notes that the client was told to load the picture, at a position.
func (c *Conn) resync(at uint64) {
	c.s.record.Resyncs++
	c.spoiled = true
	c.cover(c.last, at)
	c.prev, c.last = at, at
}

// reply sends something at once. What the socket does not take is lost, which
// is right for a pong and cannot happen to a greeting.
func (c *Conn) reply(opcode byte, payload []byte) {
	_, _ = write(c.fd, appendFrame(nil, opcode, c.key, payload))
}

// read takes what has arrived.
func (c *Conn) read(buffer []byte) {
	n, err := read(c.fd, buffer)
	if n <= 0 {
		if err != nil {
			c.end(err)
		}
		return
	}
	s := c.s
	s.arrived = time.Since(s.begin)
	s.record.Reads++
	if !c.silent {
		s.record.Bytes += uint64(n)
	}
	c.take(buffer[:n])
}

// take handles the frames in b, together with what was left before.
func (c *Conn) take(b []byte) {
	joined := len(c.rest) > 0
	if joined {
		c.rest = append(c.rest, b...)
		b = c.rest
	}
	rest, err := messages(b, &c.fragment, c.handle, c.pong)
	if err != nil {
		c.end(err)
		return
	}
	switch {
	case len(rest) == 0:
		c.rest = nil // most are empty most of the time
	case joined:
		c.rest = c.rest[:copy(c.rest, rest)]
	default:
		c.rest = append([]byte(nil), rest...)
	}
}

func (c *Conn) handle(payload []byte) error {
	c.s.record.Messages++
	return c.s.wire.read(c, payload)
}

func (c *Conn) pong(payload []byte) { c.reply(opPong, payload) }

// end stops to read.
func (c *Conn) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.s.record.Closed[err.Error()]++
	c.s.forget(c)
}
