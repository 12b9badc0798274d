package protocol

import (
	"math"

	"github.com/cloud-pixel/playground/services/canvas"
)

// This file reads the two messages that a JSON client gets most, in the very
// form that gateways give them, at a fraction of what a general decoder takes.
// Whatever looks different is left to the general one.

// DecodePixelUpdated reads a pixel_updated. ok is false for other messages and
// for other spellings of this one: [DecodeServerJSON] knows them all, and
// reads what is accepted here as the same.
func DecodePixelUpdated(frame []byte) (m PixelUpdated, ok bool) {
	s := scanner{b: frame, ok: true}
	s.literal(`{"type":"pixel_updated","x":`)
	m.Pixel.X = uint16(s.number(math.MaxUint16))
	s.literal(`,"y":`)
	m.Pixel.Y = uint16(s.number(math.MaxUint16))
	s.literal(`,"color":"`)
	m.Pixel.Color = s.color()
	s.literal(`","username":"`)
	name := s.plain()
	s.literal(`","timestamp":`)
	m.Time = int64(s.number(math.MaxInt64))
	m.Seq, m.Prev = s.position()
	if !s.end() {
		return PixelUpdated{}, false
	}
	if string(name) == Anonymous { // compared without a copy
		m.Name = Anonymous
	} else {
		m.Name = string(name)
	}
	return m, true
}

// DecodeAck is DecodePixelUpdated for acknowledgements.
func DecodeAck(frame []byte) (m Ack, ok bool) {
	s := scanner{b: frame, ok: true}
	s.literal(`{"type":"ack","op":`)
	m.Number = s.number(math.MaxUint64)
	s.literal(`,"seq":`)
	m.Seq = s.number(math.MaxUint64)
	if !s.end() {
		return Ack{}, false
	}
	return m, true
}

// scanner takes expected pieces off the front of b. After the first surprise
// ok is false and all else has no meaning.
type scanner struct {
	b  []byte
	ok bool
}

func (s *scanner) literal(text string) {
	if !s.ok || len(s.b) < len(text) || string(s.b[:len(text)]) != text {
		s.ok = false
		return
	}
	s.b = s.b[len(text):]
}

// number reads a number without sign, fraction, exponent or needless zeros.
func (s *scanner) number(most uint64) (n uint64) {
	i := 0
	for ; i < len(s.b); i++ {
		d := uint64(s.b[i] - '0')
		if d > 9 {
			break
		}
		if i >= 19 { // 20 digits may not fit, and nobody needs them
			s.ok = false
			return 0
		}
		n = 10*n + d
	}
	if !s.ok || i == 0 || i > 1 && s.b[0] == '0' || n > most {
		s.ok = false
		return 0
	}
	s.b = s.b[i:]
	return n
}

// color reads #RRGGBB in upper or lower case.
func (s *scanner) color() (c canvas.Color) {
	if !s.ok || len(s.b) < 7 || s.b[0] != '#' {
		s.ok = false
		return 0
	}
	for _, d := range s.b[1:7] {
		switch {
		case d-'0' <= 9:
			d -= '0'
		case d-'A' <= 5:
			d -= 'A' - 10
		case d-'a' <= 5:
			d -= 'a' - 10
		default:
			s.ok = false
			return 0
		}
		c = c<<4 | canvas.Color(d)
	}
	s.b = s.b[7:]
	return c
}

// plain reads up to a quote what needs no decoding: ASCII without escapes.
func (s *scanner) plain() []byte {
	for i, c := range s.b {
		switch {
		case c == '"':
			text := s.b[:i]
			s.b = s.b[i:]
			return text
		case c < 0x20 || c >= 0x7F || c == '\\':
			s.ok = false
			return nil
		}
	}
	s.ok = false
	return nil
}

func (s *scanner) position() (seq, prev uint64) {
	s.literal(`,"seq":`)
	seq = s.number(math.MaxUint64)
	s.literal(`,"prev":`)
	return seq, s.number(math.MaxUint64)
}

// end tells whether everything was as expected up to the end of the object.
func (s *scanner) end() bool { return s.ok && len(s.b) == 1 && s.b[0] == '}' }
