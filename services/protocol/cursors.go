package protocol

import (
	"encoding/binary"
	"strconv"

	"github.com/cloud-pixel/playground/services/canvas"
)

// This file has where people point, which is not part of the log: the latest
// place counts, and one that is lost harms nobody. From clients:
//
//	cursor   x uvarint, y uvarint; or nothing: nowhere (any more)
//	view     x, y, width, height uvarint each, in cells
//
// and from gateways, the others' cursors in the client's view that have
// changed:
//
//	cursors  count uvarint, count × (author u32, x uvarint, y uvarint), then to
//	         the end: author u32 of those who are gone or out of view

// CursorAt is where somebody points.
type CursorAt struct {
	Author uint32 // lower half of the author's tag
	X, Y   uint16
	// Name is empty for the anonymous. The binary codec does not carry it:
	// presence has the names.
	Name string
}

func appendCursor(b []byte, c Cursor) []byte {
	if c.Gone {
		return append(b, binCursor, 0)
	}
	return appendMessage(b, binCursor, func(b []byte) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.X)), uint64(c.Y))
	})
}

func decodeBinaryCursor(r reader, spec canvas.Spec) (ClientMessage, error) {
	if len(r.b) == 0 {
		return Cursor{Gone: true}, nil
	}
	x, y := r.uvarint(), r.uvarint()
	if r.err != nil || len(r.b) != 0 || x >= uint64(spec.Width) || y >= uint64(spec.Height) {
		return nil, &Refusal{Code: CodeInvalidFormat}
	}
	return Cursor{X: uint16(x), Y: uint16(y)}, nil
}

func appendView(b []byte, v View) []byte {
	return appendMessage(b, binView, func(b []byte) []byte {
		for _, n := range []uint16{v.X, v.Y, v.Width, v.Height} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		return b
	})
}

func decodeBinaryView(r reader, spec canvas.Spec) (ClientMessage, error) {
	x, y, w, h := r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	if r.err != nil || len(r.b) != 0 {
		return nil, &Refusal{Code: CodeInvalidFormat}
	}
	return viewOf(int64(x), int64(y), int64(w), int64(h), spec)
}

// viewOf refuses what is no rectangle of the canvas. The numbers are at most
// 2^53, so their sums do not overflow.
func viewOf(x, y, w, h int64, spec canvas.Spec) (ClientMessage, error) {
	if x < 0 || y < 0 || w < 1 || h < 1 || x+w > int64(spec.Width) || y+h > int64(spec.Height) {
		return nil, &Refusal{Code: CodeInvalidFormat}
	}
	return View{X: uint16(x), Y: uint16(y), Width: uint16(w), Height: uint16(h)}, nil
}

func appendCursors(b []byte, m Cursors) []byte {
	return appendMessage(b, binCursors, func(b []byte) []byte {
		b = binary.AppendUvarint(b, uint64(len(m.Here)))
		for _, c := range m.Here {
			b = binary.LittleEndian.AppendUint32(b, c.Author)
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.X)), uint64(c.Y))
		}
		for _, author := range m.Gone {
			b = binary.LittleEndian.AppendUint32(b, author)
		}
		return b
	})
}

func (r *reader) cursors() (m Cursors) {
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		c := CursorAt{Author: r.u32(), X: r.coordinate(), Y: r.coordinate()}
		if r.err == nil {
			m.Here = append(m.Here, c)
		}
	}
	for len(r.b) > 0 && r.err == nil {
		m.Gone = append(m.Gone, r.u32())
	}
	return m
}

func (r *reader) coordinate() uint16 {
	v := r.uvarint()
	if v > 0xFFFF {
		r.fail(false)
		return 0
	}
	return uint16(v)
}

// decodeJSONCursor reads {"type":"cursor","x":…,"y":…}; without both it is
// gone.
func decodeJSONCursor(object *jsonObject, spec canvas.Spec) (ClientMessage, error) {
	if object.x == nil && object.y == nil {
		return Cursor{Gone: true}, nil
	}
	x, okX := jsonInteger(object.x)
	y, okY := jsonInteger(object.y)
	if !okX || !okY || x < 0 || y < 0 || x >= int64(spec.Width) || y >= int64(spec.Height) {
		return nil, &Refusal{Code: CodeInvalidFormat}
	}
	return Cursor{X: uint16(x), Y: uint16(y)}, nil
}

func decodeJSONView(object *jsonObject, spec canvas.Spec) (ClientMessage, error) {
	var n [4]int64
	for i, raw := range [][]byte{object.x, object.y, object.width, object.height} {
		var ok bool
		if n[i], ok = jsonInteger(raw); !ok {
			return nil, &Refusal{Code: CodeInvalidFormat}
		}
	}
	return viewOf(n[0], n[1], n[2], n[3], spec)
}

// encodeJSONCursors leaves "gone" out where nobody is.
func encodeJSONCursors(m Cursors) []byte {
	b := append([]byte(nil), `{"type":"cursors","cursors":[`...)
	for i, c := range m.Here {
		if i > 0 {
			b = append(b, ',')
		}
		name := c.Name
		if name == "" {
			name = Anonymous
		}
		b = strconv.AppendUint(append(b, `{"id":`...), uint64(c.Author), 10)
		b = appendJSONString(append(b, `,"username":`...), name)
		b = strconv.AppendUint(append(b, `,"x":`...), uint64(c.X), 10)
		b = append(strconv.AppendUint(append(b, `,"y":`...), uint64(c.Y), 10), '}')
	}
	b = append(b, ']')
	if len(m.Gone) == 0 {
		return append(b, '}')
	}
	b = append(b, `,"gone":[`...)
	for i, author := range m.Gone {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(author), 10)
	}
	return append(b, `]}`...)
}
