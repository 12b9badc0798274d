package protocol

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/cloud-pixel/playground/services/canvas"
)

// This file has the messages of clients in the binary codec, both directions.
//
//	hello      version u8, session 16 bytes
//	draw       number uvarint, flags u8 (bit 0: trace), [trace 25 bytes], body
//	set name   UTF-8 bytes
//	ping       –
//	telemetry  kind u8 (bits 0–3: measure, 4–7: vantage), milliseconds u32
//	cursor, view: see cursors.go

const drawHasTrace = 0x01

// AppendClientBinary appends a message of a client to a frame.
func AppendClientBinary(b []byte, m ClientMessage) ([]byte, error) {
	switch m := m.(type) {
	case Hello:
		return appendMessage(b, binHello, func(b []byte) []byte {
			return append(append(b, BinaryVersion), m.Session[:]...)
		}), nil
	case Draw:
		if len(m.Pixels) == 0 || len(m.Pixels) > canvas.MaxPixels {
			return nil, fmt.Errorf("protocol: %d pixels in an operation; 1 to %d allowed", len(m.Pixels), canvas.MaxPixels)
		}
		return appendMessage(b, binDraw, func(b []byte) []byte {
			b = binary.AppendUvarint(b, m.Number)
			if m.Trace != (canvas.Trace{}) {
				b = append(append(b, drawHasTrace), m.Trace[:]...)
			} else {
				b = append(b, 0)
			}
			return AppendBody(b, &canvas.Op{Kind: canvas.Paint, Pixels: m.Pixels})
		}), nil
	case SetName:
		return appendMessage(b, binSetName, func(b []byte) []byte { return append(b, m.Name...) }), nil
	case Ping:
		return append(b, binPing, 0), nil
	case Telemetry:
		return appendMessage(b, binTelemetry, func(b []byte) []byte {
			return binary.LittleEndian.AppendUint32(append(b, m.kind()), m.Millis)
		}), nil
	case Cursor:
		return appendCursor(b, m), nil
	case View:
		return appendView(b, m), nil
	}
	return nil, fmt.Errorf("protocol: no binary form of %T", m)
}

// DecodeBinary reads the messages of a client's frame and calls handle for
// each, in order, with the message or a *[Refusal]. Messages of unknown types
// are refused as such and skipped by their length. A frame that cannot be cut
// into messages is refused once, and the rest of it dropped.
func DecodeBinary(frame []byte, spec canvas.Spec, handle func(ClientMessage, error)) {
	r := reader{b: frame}
	if len(frame) == 0 {
		handle(nil, &Refusal{Code: CodeInvalidFormat})
		return
	}
	for len(r.b) > 0 {
		kind, body := r.message()
		if r.err != nil {
			handle(nil, &Refusal{Code: CodeInvalidFormat})
			return
		}
		handle(decodeClientBinary(kind, body, spec))
	}
}

func decodeClientBinary(kind byte, r reader, spec canvas.Spec) (ClientMessage, error) {
	switch kind {
	case binHello:
		version := r.u8()
		raw := r.bytes(16)
		if r.err != nil || version != BinaryVersion || len(r.b) != 0 {
			return nil, &Refusal{Code: CodeInvalidHello}
		}
		return Hello{Session: Session(raw)}, nil
	case binDraw:
		return decodeBinaryDraw(r, spec)
	case binSetName:
		if !utf8.Valid(r.b) {
			return nil, &Refusal{Code: CodeInvalidName}
		}
		name, ok := CleanName(string(r.b), true)
		if !ok {
			return nil, &Refusal{Code: CodeInvalidName}
		}
		return SetName{Name: name}, nil
	case binPing:
		return Ping{}, nil
	case binTelemetry:
		m := telemetryOf(r.u8(), r.u32())
		switch {
		case r.err != nil || len(r.b) != 0:
			return nil, &Refusal{Code: CodeInvalidFormat}
		case !m.valid():
			return nil, &Refusal{Code: CodeUnsupported}
		}
		return m, nil
	case binCursor:
		return decodeBinaryCursor(r, spec)
	case binView:
		return decodeBinaryView(r, spec)
	}
	return nil, &Refusal{Code: CodeUnknownType}
}

func decodeBinaryDraw(r reader, spec canvas.Spec) (ClientMessage, error) {
	d := Draw{Number: r.uvarint()}
	flags := r.u8()
	if flags&drawHasTrace != 0 {
		copy(d.Trace[:], r.bytes(uint64(len(d.Trace))))
	}
	if r.err != nil || flags&^byte(drawHasTrace) != 0 {
		return nil, &Refusal{Code: CodeInvalidPixel, Number: d.Number}
	}
	var o canvas.Op
	rest, err := ReadBody(r.b, &o)
	if err != nil || len(rest) != 0 || o.Kind != canvas.Paint {
		return nil, &Refusal{Code: CodeInvalidPixel, Number: d.Number}
	}
	if o.Check(spec) != nil {
		return nil, &Refusal{Code: CodeOutOfBounds, Number: d.Number}
	}
	d.Pixels = o.Pixels
	return d, nil
}
