package protocol

import (
	"encoding/binary"
	"fmt"

	"github.com/cloud-pixel/playground/services/canvas"
)

// VisitServerBinary is [DecodeServerBinary] for those who read very much and
// keep nothing: an operation that paints one pixel is told to pixel, without
// memory of its own; any other one goes to handle as Updates by itself, and
// every other message as usual. All come in order. What came before a mistake
// in the frame has been told when the error is returned.
func VisitServerBinary(frame []byte, pixel func(seq uint64, p canvas.Pixel), handle func(ServerMessage) error) error {
	for b := frame; len(b) > 0; {
		body, end := bounds(b)
		if end == 0 {
			return errTruncated
		}
		if b[0] == binConnected && end < len(b) && b[end] == binResumed { // the two are read as one
			_, n := bounds(b[end:])
			if n == 0 {
				return errTruncated
			}
			end += n
		}
		var err error
		if b[0] == binUpdates {
			err = visitUpdates(b[body:end], pixel, handle)
		} else {
			err = DecodeServerBinary(b[:end], handle)
		}
		if err != nil {
			return err
		}
		b = b[end:]
	}
	return nil
}

// bounds returns where the body of the first message begins and ends; 0, 0 when
// it is not whole.
func bounds(b []byte) (body, end int) {
	n, at := uint64(0), 0
	if len(b) > 1 {
		n, at = binary.Uvarint(b[1:])
	}
	if at <= 0 || n > uint64(len(b)-1-at) {
		return 0, 0
	}
	return 1 + at, 1 + at + int(n)
}

func visitUpdates(body []byte, pixel func(uint64, canvas.Pixel), handle func(ServerMessage) error) error {
	r := reader{b: body}
	seq, time := r.uvarint(), int64(r.uvarint())
	for ; len(r.b) > 0; seq++ {
		author, number := r.u32(), r.uvarint()
		if len(r.b) > 0 && r.b[0] == byte(canvas.Paint)|headSingle {
			r.u8()
			x, y := r.uvarint(), r.uvarint()
			c := r.color()
			if r.err == nil && x <= 0xFFFF && y <= 0xFFFF {
				pixel(seq, canvas.Pixel{X: uint16(x), Y: uint16(y), Color: c})
				continue
			}
			return fmt.Errorf("protocol: message %#x: no cell: %w", binUpdates, errTooGreat)
		}
		o := canvas.Op{Author: canvas.AuthorID(author), Number: number}
		rest, err := ReadBody(r.b, &o)
		if err != nil {
			return fmt.Errorf("protocol: message %#x: %w", binUpdates, err)
		}
		r.b = rest
		if err := handle(Updates{First: seq, Time: time, Ops: []canvas.Op{o}}); err != nil {
			return err
		}
	}
	return r.err
}

// singles reads the body of updates that are one pixel each into two pieces of
// memory, whatever their number. ok is false for all other bodies.
func singles(body []byte) (u Updates, ok bool) {
	n := 0
	other := func(ServerMessage) error { return errTruncated }
	if visitUpdates(body, func(uint64, canvas.Pixel) { n++ }, other) != nil || n == 0 {
		return Updates{}, false
	}
	r := reader{b: body}
	u = Updates{First: r.uvarint(), Time: int64(r.uvarint()), Ops: make([]canvas.Op, n)}
	pixels := make([]canvas.Pixel, n)
	for i := range u.Ops {
		o := &u.Ops[i]
		o.Kind, o.Author, o.Number = canvas.Paint, canvas.AuthorID(r.u32()), r.uvarint()
		r.u8() // the head
		pixels[i] = canvas.Pixel{X: uint16(r.uvarint()), Y: uint16(r.uvarint()), Color: r.color()}
		o.Pixels = pixels[i : i+1 : i+1]
	}
	return u, true
}
