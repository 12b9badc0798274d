package protocol

import (
	"encoding/binary"
	"slices"
	"strconv"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

// vectorSpec is the canvas that the messages of the vectors are about.
var vectorSpec = canvas.Spec{Width: 1024, Height: 512, Background: canvas.White}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// storedBlock wraps up to 64 KiB in one stored block of DEFLATE. The vectors
// use it because compressors may change what they write; bytes that every
// inflater understands may not.
func storedBlock(raw []byte) []byte {
	b := []byte{0x01}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(raw)))
	b = binary.LittleEndian.AppendUint16(b, ^uint16(len(raw)))
	return append(b, raw...)
}

func allVectors(t *testing.T) []vector {
	var all []vector
	all = append(all, clientBinaryVectors(t)...)
	all = append(all, serverBinaryVectors()...)
	all = append(all, clientJSONVectors(t)...)
	return append(all, serverJSONVectors()...)
}

var (
	vectorSession = Session{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF}
	vectorEpoch   = canvas.Epoch{0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF}
	vectorTrace   = canvas.Trace{
		0x0A, 0xF7, 0x65, 0x19, 0x16, 0xCD, 0x43, 0xDD, 0x84, 0x48, 0xEB, 0x21, 0x1C, 0x80, 0x31, 0x9C, // trace id
		0xB7, 0xAD, 0x6B, 0x71, 0x69, 0x20, 0x33, 0x31, // span id
		0x01, // sampled
	}
)

const vectorTime = 1_700_000_000_000

func pixel(x, y uint16, c canvas.Color) canvas.Pixel { return canvas.Pixel{X: x, Y: y, Color: c} }

func clientBinaryVectors(t *testing.T) []vector {
	encode := func(name string, messages ...ClientMessage) vector {
		v := vector{Name: name, Codec: "binary", Direction: "client", client: messages}
		for _, m := range messages {
			var err error
			if v.frame, err = AppendClientBinary(v.frame, m); err != nil {
				t.Fatal(err)
			}
		}
		return v
	}
	single := Draw{Number: 1, Pixels: []canvas.Pixel{pixel(3, 4, 0xFF0000)}}
	long := Draw{Number: 300}
	for i := range uint16(64) { // a body of more than 127 bytes: a length of two bytes
		long.Pixels = append(long.Pixels, pixel(500+i, 300-i, 0x00FF7F))
	}
	overlong := encode("client-overlong", Draw{Number: 2, Pixels: []canvas.Pixel{pixel(5, 6, 0x010203)}})
	// The number with a needless byte, and one pixel in the form for many.
	overlong.frame = []byte{0x42, 0x0A, 0x82, 0x00, 0x00, 0x01, 0x01, 0x0A, 0x0C, 0x01, 0x02, 0x03}
	overlong.DecodeOnly = true
	unknown := encode("client-unknown-skipped", Ping{}, single)
	unknown.frame = append([]byte{0x7E, 0x03, 0xDE, 0xAD, 0x00}, unknown.frame...)
	unknown.DecodeOnly = true
	return []vector{
		encode("hello", Hello{Session: vectorSession}),
		encode("draw-single", single),
		encode("draw-uniform", Draw{Number: 2, Pixels: []canvas.Pixel{pixel(10, 20, 0x0000FF), pixel(11, 20, 0x0000FF), pixel(12, 19, 0x0000FF)}}),
		encode("draw-many-colors", Draw{Number: 3, Pixels: []canvas.Pixel{pixel(10, 20, 0x0000FF), pixel(0, 300, 0x00FF00)}}),
		encode("draw-same-cell-twice", Draw{Number: 4, Pixels: []canvas.Pixel{pixel(7, 7, 0x111111), pixel(7, 7, 0x222222)}}),
		encode("draw-trace", Draw{Number: 5, Trace: vectorTrace, Pixels: []canvas.Pixel{pixel(0, 0, 0)}}),
		encode("draw-without-number", Draw{Pixels: []canvas.Pixel{pixel(1, 2, 0xABCDEF)}}),
		encode("draw-far-corner", Draw{Number: MaxNumber, Pixels: []canvas.Pixel{pixel(1023, 511, 0xFFFFFF)}}),
		encode("draw-long", long),
		encode("set-name", SetName{Name: "Zoë <3"}),
		encode("set-name-anonymous", SetName{}),
		encode("ping", Ping{}),
		encode("telemetry", Telemetry{Measure: MeasureLatency, Millis: 258}),
		encode("telemetry-recovery-prober", Telemetry{Measure: MeasureRecovery, Vantage: VantageProber, Millis: 1500}),
		encode("cursor", Cursor{X: 200, Y: 100}),
		encode("cursor-gone", Cursor{Gone: true}),
		encode("view", View{X: 100, Y: 0, Width: 400, Height: 300}),
		encode("client-frame-of-three", Hello{Session: vectorSession}, SetName{Name: "Ada"}, single),
		overlong,
		unknown,
	}
}

