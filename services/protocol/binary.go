package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloud-pixel/playground/services/canvas"
)

// BinaryVersion is the version of the binary codec that this package speaks;
// it stands in connected and hello.
const BinaryVersion = 1

// Types of binary messages. A message is its type (1 byte), the length of its
// body (uvarint) and the body; a frame holds one or more messages. Numbers of
// fixed size are little-endian; uvarint and zigzag are those of Protocol
// Buffers (LEB128).
const (
	binConnected     = 0x01
	binUpdates       = 0x02
	binRange         = 0x03
	binAck           = 0x04
	binError         = 0x05
	binStatus        = 0x06
	binSnapshotBegin = 0x07
	binSnapshotBand  = 0x08
	binPresence      = 0x09
	binPong          = 0x0A
	binCursors       = 0x0B
	binCount         = 0x0C
	binResumed       = 0x0D

	binHello     = 0x41
	binDraw      = 0x42
	binSetName   = 0x43
	binPing      = 0x44
	binTelemetry = 0x45
	binCursor    = 0x46
	binView      = 0x47
)

// MaxUpdatesBody is where an entry is cut into several messages of updates, in
// bytes: a message may exceed it by one operation.
const MaxUpdatesBody = 32 << 10

var (
	// errTruncated tells that a message ends before its contents do.
	errTruncated = errors.New("protocol: message is truncated")
	// errTooGreat tells that a number is greater than its field allows.
	errTooGreat = errors.New("protocol: number is out of range")
)

