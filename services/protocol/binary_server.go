package protocol

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/cloud-pixel/playground/services/canvas"
)

// This file has the messages of gateways in the binary codec, both directions.
//
//	connected       version u8, epoch 16 bytes, seq uvarint, width u16,
//	                height u16, background colour, author u32,
//	                canvas string, pod string, client id string
//	resumed         from u8; only directly behind connected, in its frame
//	updates         first uvarint, time uvarint, operations to the end:
//	                author u32, number uvarint, body
//	range           prev uvarint, seq uvarint, time uvarint,
//	                flags u8 (bit 0: reset), [reset colour], groups to the end:
//	                colour, count uvarint, count × (dx zigzag, dy zigzag)
//	ack             number uvarint, seq uvarint
//	error           code u8, number uvarint, retry-after ms uvarint, text
//	status          state u8
//	snapshot begin  epoch 16 bytes, seq uvarint, width u16, height u16,
//	                background colour, hash u64, bands uvarint
//	snapshot band   index uvarint, x, y, w, h uvarint each, DEFLATE bytes
//	presence        active uvarint, time uvarint, count uvarint,
//	                count × (author u32, name string)
//	cursors         see cursors.go
//	pong            time uvarint
//
// A string is its length in bytes (uvarint) and UTF-8. Times are ms since the
// Unix epoch.

// AppendEntry appends an entry as one or more messages of updates.
func AppendEntry(b []byte, e *canvas.Entry) []byte {
	for i := 0; i < len(e.Ops); {
		b = appendMessage(b, binUpdates, func(b []byte) []byte {
			start := len(b)
			b = binary.AppendUvarint(b, e.First+uint64(i))
			b = binary.AppendUvarint(b, uint64(e.Time))
			for ; i < len(e.Ops) && len(b)-start < MaxUpdatesBody; i++ {
				o := &e.Ops[i]
				b = binary.LittleEndian.AppendUint32(b, uint32(o.Author))
				b = binary.AppendUvarint(b, o.Number)
				b = AppendBody(b, o)
			}
			return b
		})
	}
	return b
}

const rangeHasReset = 0x01

// AppendRange appends a conflated range. Cells are grouped by colour, so those
// of one colour should stand together.
func AppendRange(b []byte, r *Range) []byte {
	return appendMessage(b, binRange, func(b []byte) []byte {
		b = binary.AppendUvarint(b, r.Prev)
		b = binary.AppendUvarint(b, r.Seq)
		b = binary.AppendUvarint(b, uint64(r.Time))
		if r.Reset {
			b = appendColor(append(b, rangeHasReset), r.ResetTo)
		} else {
			b = append(b, 0)
		}
		for i := 0; i < len(r.Cells); {
			end := i
			for end < len(r.Cells) && r.Cells[end].Color == r.Cells[i].Color {
				end++
			}
			b = appendColor(b, r.Cells[i].Color)
			b = binary.AppendUvarint(b, uint64(end-i))
			var last canvas.Pixel
			for ; i < end; i++ {
				b = appendPoint(b, last, r.Cells[i].Pixel)
				last = r.Cells[i].Pixel
			}
		}
		return b
	})
}

// AppendServerBinary appends a message of a gateway to a frame. For operations
// and ranges see [AppendEntry] and [AppendRange].
func AppendServerBinary(b []byte, m ServerMessage) []byte {
	switch m := m.(type) {
	case Connected:
		b = appendMessage(b, binConnected, func(b []byte) []byte {
			b = append(b, BinaryVersion)
			b = append(b, m.Position.Epoch[:]...)
			b = binary.AppendUvarint(b, m.Position.Seq)
			b = appendSpec(b, m.Spec)
			b = binary.LittleEndian.AppendUint32(b, m.Author)
			b = appendString(b, m.Canvas)
			b = appendString(b, m.Pod)
			return appendString(b, m.ClientID)
		})
		if m.Resumed != 0 {
			// Not in the body: bodies do not grow, and older readers skip types
			// that they do not know.
			b = append(b, binResumed, 1, byte(m.Resumed))
		}
		return b
	case Ack:
		return appendMessage(b, binAck, func(b []byte) []byte {
			return binary.AppendUvarint(binary.AppendUvarint(b, m.Number), m.Seq)
		})
	case Error:
		return appendMessage(b, binError, func(b []byte) []byte {
			b = binary.AppendUvarint(append(b, byte(m.Code)), m.Number)
			b = binary.AppendUvarint(b, uint64(m.RetryAfter))
			return append(b, m.Message...)
		})
	case Status:
		return append(b, binStatus, 1, byte(m.State))
	case SnapshotBegin:
		return appendMessage(b, binSnapshotBegin, func(b []byte) []byte {
			b = append(b, m.Position.Epoch[:]...)
			b = binary.AppendUvarint(b, m.Position.Seq)
			b = appendSpec(b, m.Spec)
			b = binary.LittleEndian.AppendUint64(b, m.Hash)
			return binary.AppendUvarint(b, uint64(m.Bands))
		})
	case SnapshotBand:
		return appendMessage(b, binSnapshotBand, func(b []byte) []byte {
			for _, n := range []int{m.Index, m.X, m.Y, m.W, m.H} {
				b = binary.AppendUvarint(b, uint64(n))
			}
			return append(b, m.Data...)
		})
	case Presence:
		if !m.IsList {
			return appendMessage(b, binCount, func(b []byte) []byte {
				return binary.AppendUvarint(binary.AppendUvarint(b, uint64(m.Active)), uint64(m.Time))
			})
		}
		return appendMessage(b, binPresence, func(b []byte) []byte {
			b = binary.AppendUvarint(b, uint64(m.Active))
			b = binary.AppendUvarint(b, uint64(m.Time))
			b = binary.AppendUvarint(b, uint64(len(m.Users)))
			for _, u := range m.Users {
				b = appendString(binary.LittleEndian.AppendUint32(b, u.Author), u.Name)
			}
			return b
		})
	case Cursors:
		return appendCursors(b, m)
	case Pong:
		return appendMessage(b, binPong, func(b []byte) []byte { return binary.AppendUvarint(b, uint64(m.Time)) })
	}
	panic(fmt.Sprintf("protocol: %T is no message of the binary codec", m))
}