func serverBinaryVectors() []vector {
	encode := func(name string, messages ...ServerMessage) vector {
		v := vector{Name: name, Codec: "binary", Direction: "server", server: messages}
		for _, m := range messages {
			switch m := m.(type) {
			case Updates:
				v.frame = AppendEntry(v.frame, &canvas.Entry{First: m.First, Time: m.Time, Ops: m.Ops})
			case Range:
				v.frame = AppendRange(v.frame, &m)
			default:
				v.frame = AppendServerBinary(v.frame, m)
			}
		}
		return v
	}
	at := canvas.Position{Epoch: vectorEpoch, Seq: 300}
	author := canvas.AuthorID(uint32(vectorSession.Author()))
	paint := func(number uint64, pixels ...canvas.Pixel) canvas.Op {
		return canvas.Op{Kind: canvas.Paint, Author: author, Number: number, Pixels: pixels}
	}
	single := paint(1, pixel(3, 4, 0xFF0000))
	uniform := paint(2, pixel(10, 20, 0x0000FF), pixel(11, 20, 0x0000FF), pixel(12, 19, 0x0000FF))
	many := paint(3, pixel(10, 20, 0x0000FF), pixel(0, 300, 0x00FF00))
	reset := canvas.Op{Kind: canvas.Reset, Color: 0xFFFFFF}
	cell := func(x, y uint16, c canvas.Color) Cell { return Cell{Pixel: pixel(x, y, c)} }

	// A picture of 4×3 cells in two bands.
	g := canvas.NewGrid(canvas.Spec{Width: 4, Height: 3, Background: canvas.White})
	g.Set(0, 0, 0xFF0000)
	g.Set(3, 2, 0x0000FF)
	picture := g.Freeze()
	band := func(index, y, h int) SnapshotBand {
		return SnapshotBand{Index: index, Y: y, W: 4, H: h, Data: storedBlock(picture.AppendRect(nil, 0, y, 4, h))}
	}
	begin := SnapshotBegin{Position: at, Spec: picture.Spec(), Hash: picture.Hash(), Bands: 2}
	// The same first band as zlib's deflateRaw packs it, with a back reference.
	packed := band(0, 0, 2)
	packed.Data = []byte{0xFB, 0xCF, 0xC0, 0xF0, 0x1F, 0x1B, 0x00, 0x00}

	unknown := encode("server-unknown-skipped", Pong{Time: vectorTime}, Ack{Number: 1, Seq: 2})
	pong := len(AppendServerBinary(nil, Pong{Time: vectorTime}))
	unknown.frame = append(append(append([]byte(nil), unknown.frame[:pong]...), 0x3F, 0x02, 0xBE, 0xEF), unknown.frame[pong:]...)
	unknown.DecodeOnly = true

	resumed := func(from Source) Connected {
		return Connected{Canvas: "main", Pod: "gateway-0", ClientID: "client_1", Spec: vectorSpec, Position: at, Resumed: from}
	}
	later := encode("connected-resumed-of-a-later-version", resumed(0), Pong{Time: vectorTime})
	later.frame = slices.Insert(later.frame, len(later.frame)-pong, binResumed, 1, 0x09)
	later.DecodeOnly = true
	alone := encode("server-resumed-alone-skipped", Pong{Time: vectorTime})
	alone.frame = append(alone.frame, binResumed, 1, byte(FromLog))
	alone.DecodeOnly = true

	return []vector{
		encode("connected", Connected{ClientID: "client_1700000000000_k3x9", Pod: "gateway-0", Canvas: "main",
			Spec: vectorSpec, Position: at, Author: uint32(author)}),
		encode("connected-at-greatest", Connected{Canvas: "m", Spec: canvas.Spec{Width: 4096, Height: 1, Background: 0x123456},
			Position: canvas.Position{Epoch: vectorEpoch, Seq: MaxNumber}}),
		encode("connected-resumed-memory", resumed(FromMemory)),
		encode("connected-resumed-log", resumed(FromLog), Pong{Time: vectorTime}),
		later,
		alone,
		encode("updates-single", Updates{First: 301, Time: vectorTime, Ops: []canvas.Op{single}}),
		encode("updates-uniform", Updates{First: 302, Time: vectorTime, Ops: []canvas.Op{uniform}}),
		encode("updates-many-colors", Updates{First: 303, Time: vectorTime, Ops: []canvas.Op{many}}),
		encode("updates-reset", Updates{First: 304, Time: vectorTime, Ops: []canvas.Op{reset}}),
		encode("updates-four", Updates{First: 301, Time: vectorTime, Ops: []canvas.Op{single, uniform, many, reset}}),
		encode("range", Range{Prev: 301, Seq: 310, Time: vectorTime,
			Cells: []Cell{cell(3, 4, 0xFF0000), cell(5, 4, 0xFF0000), cell(10, 20, 0x0000FF)}}),
		encode("range-reset", Range{Prev: 310, Seq: 320, Time: vectorTime, Reset: true, ResetTo: 0x00FF00,
			Cells: []Cell{cell(1023, 511, 0x000000)}}),
		encode("range-reset-alone", Range{Prev: 320, Seq: 321, Time: vectorTime, Reset: true, ResetTo: canvas.White}),
		encode("range-empty", Range{Prev: 321, Seq: 330, Time: vectorTime}),
		encode("ack", Ack{Number: 2, Seq: 302}),
		encode("ack-greatest", Ack{Number: MaxNumber, Seq: MaxNumber}),
		encode("error-permanent", Error{Code: CodeOutOfBounds, Message: CodeOutOfBounds.Message(), Number: 7}),
		encode("error-transient", Error{Code: CodeRateLimited, Message: CodeRateLimited.Message(), Number: 8, RetryAfter: 250}),
		encode("error-without-number", Error{Code: CodeInvalidFormat, Message: CodeInvalidFormat.Message()}),
		encode("status-live", Status{State: Live}),
		encode("status-degraded", Status{State: Degraded}),
		encode("status-draining", Status{State: Draining}),
		encode("snapshot-begin", begin),
		encode("snapshot-band", band(1, 2, 1)),
		encode("snapshot-band-packed", packed),
		encode("snapshot", begin, band(0, 0, 2), band(1, 2, 1)),
		encode("presence", Presence{Active: 3, Time: vectorTime, IsList: true,
			Users: []User{{Author: uint32(author), Name: "Ada"}, {Author: 1, Name: "Zoë <3"}}}),
		encode("count", Presence{Active: 1000, Time: vectorTime}),
		encode("presence-nobody-named", Presence{Active: 130, Time: vectorTime, IsList: true}),
		encode("cursors", Cursors{Here: []CursorAt{{Author: uint32(author), X: 200, Y: 100}, {Author: 1, X: 3, Y: 4}}, Gone: []uint32{7}}),
		encode("cursors-gone", Cursors{Gone: []uint32{1, 7}}),
		encode("pong", Pong{Time: vectorTime}),
		encode("server-frame-of-three", Updates{First: 301, Time: vectorTime, Ops: []canvas.Op{single}},
			Ack{Number: 1, Seq: 301}, Range{Prev: 301, Seq: 303, Time: vectorTime, Cells: []Cell{cell(0, 0, 0x808080)}}),
		unknown,
	}
}
