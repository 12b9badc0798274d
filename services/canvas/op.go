package canvas

import "fmt"

// Kind says what an operation does. Its values stand in logs and on the wire
// and never change their meaning.
type Kind uint8

const (
	// Paint sets the pixels of the operation in order; of two pixels for one
	// cell the later wins.
	Paint Kind = 1
	// Reset sets every cell to one colour.
	Reset Kind = 2
)

// Pixel is a cell and the colour that it gets.
type Pixel struct {
	X, Y  uint16
	Color Color
}

// AuthorID is the public tag of a session: a hash of it from which the secret
// cannot be told. Zero means that the author is not known.
type AuthorID uint64

// Trace is a W3C trace context in binary: trace id (16 bytes), parent span id
// (8 bytes) and flags (1 byte). The zero Trace is no context.
type Trace [25]byte

// Sampled tells whether the context says that its trace is recorded.
func (t Trace) Sampled() bool { return t[24]&0x01 != 0 }

// Op is one change of a canvas, as it was sent by its author.
type Op struct {
	Kind Kind
	// Pixels of a Paint, 1 to MaxPixels. Shared between readers: never
	// changed once the operation is made.
	Pixels []Pixel
	// Color of a Reset.
	Color Color

	// Author and Number identify the operation: at most one operation of the
	// log has a given pair. Numbers of one author ascend.
	Author AuthorID
	Number uint64
	// Name that the author showed, at most MaxName characters, or empty.
	Name string
	// Received is the moment when a service accepted the operation, in
	// microseconds since the Unix epoch by that service's clock. It measures
	// latency and orders nothing.
	Received int64
	// Trace is the context of the author's span.
	Trace Trace
}

// Check returns an error unless the operation is well-formed and every pixel
// lies on the canvas. It is a pure function of the operation and the spec.
func (o *Op) Check(s Spec) error {
	switch o.Kind {
	case Paint:
		if len(o.Pixels) == 0 {
			return fmt.Errorf("canvas: an operation paints at least one pixel")
		}
		if len(o.Pixels) > MaxPixels {
			return fmt.Errorf("canvas: %d pixels in one operation; at most %d", len(o.Pixels), MaxPixels)
		}
		for _, p := range o.Pixels {
			if !s.Contains(int(p.X), int(p.Y)) {
				return fmt.Errorf("canvas: (%d, %d) is outside %d×%d", p.X, p.Y, s.Width, s.Height)
			}
			if p.Color > 0xFFFFFF {
				return fmt.Errorf("canvas: colour %#x has more than 24 bits", uint32(p.Color))
			}
		}
	case Reset:
		if o.Color > 0xFFFFFF {
			return fmt.Errorf("canvas: colour %#x has more than 24 bits", uint32(o.Color))
		}
	default:
		return fmt.Errorf("canvas: unknown kind of operation %d", o.Kind)
	}
	return nil
}

// Entry is a run of operations that were appended to the log together: they
// have the positions First, First+1, … of one epoch and share one time.
// Entries are immutable once made and may be shared between goroutines.
type Entry struct {
	// Epoch in which the entry was appended.
	Epoch Epoch
	// First is the position of Ops[0].
	First uint64
	// Time of the append in milliseconds since the Unix epoch, stamped by the
	// log itself: it never decreases with the position.
	Time int64
	// Ops has at least one operation.
	Ops []Op
}

// Last returns the position of the entry's last operation.
func (e *Entry) Last() uint64 { return e.First + uint64(len(e.Ops)) - 1 }

// After returns the part of the entry behind position seq: the entry itself,
// a shorter one that shares its operations, or nil when nothing is left.
func (e *Entry) After(seq uint64) *Entry {
	if seq < e.First {
		return e
	}
	if seq >= e.Last() {
		return nil
	}
	rest := *e
	rest.First = seq + 1
	rest.Ops = e.Ops[seq+1-e.First:]
	return &rest
}
