package hub

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// pipe is a socket with a buffer of limited size, whose other end the test
// reads when it likes.
type pipe struct {
	mu     sync.Mutex
	room   int
	buf    []byte
	writes int
	closed chan struct{}
	once   sync.Once
	moved  chan struct{} // closed and renewed when room was made
}

func newPipe(room int) *pipe {
	return &pipe{room: room, closed: make(chan struct{}), moved: make(chan struct{})}
}

func (p *pipe) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closed:
		return 0, fmt.Errorf("closed")
	default:
	}
	n := min(p.room, len(b))
	p.room -= n
	p.buf = append(p.buf, b[:n]...)
	p.writes++
	return n, nil
}

func (p *pipe) WriteAll(b []byte, timeout time.Duration) (int, error) {
	limit := time.After(timeout)
	total := 0
	for {
		p.mu.Lock()
		moved := p.moved
		p.mu.Unlock()
		n, err := p.TryWrite(b[total:])
		total += n
		if err != nil || total == len(b) {
			return total, err
		}
		select {
		case <-limit:
			return total, os.ErrDeadlineExceeded
		case <-p.closed:
			return total, fmt.Errorf("closed")
		case <-moved:
		}
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// read takes everything and makes as much room again.
func (p *pipe) read() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.buf
	p.buf = nil
	p.room += len(b)
	close(p.moved)
	p.moved = make(chan struct{})
	return b
}

// viewer is a client: it applies what it reads by the protocol's rules and
// notes every breach of them.
type viewer struct {
	pipe   *pipe
	conn   *Conn
	codec  Codec
	reload func() (*canvas.Frozen, canvas.Position) // by REST
	truth  func(canvas.Position) (hash uint64, known bool)

	rest     []byte
	at       canvas.Position
	ahead    canvas.Position // what the picture held when it came back
	whole    uint64          // JSON: the position up to which it certainly has everything
	grid     *canvas.Grid
	loaded   bool
	pending  *protocol.SnapshotBegin
	bands    int
	next     *canvas.Grid
	breaches []string
	closing  int
	ranges   int
	pictures int
	states   []protocol.State
	pings    int
	acks     []protocol.Ack
	frames   int
}

func (v *viewer) breach(format string, args ...any) {
	v.breaches = append(v.breaches, fmt.Sprintf(format, args...))
}

// look reads what has come.
func (v *viewer) look() {
	v.rest = append(v.rest, v.pipe.read()...)
	for len(v.rest) >= 2 {
		header, size := 2, int(v.rest[1])
		switch {
		case size == 126 && len(v.rest) >= 4:
			header, size = 4, int(binary.BigEndian.Uint16(v.rest[2:]))
		case size == 127 && len(v.rest) >= 10:
			header, size = 10, int(binary.BigEndian.Uint64(v.rest[2:]))
		case size >= 126:
			return
		}
		if len(v.rest) < header+size {
			return
		}
		v.frame(v.rest[0], v.rest[header:header+size])
		v.rest = v.rest[header+size:]
	}
}

func (v *viewer) frame(opcode byte, payload []byte) {
	v.frames++
	if v.closing != 0 {
		v.breach("a frame after the close frame")
	}
	switch opcode {
	case frameClose:
		v.closing = int(binary.BigEndian.Uint16(payload))
	case framePing:
		v.pings++
		v.conn.Received(append([]byte(nil), payload...))
	case framePong:
	case frameText:
		m, err := protocol.DecodeServerJSON(payload)
		if err != nil || v.codec == Binary {
			v.breach("text %q: %v", payload, err)
			return
		}
		v.message(m)
	case frameBinary:
		if v.codec != Binary {
			v.breach("a binary frame")
		}
		if err := protocol.DecodeServerBinary(payload, func(m protocol.ServerMessage) error { v.message(m); return nil }); err != nil {
			v.breach("binary frame: %v", err)
		}
	default:
		v.breach("opcode %#x", opcode)
	}
}

// compare checks the picture against the canvas at the same position.
func (v *viewer) compare() {
	if v.at.Seq < v.ahead.Seq && v.at.Epoch == v.ahead.Epoch {
		return // it asked for some again: the picture holds later ones
	}
	if hash, known := v.truth(v.at); known && hash != v.grid.Hash() {
		v.breach("at %d the picture is not that of this position", v.at.Seq)
	}
}

// covers tells whether (prev, seq] is to be applied.
func (v *viewer) covers(prev, seq uint64) bool {
	if v.codec == Original {
		v.at.Seq = max(v.at.Seq, seq) // it does not look at positions
		return true
	}
	if !v.loaded {
		return false
	}
	if prev > v.at.Seq {
		v.breach("gap: (%d, %d] at %d", prev, seq, v.at.Seq)
	}
	if v.codec == JSON {
		if seq < v.at.Seq {
			return false // known by the picture that was loaded
		}
		if seq > v.at.Seq && prev == v.at.Seq {
			v.compare() // all of the message before has come
		}
		v.at.Seq, v.whole = seq, max(v.whole, prev)
		return true
	}
	if seq <= v.at.Seq {
		v.breach("repeated: (%d, %d] at %d", prev, seq, v.at.Seq)
		return false
	}
	v.at.Seq = seq
	return true
}

func (v *viewer) message(m protocol.ServerMessage) {
	switch m := m.(type) {
	case protocol.Connected:
		v.at, v.whole = m.Position, m.Position.Seq
		switch {
		case v.grid == nil && v.codec == JSON:
			// A picture of another history is of no use: a resync is on its way.
			f, at := v.reload()
			v.grid, v.at, v.whole, v.loaded = f.Thaw(), at, at.Seq, at.Epoch == m.Position.Epoch
		case v.grid == nil && v.codec == Original:
			f, _ := v.reload()
			v.grid, v.loaded = f.Thaw(), true
		}
	case protocol.Updates:
		for i := range m.Ops {
			if seq := m.First + uint64(i); v.covers(seq-1, seq) {
				v.grid.Apply(&m.Ops[i])
			}
		}
		v.compare()
	case protocol.Range:
		v.ranges++
		if v.covers(m.Prev, m.Seq) {
			if m.Reset {
				v.grid.Apply(&canvas.Op{Kind: canvas.Reset, Color: m.ResetTo})
			}
			for _, c := range m.Cells {
				v.grid.Set(int(c.X), int(c.Y), c.Color)
			}
			v.compare()
		}
	case protocol.PixelUpdated:
		if v.covers(m.Prev, m.Seq) {
			v.grid.Set(int(m.Pixel.X), int(m.Pixel.Y), m.Pixel.Color)
		}
	case protocol.CanvasReset:
		if v.covers(m.Prev, m.Seq) {
			v.grid.Apply(&canvas.Op{Kind: canvas.Reset, Color: m.Color})
		}
	case protocol.Advanced:
		v.covers(m.Prev, m.Seq)
	case protocol.SnapshotBegin:
		v.pending, v.bands, v.next = &m, 0, canvas.NewGrid(m.Spec)
	case protocol.SnapshotBand:
		if err := protocol.LoadBand(v.next, &m); err != nil {
			v.breach("band: %v", err)
		}
		if v.bands++; v.bands == v.pending.Bands {
			if v.next.Hash() != v.pending.Hash {
				v.breach("a snapshot with a wrong hash")
			}
			v.grid, v.at, v.loaded = v.next, v.pending.Position, true
			v.pictures++
		}
	case protocol.Resync:
		v.pictures++
		f, at := v.reload()
		if at.Epoch == m.Position.Epoch && at.Seq < m.Position.Seq {
			v.breach("the picture at %v is older than the resync to %v", at, m.Position)
		}
		v.grid, v.at, v.whole, v.loaded = f.Thaw(), at, at.Seq, at.Epoch == m.Position.Epoch
	case protocol.Status:
		v.states = append(v.states, m.State)
	case protocol.Ack:
		v.acks = append(v.acks, m)
	}
}
