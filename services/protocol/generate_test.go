package protocol

import (
	"math"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Generators of messages that an encoder may be given.

var (
	genColor   = rapid.Custom(func(t *rapid.T) canvas.Color { return canvas.Color(rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "colour")) })
	genNumber  = rapid.Uint64Range(0, MaxNumber)
	genTime    = rapid.Int64Range(0, MaxNumber)
	genSession = rapid.Custom(func(t *rapid.T) Session {
		return Session(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "session"))
	})
	genEpoch = rapid.Custom(func(t *rapid.T) canvas.Epoch {
		return canvas.Epoch(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "epoch"))
	})
	genPosition = rapid.Custom(func(t *rapid.T) canvas.Position {
		return canvas.Position{Epoch: genEpoch.Draw(t, "epoch"), Seq: genNumber.Draw(t, "seq")}
	})
	genTrace = rapid.Custom(func(t *rapid.T) canvas.Trace {
		if rapid.Bool().Draw(t, "none") {
			return canvas.Trace{}
		}
		b := rapid.SliceOfN(rapid.Byte(), 25, 25).Draw(t, "trace")
		b[0] |= 1 // ids of zeros are none
		b[16] |= 1
		return canvas.Trace(b)
	})
	// genName gives names that need no cleaning.
	genName = rapid.Custom(func(t *rapid.T) string {
		name, _ := CleanName(rapid.StringN(0, 30, -1).Draw(t, "name"), true)
		return name
	})
	genText = rapid.StringN(0, 200, -1)
	genSpec = rapid.Custom(func(t *rapid.T) canvas.Spec {
		side := rapid.IntRange(1, canvas.MaxSide)
		return canvas.Spec{Width: side.Draw(t, "width"), Height: side.Draw(t, "height"), Background: genColor.Draw(t, "background")}
	})
)

func genPixel(spec canvas.Spec) *rapid.Generator[canvas.Pixel] {
	return rapid.Custom(func(t *rapid.T) canvas.Pixel {
		return canvas.Pixel{
			X:     uint16(rapid.IntRange(0, spec.Width-1).Draw(t, "x")),
			Y:     uint16(rapid.IntRange(0, spec.Height-1).Draw(t, "y")),
			Color: genColor.Draw(t, "colour"),
		}
	})
}

// genPixels gives pixels of one colour as often as of many: they are encoded
// in different ways.
func genPixels(spec canvas.Spec) *rapid.Generator[[]canvas.Pixel] {
	return rapid.Custom(func(t *rapid.T) []canvas.Pixel {
		pixels := rapid.SliceOfN(genPixel(spec), 1, 40).Draw(t, "pixels")
		if rapid.Bool().Draw(t, "uniform") {
			for i := range pixels {
				pixels[i].Color = pixels[0].Color
			}
		}
		return pixels
	})
}

// wireSpec has every coordinate that the wire can carry, more than a canvas.
var wireSpec = canvas.Spec{Width: math.MaxUint16 + 1, Height: math.MaxUint16 + 1}

// genOp gives what updates carry of an operation.
var genOp = rapid.Custom(func(t *rapid.T) canvas.Op {
	o := canvas.Op{
		Kind:   canvas.Paint,
		Author: canvas.AuthorID(rapid.Uint32().Draw(t, "author")),
		Number: genNumber.Draw(t, "number"),
	}
	if rapid.IntRange(0, 5).Draw(t, "reset") == 0 {
		o.Kind, o.Color = canvas.Reset, genColor.Draw(t, "colour")
	} else {
		o.Pixels = genPixels(wireSpec).Draw(t, "pixels")
	}
	return o
})

func genClientMessage(spec canvas.Spec) *rapid.Generator[ClientMessage] {
	return rapid.Custom(func(t *rapid.T) ClientMessage {
		switch rapid.IntRange(0, 6).Draw(t, "message") {
		case 0:
			return Hello{Session: genSession.Draw(t, "session")}
		case 1:
			return Draw{Number: genNumber.Draw(t, "number"), Pixels: genPixels(spec).Draw(t, "pixels"), Trace: genTrace.Draw(t, "trace")}
		case 2:
			return SetName{Name: genName.Draw(t, "name")}
		case 3:
			return Ping{}
		case 4:
			return Telemetry{
				Measure: rapid.SampledFrom([]Measure{MeasureLatency, MeasureRecovery}).Draw(t, "measure"),
				Vantage: rapid.SampledFrom(Vantages()).Draw(t, "vantage"),
				Millis:  rapid.Uint32().Draw(t, "millis"),
			}
		case 5:
			return genView(spec).Draw(t, "view")
		default:
			return genCursor(spec).Draw(t, "cursor")
		}
	})
}

func genCursor(spec canvas.Spec) *rapid.Generator[Cursor] {
	return rapid.Custom(func(t *rapid.T) Cursor {
		if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
			return Cursor{Gone: true}
		}
		p := genPixel(spec).Draw(t, "cell")
		return Cursor{X: p.X, Y: p.Y}
	})
}

