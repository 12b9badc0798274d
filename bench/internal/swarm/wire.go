package swarm

import (
	"bytes"
	"strconv"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Wire is how a kind of server is spoken to. Its methods but write, which is
// for the goroutine that sends, are for the one that reads.
type Wire interface {
	subprotocol() string
	opcode() byte
	// greeting returns what a new connection says first.
	greeting() [][]byte
	// write appends the message that paints a pixel as the op-th operation of
	// a connection.
	write(b []byte, op uint64, p canvas.Pixel) []byte
	// read handles a message of the server.
	read(c *Conn, payload []byte) error
}

// JSON is the playground's default codec.
type JSON struct{}

func (JSON) subprotocol() string { return "" }
func (JSON) opcode() byte        { return opText }

func (JSON) greeting() [][]byte {
	session := protocol.NewSession()
	return [][]byte{[]byte(`{"type":"hello","session":"` + session.Hex() + `"}`)}
}

func (JSON) write(b []byte, op uint64, p canvas.Pixel) []byte {
	b = append(b, `{"type":"pixel_update","x":`...)
	b = strconv.AppendUint(b, uint64(p.X), 10)
	b = append(b, `,"y":`...)
	b = strconv.AppendUint(b, uint64(p.Y), 10)
	b = append(b, `,"color":"`...)
	b = p.Color.Append(b)
	b = append(b, `","op":`...)
	return append(strconv.AppendUint(b, op, 10), '}')
}

func (JSON) read(c *Conn, payload []byte) error {
	if m, ok := protocol.DecodePixelUpdated(payload); ok {
		c.update(m.Prev, m.Seq, m.Pixel)
		return nil
	}
	if m, ok := protocol.DecodeAck(payload); ok {
		c.ack(m.Number, m.Seq)
		return nil
	}
	m, err := protocol.DecodeServerJSON(payload)
	if err != nil {
		return err
	}
	c.message(m)
	return nil
}

// Binary is the playground's compact codec.
type Binary struct{}

func (Binary) subprotocol() string { return protocol.Subprotocol }
func (Binary) opcode() byte        { return opBinary }

func (Binary) greeting() [][]byte {
	hello, _ := protocol.AppendClientBinary(nil, protocol.Hello{Session: protocol.NewSession()}) // a hello always has a form
	return [][]byte{hello}
}

func (Binary) write(b []byte, op uint64, p canvas.Pixel) []byte {
	b, _ = protocol.AppendClientBinary(b, protocol.Draw{Number: op, Pixels: []canvas.Pixel{p}}) // one pixel always has a form
	return b
}

func (Binary) read(c *Conn, payload []byte) error {
	s := c.s
	s.current = c
	return protocol.VisitServerBinary(payload, s.single, s.other)
}

// message takes any other message of a gateway.
func (c *Conn) message(m protocol.ServerMessage) {
	switch m := m.(type) {
	case protocol.Connected:
		c.last, c.prev = m.Position.Seq, m.Position.Seq
		if c.s.wire.opcode() == opText {
			c.join(m.Position.Seq)
		} // in binary a snapshot follows
	case protocol.PixelUpdated:
		c.update(m.Prev, m.Seq, m.Pixel)
	case protocol.Updates:
		for i := range m.Ops {
			seq := m.First + uint64(i)
			for _, p := range m.Ops[i].Pixels {
				c.update(seq-1, seq, p)
			}
		}
	case protocol.Range:
		if c.advance(m.Prev, m.Seq) {
			if m.Reset {
				c.reset(m.ResetTo)
			}
			for _, cell := range m.Cells {
				c.paint(cell.Pixel)
				if !c.silent && c.s.schedule != nil && c.s.schedule.measured(int(cell.Color)) {
					c.s.record.InRanges++
				}
			}
		}
	case protocol.CanvasReset:
		if c.advance(m.Prev, m.Seq) {
			c.reset(m.Color)
		}
	case protocol.Advanced:
		c.advance(m.Prev, m.Seq)
	case protocol.SnapshotBegin:
		c.snapshot = newSnapshot(m, c.picture != nil && c.ready)
	case protocol.SnapshotBand:
		c.band(&m)
	case protocol.Ack:
		c.ack(m.Number, m.Seq)
	case protocol.Error:
		c.refused(m.Code.String())
	case protocol.Resync:
		c.resync(m.Position.Seq)
	case protocol.Status, protocol.Presence, protocol.Pong:
	default:
		c.s.record.Unexpected++
	}
}

// snapshot is a picture on its way.
type snapshot struct {
	at   uint64
	left int
	grid *canvas.Grid // nil: nobody wants it
}

func newSnapshot(m protocol.SnapshotBegin, wanted bool) *snapshot {
	s := &snapshot{at: m.Position.Seq, left: m.Bands}
	if wanted {
		s.grid = canvas.NewGrid(m.Spec)
	}
	return s
}

// band takes a part of a picture. The first picture is where the connection
// begins; a later one stands for all that the connection lacked.
func (c *Conn) band(m *protocol.SnapshotBand) {
	s := c.snapshot
	if s == nil {
		c.s.record.Unexpected++
		return
	}
	if s.grid != nil && protocol.LoadBand(s.grid, m) != nil {
		c.s.record.Unexpected++
		c.spoiled = true
	}
	if s.left--; s.left > 0 {
		return
	}
	c.snapshot = nil
	if c.ready {
		c.cover(c.last, s.at)
	}
	c.join(s.at)
	c.prev = s.at
	if s.grid == nil {
		return
	}
	for i := range c.picture {
		c.picture[i] = s.grid.At(i%c.s.width, i/c.s.width) + 1
	}
}

// Centrifuge is the JSON protocol of a server on the Centrifuge library, which
// publishes the pixels on one channel. Its pushes carry no position, so their
// number stands for one: what is lost shows as what never comes.
type Centrifuge struct{}

// Channel is where the reference server publishes.
const Channel = "pixels"

func (Centrifuge) subprotocol() string { return "" }
func (Centrifuge) opcode() byte        { return opText }

func (Centrifuge) greeting() [][]byte {
	return [][]byte{[]byte(`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{"channel":"` + Channel + `"}}`)}
}

// firstPublish is the id of a connection's first publish command.
const firstPublish = 3

func (Centrifuge) write(b []byte, op uint64, p canvas.Pixel) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, op+firstPublish-1, 10)
	b = append(b, `,"publish":{"channel":"`+Channel+`","data":{"x":`...)
	b = strconv.AppendUint(b, uint64(p.X), 10)
	b = append(b, `,"y":`...)
	b = strconv.AppendUint(b, uint64(p.Y), 10)
	b = append(b, `,"color":"`...)
	return append(p.Color.Append(b), `"}}}`...)
}

