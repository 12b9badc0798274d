package protocol

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/cloud-pixel/playground/services/canvas"
)

// MaxOriginalReset is the greatest number of cells for which a connection of
// the original's protocol gets a reset as one pixel_updated per cell. Beyond,
// it gets canvas_reset, which it ignores, and has to load the canvas again.
const MaxOriginalReset = 10_000

// Anonymous is the name that the JSON codec shows for an author without one.
const Anonymous = "Anonymous"

// JSON encodes messages to JSON clients. Each method calls emit once for every
// message; the bytes are valid until emit returns. A JSON value is not safe
// for concurrent use (it keeps its buffer).
type JSON struct {
	// Original makes messages for connections that never showed that they know
	// more than the original's protocol.
	Original bool

	buf []byte
}

// Entry encodes the operations of an entry. Operations that the canvas cannot
// hold change nothing, but their positions are told.
func (j *JSON) Entry(e *canvas.Entry, spec canvas.Spec, emit func([]byte)) {
	for i := range e.Ops {
		o := &e.Ops[i]
		seq := e.First + uint64(i)
		switch {
		case o.Check(spec) != nil:
			j.emitAdvanced(seq-1, seq, emit)
		case o.Kind == canvas.Reset:
			j.emitReset(o.Color, o.Name, seq-1, seq, e.Time, spec, emit)
		default:
			for _, p := range o.Pixels {
				j.emitPixel(p, o.Name, e.Time, seq-1, seq, emit)
			}
		}
	}
}

// Range encodes a conflated range.
func (j *JSON) Range(r *Range, spec canvas.Spec, emit func([]byte)) {
	if r.Reset {
		j.emitReset(r.ResetTo, "", r.Prev, r.Seq, r.Time, spec, emit)
	}
	for _, c := range r.Cells {
		j.emitPixel(c.Pixel, c.Name, r.Time, r.Prev, r.Seq, emit)
	}
	if !r.Reset && len(r.Cells) == 0 {
		j.emitAdvanced(r.Prev, r.Seq, emit)
	}
}

func (j *JSON) emitPixel(p canvas.Pixel, name string, time int64, prev, seq uint64, emit func([]byte)) {
	b := append(j.buf[:0], `{"type":"pixel_updated","x":`...)
	b = strconv.AppendUint(b, uint64(p.X), 10)
	b = append(b, `,"y":`...)
	b = strconv.AppendUint(b, uint64(p.Y), 10)
	b = append(b, `,"color":"`...)
	b = p.Color.Append(b)
	b = append(b, `","username":`...)
	if name == "" {
		name = Anonymous
	}
	b = appendJSONString(b, name)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, time, 10)
	b = appendPosition(b, prev, seq)
	j.buf = append(b, '}')
	emit(j.buf)
}

func (j *JSON) emitReset(c canvas.Color, name string, prev, seq uint64, time int64, spec canvas.Spec, emit func([]byte)) {
	if j.Original && spec.Cells() <= MaxOriginalReset {
		for y := range spec.Height {
			for x := range spec.Width {
				j.emitPixel(canvas.Pixel{X: uint16(x), Y: uint16(y), Color: c}, name, time, prev, seq, emit)
			}
		}
		return
	}
	b := append(j.buf[:0], `{"type":"canvas_reset","color":"`...)
	b = c.Append(b)
	b = append(b, '"')
	b = appendPosition(b, prev, seq)
	j.buf = append(b, '}')
	emit(j.buf)
}

func (j *JSON) emitAdvanced(prev, seq uint64, emit func([]byte)) {
	b := append(j.buf[:0], `{"type":"position"`...)
	b = appendPosition(b, prev, seq)
	j.buf = append(b, '}')
	emit(j.buf)
}

func appendPosition(b []byte, prev, seq uint64) []byte {
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"prev":`...)
	return strconv.AppendUint(b, prev, 10)
}

// EncodeJSON encodes a message that goes to one connection, or to all but not
// often: everything except updates, ranges and snapshots. Presence gives two
// messages, stats and user_list, all others one.
func EncodeJSON(m ServerMessage) [][]byte {
	switch m := m.(type) {
	case Connected:
		resumed := ""
		if m.Resumed != 0 {
			resumed = m.Resumed.String()
		}
		return [][]byte{marshal(struct {
			Type     string `json:"type"`
			Message  string `json:"message"`
			ClientID string `json:"clientId"`
			Pod      string `json:"pod"`
			Canvas   string `json:"canvas"`
			Width    int    `json:"width"`
			Height   int    `json:"height"`
			Epoch    string `json:"epoch"`
			Seq      uint64 `json:"seq"`
			Resumed  string `json:"resumed,omitempty"`
		}{"connected", "Connected to Cloud Pixel Playground", m.ClientID, m.Pod, m.Canvas,
			m.Spec.Width, m.Spec.Height, m.Position.Epoch.String(), m.Position.Seq, resumed})}
	case Resync:
		return [][]byte{marshal(struct {
			Type  string `json:"type"`
			Epoch string `json:"epoch"`
			Seq   uint64 `json:"seq"`
		}{"resync", m.Position.Epoch.String(), m.Position.Seq})}
	case Ack:
		b := append([]byte(nil), `{"type":"ack","op":`...)
		b = strconv.AppendUint(b, m.Number, 10)
		b = append(b, `,"seq":`...)
		return [][]byte{append(strconv.AppendUint(b, m.Seq, 10), '}')}
	case Error:
		return [][]byte{marshal(struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Code    string `json:"code"`
			Op      uint64 `json:"op,omitempty"`
			Retry   uint32 `json:"retryAfterMs,omitempty"`
		}{"error", m.Message, m.Code.String(), m.Number, m.RetryAfter})}
	case Status:
		return [][]byte{marshal(struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		}{"status", m.State.String()})}
	case Presence:
		stats := marshal(struct {
			Type   string `json:"type"`
			Active int    `json:"activeUsers"`
			Time   int64  `json:"timestamp"`
		}{"stats", m.Active, m.Time})
		if !m.IsList {
			return [][]byte{stats}
		}
		names := make([]string, len(m.Users))
		for i, u := range m.Users {
			names[i] = u.Name
		}
		return [][]byte{stats, marshal(struct {
			Type  string   `json:"type"`
			Users []string `json:"users"`
			Time  int64    `json:"timestamp"`
		}{"user_list", names, m.Time})}
	case Cursors:
		return [][]byte{encodeJSONCursors(m)}
	case Pong:
		return [][]byte{append(strconv.AppendInt([]byte(`{"type":"pong","timestamp":`), m.Time, 10), '}')}
	}
	panic("protocol: not a message of the JSON codec")
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // the structs above cannot fail
	}
	return b
}

// appendJSONString appends s as a JSON string. Names are short and nearly
// always plain, so only the others go through encoding/json.
func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf || c == '<' || c == '>' || c == '&' {
			return append(b, marshal(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