func genView(spec canvas.Spec) *rapid.Generator[View] {
	return rapid.Custom(func(t *rapid.T) View {
		p := genPixel(spec).Draw(t, "corner")
		return View{X: p.X, Y: p.Y,
			Width:  uint16(rapid.IntRange(1, spec.Width-int(p.X)).Draw(t, "width")),
			Height: uint16(rapid.IntRange(1, spec.Height-int(p.Y)).Draw(t, "height"))}
	})
}

var genCursors = rapid.Custom(func(t *rapid.T) Cursors {
	var m Cursors
	for range rapid.IntRange(0, 10).Draw(t, "here") {
		p := genPixel(wireSpec).Draw(t, "cell")
		m.Here = append(m.Here, CursorAt{Author: rapid.Uint32().Draw(t, "author"), X: p.X, Y: p.Y})
	}
	for range rapid.IntRange(0, 3).Draw(t, "gone") {
		m.Gone = append(m.Gone, rapid.Uint32().Draw(t, "author"))
	}
	return m
})

var genCells = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Cell {
	return Cell{Pixel: genPixel(wireSpec).Draw(t, "cell")}
}), 0, 40)

var genRange = rapid.Custom(func(t *rapid.T) Range {
	r := Range{Prev: genNumber.Draw(t, "prev"), Seq: genNumber.Draw(t, "seq"), Time: genTime.Draw(t, "time")}
	if r.Reset = rapid.Bool().Draw(t, "reset"); r.Reset {
		r.ResetTo = genColor.Draw(t, "reset to")
	}
	if cells := genCells.Draw(t, "cells"); len(cells) > 0 {
		r.Cells = cells
	}
	return r
})

var genUpdates = rapid.Custom(func(t *rapid.T) Updates {
	return Updates{First: genNumber.Draw(t, "first"), Time: genTime.Draw(t, "time"), Ops: rapid.SliceOfN(genOp, 1, 8).Draw(t, "ops")}
})

// genPlain gives the messages of gateways that both codecs have and that say
// nothing about the picture. JSON leaves out some fields; see asJSON.
var genPlain = rapid.Custom(func(t *rapid.T) ServerMessage {
	switch rapid.IntRange(0, 4).Draw(t, "message") {
	case 0:
		return Connected{
			ClientID: genText.Draw(t, "client"), Pod: genText.Draw(t, "pod"), Canvas: genText.Draw(t, "canvas"),
			Spec: genSpec.Draw(t, "spec"), Position: genPosition.Draw(t, "position"), Author: rapid.Uint32().Draw(t, "author"),
			Resumed: rapid.SampledFrom([]Source{0, FromMemory, FromLog}).Draw(t, "resumed"),
		}
	case 1:
		return Ack{Number: genNumber.Draw(t, "number"), Seq: genNumber.Draw(t, "seq")}
	case 2:
		return Error{Code: rapid.SampledFrom(Codes()).Draw(t, "code"), Message: genText.Draw(t, "text"),
			Number: genNumber.Draw(t, "number"), RetryAfter: rapid.Uint32().Draw(t, "retry")}
	case 3:
		return Status{State: rapid.SampledFrom([]State{Live, Degraded, Draining}).Draw(t, "state")}
	default:
		return Pong{Time: genTime.Draw(t, "time")}
	}
})

var genPresence = rapid.Custom(func(t *rapid.T) Presence {
	p := Presence{Active: rapid.IntRange(0, 1<<40).Draw(t, "active"), Time: genTime.Draw(t, "time"), IsList: true}
	for range rapid.IntRange(0, 10).Draw(t, "users") {
		p.Users = append(p.Users, User{Author: rapid.Uint32().Draw(t, "author"), Name: genName.Draw(t, "name")})
	}
	return p
})

var genServerBinary = rapid.Custom(func(t *rapid.T) ServerMessage {
	switch rapid.IntRange(0, 6).Draw(t, "group") {
	case 6:
		return genCursors.Draw(t, "cursors")
	case 0:
		return genUpdates.Draw(t, "updates")
	case 1:
		return genRange.Draw(t, "range")
	case 2:
		return genPresence.Draw(t, "presence")
	case 3:
		s := SnapshotBegin{Position: genPosition.Draw(t, "position"), Spec: genSpec.Draw(t, "spec"), Hash: rapid.Uint64().Draw(t, "hash")}
		s.Bands = rapid.IntRange(1, s.Spec.Cells()).Draw(t, "bands")
		return s
	case 4:
		n := rapid.IntRange(0, MaxNumber)
		return SnapshotBand{Index: n.Draw(t, "index"), X: n.Draw(t, "x"), Y: n.Draw(t, "y"), W: n.Draw(t, "w"), H: n.Draw(t, "h"),
			Data: rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "data")}
	default:
		return genPlain.Draw(t, "plain")
	}
})

// appendServer appends any message of the binary codec.
func appendServer(b []byte, m ServerMessage) []byte {
	switch m := m.(type) {
	case Updates:
		return AppendEntry(b, &canvas.Entry{First: m.First, Time: m.Time, Ops: m.Ops})
	case Range:
		return AppendRange(b, &m)
	}
	return AppendServerBinary(b, m)
}