func appendSpec(b []byte, s canvas.Spec) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(s.Width))
	b = binary.LittleEndian.AppendUint16(b, uint16(s.Height))
	return appendColor(b, s.Background)
}

// DecodeServerBinary reads the messages of a gateway's frame and calls handle
// for each until it returns an error. Unknown types are skipped.
func DecodeServerBinary(frame []byte, handle func(ServerMessage) error) error {
	r := reader{b: frame}
	for len(r.b) > 0 {
		kind, body := r.message()
		if r.err != nil {
			return r.err
		}
		m, err := decodeServerBinary(kind, body)
		if err != nil {
			return fmt.Errorf("protocol: message %#x: %w", kind, err)
		}
		if m == nil {
			continue
		}
		if c, ok := m.(Connected); ok {
			if c.Resumed, err = r.resumed(); err != nil {
				return fmt.Errorf("protocol: message %#x: %w", binResumed, err)
			}
			m = c
		}
		if err := handle(m); err != nil {
			return err
		}
	}
	return nil
}

func decodeServerBinary(kind byte, r reader) (ServerMessage, error) {
	var m ServerMessage
	switch kind {
	case binConnected:
		version := r.u8()
		if version != BinaryVersion {
			return nil, fmt.Errorf("version %d is not supported", version)
		}
		c := Connected{Position: r.position(), Spec: r.spec(), Author: r.u32()}
		c.Canvas, c.Pod, c.ClientID = r.string(), r.string(), r.string()
		m = c
	case binUpdates:
		if u, ok := singles(r.b); ok {
			return u, nil
		}
		u := Updates{First: r.uvarint(), Time: int64(r.uvarint())}
		for len(r.b) > 0 {
			o := canvas.Op{Author: canvas.AuthorID(r.u32()), Number: r.uvarint()}
			rest, err := ReadBody(r.b, &o)
			if err != nil {
				return nil, err
			}
			r.b = rest
			u.Ops = append(u.Ops, o)
		}
		m = u
	case binRange:
		g, err := r.rangeBody()
		if err != nil {
			return nil, err
		}
		m = g
	case binAck:
		m = Ack{Number: r.uvarint(), Seq: r.uvarint()}
	case binError:
		e := Error{Code: Code(r.u8()), Number: r.uvarint(), RetryAfter: uint32(min(r.uvarint(), math.MaxUint32))}
		e.Message = string(r.b)
		r.b = nil
		m = e
	case binStatus:
		m = Status{State: State(r.u8())}
	case binSnapshotBegin:
		s := SnapshotBegin{Position: r.position(), Spec: r.spec(), Hash: r.u64(), Bands: int(r.uvarint())}
		if r.err == nil {
			// Readers make a grid of this size at once.
			if err := s.Spec.Validate(); err != nil {
				return nil, err
			}
			if s.Bands < 1 || s.Bands > s.Spec.Cells() {
				return nil, fmt.Errorf("%d bands for %d cells", s.Bands, s.Spec.Cells())
			}
		}
		m = s
	case binSnapshotBand:
		s := SnapshotBand{Index: int(r.uvarint()), X: int(r.uvarint()), Y: int(r.uvarint()), W: int(r.uvarint()), H: int(r.uvarint())}
		s.Data = r.b
		r.b = nil
		m = s
	case binPresence:
		p := Presence{Active: int(r.uvarint()), Time: int64(r.uvarint()), IsList: true}
		for n := r.uvarint(); n > 0 && r.err == nil; n-- {
			p.Users = append(p.Users, User{Author: r.u32(), Name: r.string()})
		}
		m = p
	case binCount:
		m = Presence{Active: int(r.uvarint()), Time: int64(r.uvarint())}
	case binCursors:
		m = r.cursors()
	case binPong:
		m = Pong{Time: int64(r.uvarint())}
	default:
		return nil, nil
	}
	if r.err != nil {
		return nil, r.err
	}
	if len(r.b) != 0 {
		return nil, fmt.Errorf("%d bytes too many", len(r.b))
	}
	return m, nil
}

