package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/cloud-pixel/playground/services/canvas"
)

// This file is the client's side of the JSON codec.

// EncodeClientJSON encodes a message of a client. The JSON codec has one pixel
// in an operation: a Draw must have exactly one.
func EncodeClientJSON(m ClientMessage) ([]byte, error) {
	switch m := m.(type) {
	case Hello:
		return marshal(map[string]string{"type": "hello", "session": m.Session.Hex()}), nil
	case Draw:
		if len(m.Pixels) != 1 {
			return nil, fmt.Errorf("protocol: %d pixels in a JSON operation; it has exactly one", len(m.Pixels))
		}
		p := m.Pixels[0]
		b := append([]byte(nil), `{"type":"pixel_update","x":`...)
		b = strconv.AppendUint(b, uint64(p.X), 10)
		b = append(b, `,"y":`...)
		b = strconv.AppendUint(b, uint64(p.Y), 10)
		b = append(b, `,"color":"`...)
		b = append(p.Color.Append(b), '"')
		if m.Name != "" {
			b = appendJSONString(append(b, `,"username":`...), m.Name)
		}
		if m.Number != 0 {
			b = strconv.AppendUint(append(b, `,"op":`...), m.Number, 10)
		}
		if t := FormatTraceparent(m.Trace); t != "" {
			b = append(append(append(b, `,"traceparent":"`...), t...), '"')
		}
		return append(b, '}'), nil
	case SetName:
		name := m.Name
		if name == "" {
			name = " " // the original ignores an empty name; a blank one makes anonymous
		}
		return marshal(map[string]string{"type": "set_username", "username": name}), nil
	case Ping:
		return []byte(`{"type":"ping"}`), nil
	case Telemetry:
		if !m.valid() {
			break
		}
		return marshal(struct {
			Type    string `json:"type"`
			Kind    string `json:"kind"`
			Millis  uint32 `json:"millis"`
			Vantage string `json:"vantage"`
		}{"telemetry", m.Measure.String(), m.Millis, m.Vantage.String()}), nil
	case Cursor:
		if m.Gone {
			return []byte(`{"type":"cursor"}`), nil
		}
		return fmt.Appendf(nil, `{"type":"cursor","x":%d,"y":%d}`, m.X, m.Y), nil
	case View:
		return fmt.Appendf(nil, `{"type":"view","x":%d,"y":%d,"width":%d,"height":%d}`, m.X, m.Y, m.Width, m.Height), nil
	}
	return nil, fmt.Errorf("protocol: no JSON form of %T", m)
}

// serverJSONTypes are the messages that DecodeServerJSON knows.
var serverJSONTypes = map[string]bool{
	"connected": true, "pixel_updated": true, "canvas_reset": true, "position": true,
	"resync": true, "ack": true, "error": true, "status": true, "stats": true,
	"user_list": true, "cursors": true, "pong": true,
}

// DecodeServerJSON reads one message of a gateway. Types that it does not know
// give nil, nil.
func DecodeServerJSON(frame []byte) (ServerMessage, error) {
	if m, ok := DecodePixelUpdated(frame); ok {
		return m, nil
	}
	if m, ok := DecodeAck(frame); ok {
		return m, nil
	}
	return decodeServerJSON(frame)
}

// decodeServerJSON reads every spelling of every message.
func decodeServerJSON(frame []byte) (ServerMessage, error) {
	var m struct {
		Type     string   `json:"type"`
		Message  string   `json:"message"`
		ClientID string   `json:"clientId"`
		Pod      string   `json:"pod"`
		Canvas   string   `json:"canvas"`
		Width    int      `json:"width"`
		Height   int      `json:"height"`
		Epoch    string   `json:"epoch"`
		Seq      uint64   `json:"seq"`
		Prev     uint64   `json:"prev"`
		Resumed  string   `json:"resumed"`
		X        uint16   `json:"x"`
		Y        uint16   `json:"y"`
		Color    string   `json:"color"`
		Username string   `json:"username"`
		Time     int64    `json:"timestamp"`
		Op       uint64   `json:"op"`
		Code     string   `json:"code"`
		Retry    uint32   `json:"retryAfterMs"`
		Status   string   `json:"status"`
		Active   int      `json:"activeUsers"`
		Users    []string `json:"users"`
		Cursors  []struct {
			ID       uint32 `json:"id"`
			Username string `json:"username"`
			X        uint16 `json:"x"`
			Y        uint16 `json:"y"`
		} `json:"cursors"`
		Gone []uint32 `json:"gone"`
	}
	if err := json.Unmarshal(frame, &m); err != nil {
		// A key of a later version's message may hold something else than the
		// key of that name here. After such a mismatch the rest is decoded.
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) && mismatch.Field != "" && !serverJSONTypes[m.Type] {
			return nil, nil
		}
		return nil, fmt.Errorf("protocol: message of a gateway: %w", err)
	}
	switch m.Type {
	case "connected":
		epoch, err := canvas.ParseEpoch(m.Epoch)
		if err != nil {
			return nil, err
		}
		c := Connected{
			ClientID: m.ClientID, Pod: m.Pod, Canvas: m.Canvas,
			Spec:     canvas.Spec{Width: m.Width, Height: m.Height, Background: canvas.White},
			Position: canvas.Position{Epoch: epoch, Seq: m.Seq},
		}
		for _, s := range []Source{FromMemory, FromLog} {
			if s.String() == m.Resumed {
				c.Resumed = s
			}
		}
		return c, nil
	case "pixel_updated":
		c, err := canvas.ParseColor(m.Color)
		if err != nil {
			return nil, err
		}
		return PixelUpdated{Pixel: canvas.Pixel{X: m.X, Y: m.Y, Color: c}, Name: m.Username, Time: m.Time, Prev: m.Prev, Seq: m.Seq}, nil
	case "canvas_reset":
		c, err := canvas.ParseColor(m.Color)
		if err != nil {
			return nil, err
		}
		return CanvasReset{Color: c, Prev: m.Prev, Seq: m.Seq}, nil
	case "position":
		return Advanced{Prev: m.Prev, Seq: m.Seq}, nil
	case "resync":
		epoch, err := canvas.ParseEpoch(m.Epoch)
		if err != nil {
			return nil, err
		}
		return Resync{Position: canvas.Position{Epoch: epoch, Seq: m.Seq}}, nil
	case "ack":
		return Ack{Number: m.Op, Seq: m.Seq}, nil
	case "error":
		return Error{Code: codesByName[m.Code], Message: m.Message, Number: m.Op, RetryAfter: m.Retry}, nil
	case "status":
		for _, s := range []State{Live, Degraded, Draining} {
			if s.String() == m.Status {
				return Status{State: s}, nil
			}
		}
		return nil, nil
	case "stats":
		return Presence{Active: m.Active, Time: m.Time}, nil
	case "user_list":
		users := make([]User, len(m.Users))
		for i, n := range m.Users {
			users[i].Name = n
		}
		return Presence{Users: users, Time: m.Time, IsList: true}, nil
	case "cursors":
		c := Cursors{Gone: m.Gone}
		for _, at := range m.Cursors {
			c.Here = append(c.Here, CursorAt{Author: at.ID, X: at.X, Y: at.Y, Name: at.Username})
		}
		return c, nil
	case "pong":
		return Pong{Time: m.Time}, nil
	}
	return nil, nil
}