// Parts of the server's messages; what does not look like them is counted.
var (
	pushPrefix = []byte(`{"push":{"channel":"` + Channel + `","pub":{"data":{"x":`)
	replyID    = []byte(`{"id":`)
)

func (Centrifuge) read(c *Conn, payload []byte) error {
	for len(payload) > 0 {
		line := payload
		if i := bytes.IndexByte(payload, '\n'); i >= 0 {
			line, payload = payload[:i], payload[i+1:]
		} else {
			payload = nil
		}
		c.centrifugeLine(line)
	}
	return nil
}

func (c *Conn) centrifugeLine(line []byte) {
	if rest, ok := bytes.CutPrefix(line, pushPrefix); ok {
		if p, ok := centrifugePixel(rest); ok {
			c.update(c.last, c.last+1, p)
			return
		}
	}
	if string(line) == "{}" { // a ping
		c.reply(opText, line)
		return
	}
	if rest, ok := bytes.CutPrefix(line, replyID); ok {
		id, n := decimal(rest)
		switch rest = rest[n:]; {
		case bytes.HasPrefix(rest, []byte(`,"error"`)):
			c.refused(string(rest[1:]))
		case id == 1: // connect
		case id == 2:
			c.join(0)
		case bytes.HasPrefix(rest, []byte(`,"publish"`)):
			c.ack(id-firstPublish+1, 0)
		default:
			c.s.record.Unexpected++
		}
		return
	}
	c.s.record.Unexpected++
}

// centrifugePixel reads a pixel behind its "x".
func centrifugePixel(b []byte) (p canvas.Pixel, ok bool) {
	x, n := decimal(b)
	b, ok = bytes.CutPrefix(b[n:], []byte(`,"y":`))
	if !ok {
		return p, false
	}
	y, n := decimal(b)
	b, ok = bytes.CutPrefix(b[n:], []byte(`,"color":"`))
	if !ok || len(b) < 7 {
		return p, false
	}
	p = canvas.Pixel{X: uint16(x), Y: uint16(y)}
	for _, d := range b[1:7] {
		switch {
		case d-'0' <= 9:
			d -= '0'
		case d-'A' <= 5:
			d -= 'A' - 10
		default:
			return p, false
		}
		p.Color = p.Color<<4 | canvas.Color(d)
	}
	return p, b[0] == '#'
}

// decimal reads a number off the front and returns how many digits it has.
func decimal(b []byte) (v uint64, n int) {
	for n < len(b) && b[n]-'0' <= 9 {
		v = 10*v + uint64(b[n]-'0')
		n++
	}
	return v, n
}