// resumed takes the message of that type which may stand behind connected. What
// it does not know is as good as not told.
func (r *reader) resumed() (Source, error) {
	if len(r.b) == 0 || r.b[0] != binResumed {
		return 0, nil
	}
	_, body := r.message()
	s := Source(body.u8())
	switch {
	case r.err != nil:
		return 0, r.err
	case body.err != nil:
		return 0, body.err
	case len(body.b) != 0:
		return 0, fmt.Errorf("%d bytes too many", len(body.b))
	case s != FromMemory && s != FromLog:
		return 0, nil
	}
	return s, nil
}

func (r *reader) position() canvas.Position {
	var p canvas.Position
	copy(p.Epoch[:], r.bytes(16))
	p.Seq = r.uvarint()
	return p
}

func (r *reader) spec() canvas.Spec {
	return canvas.Spec{Width: int(r.u16()), Height: int(r.u16()), Background: r.color()}
}

func (r *reader) rangeBody() (Range, error) {
	g := Range{Prev: r.uvarint(), Seq: r.uvarint(), Time: int64(r.uvarint())}
	switch flags := r.u8(); flags {
	case 0:
	case rangeHasReset:
		g.Reset, g.ResetTo = true, r.color()
	default:
		return g, fmt.Errorf("unknown flags %#x of a range", flags)
	}
	for len(r.b) > 0 {
		color, n := r.color(), r.uvarint()
		if r.err != nil || n > uint64(len(r.b))/2 {
			return g, errTruncated
		}
		g.Cells = slices.Grow(g.Cells, int(n))
		var x, y int64
		for range n {
			x, y = x+r.zigzag(), y+r.zigzag()
			if x < 0 || x > 0xFFFF || y < 0 || y > 0xFFFF {
				return g, fmt.Errorf("no cell has coordinates (%d, %d)", x, y)
			}
			g.Cells = append(g.Cells, Cell{Pixel: canvas.Pixel{X: uint16(x), Y: uint16(y), Color: color}})
		}
	}
	return g, r.err
}

// MaxBand is the greatest number of bytes that a band's cells take before
// compression: 60 KiB, so that a band with its message stays under 64 KiB even
// where DEFLATE finds nothing to save.
const MaxBand = 60 << 10

var flateWriters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed) // the level is valid
	return w
}}

// EncodeSnapshot returns the messages of a snapshot: its beginning, then its
// bands, whole rows of at most [MaxBand] bytes each.
func EncodeSnapshot(f *canvas.Frozen, at canvas.Position) [][]byte {
	spec := f.Spec()
	rows := min(spec.Height, MaxBand/(3*spec.Width))
	bands := (spec.Height + rows - 1) / rows
	messages := make([][]byte, 0, bands+1)
	messages = append(messages, AppendServerBinary(nil, SnapshotBegin{Position: at, Spec: spec, Hash: f.Hash(), Bands: bands}))
	w := flateWriters.Get().(*flate.Writer)
	defer flateWriters.Put(w)
	var raw []byte
	for i := range bands {
		y := i * rows
		h := min(rows, spec.Height-y)
		raw = f.AppendRect(raw[:0], 0, y, spec.Width, h)
		var packed bytes.Buffer
		w.Reset(&packed)
		_, _ = w.Write(raw) // a bytes.Buffer takes everything
		_ = w.Close()
		messages = append(messages, AppendServerBinary(nil, SnapshotBand{Index: i, W: spec.Width, Y: y, H: h, Data: packed.Bytes()}))
	}
	return messages
}

// LoadBand draws a band on the grid. It returns an error, and leaves the grid
// as it was, when the band is not on it or does not hold exactly its cells.
func LoadBand(g *canvas.Grid, b *SnapshotBand) error {
	if b.W < 1 || b.H < 1 || b.W > canvas.MaxSide || b.H > canvas.MaxSide {
		return fmt.Errorf("protocol: band of %d×%d cells", b.W, b.H)
	}
	want := 3 * b.W * b.H
	if want > MaxBand {
		return fmt.Errorf("protocol: band of %d bytes; at most %d allowed", want, MaxBand)
	}
	rgb, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b.Data)), int64(want)+1))
	if err != nil {
		return fmt.Errorf("protocol: band: %w", err)
	}
	return g.LoadRect(b.X, b.Y, b.W, b.H, rgb)
}