// appendMessage appends a message whose body is written by body.
func appendMessage(b []byte, kind byte, body func([]byte) []byte) []byte {
	// Most bodies are shorter than 128 bytes: leave one byte for the length
	// and move the body when it needs more.
	b = append(b, kind, 0)
	start := len(b)
	b = body(b)
	n := len(b) - start
	if n < 0x80 {
		b[start-1] = byte(n)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(length[:], uint64(n))
	b = append(b, length[:k-1]...) // room; overwritten by the move
	copy(b[start+k-1:], b[start:start+n])
	copy(b[start-1:], length[:k])
	return b
}

// Heads of an operation: the kind in bits 0–1, then flags.
const (
	headKind    = 0x03
	headSingle  = 0x04 // one pixel: no count
	headUniform = 0x08 // one colour for all pixels
	headAll     = headKind | headSingle | headUniform
)

// AppendBody appends kind, colours and pixels of an operation, the part that
// the wire and the log have in common:
//
//	head u8
//	reset:          colour (3 bytes: red, green, blue)
//	paint, single:  x uvarint, y uvarint, colour
//	paint, uniform: count uvarint, colour, then count × (dx zigzag, dy zigzag)
//	paint:          count uvarint, then count × (dx zigzag, dy zigzag, colour)
//
// where dx, dy are the differences to the pixel before (first: to (0, 0)).
func AppendBody(b []byte, o *canvas.Op) []byte {
	if o.Kind == canvas.Reset {
		return appendColor(append(b, byte(canvas.Reset)), o.Color)
	}
	if len(o.Pixels) == 1 {
		p := o.Pixels[0]
		b = append(b, byte(canvas.Paint)|headSingle)
		b = binary.AppendUvarint(b, uint64(p.X))
		b = binary.AppendUvarint(b, uint64(p.Y))
		return appendColor(b, p.Color)
	}
	uniform := true
	for _, p := range o.Pixels {
		uniform = uniform && p.Color == o.Pixels[0].Color
	}
	if uniform {
		b = append(b, byte(canvas.Paint)|headUniform)
		b = binary.AppendUvarint(b, uint64(len(o.Pixels)))
		b = appendColor(b, o.Pixels[0].Color)
	} else {
		b = append(b, byte(canvas.Paint))
		b = binary.AppendUvarint(b, uint64(len(o.Pixels)))
	}
	var last canvas.Pixel
	for _, p := range o.Pixels {
		b = appendPoint(b, last, p)
		if !uniform {
			b = appendColor(b, p.Color)
		}
		last = p
	}
	return b
}

// ReadBody reads what [AppendBody] wrote into o and returns the rest of b. It
// refuses more than [canvas.MaxPixels] pixels and coordinates that no canvas
// has; whether they are on a given canvas is for [canvas.Op.Check].
func ReadBody(b []byte, o *canvas.Op) ([]byte, error) {
	r := reader{b: b}
	head := r.u8()
	if head&^byte(headAll) != 0 {
		return nil, fmt.Errorf("protocol: unknown head %#x of an operation", head)
	}
	o.Kind = canvas.Kind(head & headKind)
	switch {
	case o.Kind == canvas.Reset && head == byte(canvas.Reset):
		o.Color = r.color()
	case o.Kind == canvas.Paint && head&headSingle != 0 && head&headUniform == 0:
		x, y := r.uvarint(), r.uvarint()
		if x > 0xFFFF || y > 0xFFFF {
			return nil, fmt.Errorf("protocol: no cell has coordinates (%d, %d)", x, y)
		}
		o.Pixels = []canvas.Pixel{{X: uint16(x), Y: uint16(y), Color: r.color()}}
	case o.Kind == canvas.Paint && head&headSingle == 0:
		uniform := head&headUniform != 0
		n := r.uvarint()
		if n == 0 || n > canvas.MaxPixels {
			return nil, fmt.Errorf("protocol: %d pixels in one operation; 1 to %d allowed", n, canvas.MaxPixels)
		}
		if smallest := 2*n + 3; uint64(len(r.b)) < smallest {
			return nil, errTruncated // before the memory for n pixels is taken
		}
		var color canvas.Color
		if uniform {
			color = r.color()
		}
		o.Pixels = make([]canvas.Pixel, n)
		var x, y int64
		for i := range o.Pixels {
			x, y = x+r.zigzag(), y+r.zigzag()
			if x < 0 || x > 0xFFFF || y < 0 || y > 0xFFFF {
				return nil, fmt.Errorf("protocol: no cell has coordinates (%d, %d)", x, y)
			}
			if !uniform {
				color = r.color()
			}
			o.Pixels[i] = canvas.Pixel{X: uint16(x), Y: uint16(y), Color: color}
		}
	default:
		return nil, fmt.Errorf("protocol: unknown head %#x of an operation", head)
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.b, nil
}

func appendColor(b []byte, c canvas.Color) []byte {
	return append(b, byte(c>>16), byte(c>>8), byte(c))
}

func appendPoint(b []byte, from, to canvas.Pixel) []byte {
	b = binary.AppendVarint(b, int64(to.X)-int64(from.X))
	return binary.AppendVarint(b, int64(to.Y)-int64(from.Y))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader takes values off the front of b. After the first that is not whole or
// too great it gives zeros, and err tells.
type reader struct {
	b   []byte
	err error
}

// fail keeps the first error only: what follows it has no meaning.
func (r *reader) fail(truncated bool) {
	switch {
	case r.err != nil:
	case truncated:
		r.err = errTruncated
	default:
		r.err = errTooGreat
	}
	r.b = nil
}

func (r *reader) bytes(n uint64) []byte {
	if r.err != nil || uint64(len(r.b)) < n {
		r.fail(true)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() byte {
	if v := r.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if v := r.bytes(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.bytes(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// uvarint reads a number of at most 53 bits.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.err != nil || n <= 0 || v > MaxNumber {
		r.fail(n == 0)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) zigzag() int64 {
	v, n := binary.Varint(r.b)
	if r.err != nil || n <= 0 || v > 0xFFFF || v < -0xFFFF {
		r.fail(n == 0)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) color() canvas.Color {
	v := r.bytes(3)
	if v == nil {
		return 0
	}
	return canvas.Color(v[0])<<16 | canvas.Color(v[1])<<8 | canvas.Color(v[2])
}

func (r *reader) string() string { return string(r.bytes(r.uvarint())) }

// message takes the next message off the front: its type and body.
func (r *reader) message() (kind byte, body reader) {
	kind = r.u8()
	return kind, reader{b: r.bytes(r.uvarint())}
}
