package protocol

import (
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

func clientJSONVectors(t *testing.T) []vector {
	encode := func(name string, m ClientMessage) vector {
		frame, err := EncodeClientJSON(m)
		if err != nil {
			t.Fatal(err)
		}
		return vector{Name: name, Codec: "json", Direction: "client", frame: frame, client: []ClientMessage{m}}
	}
	only := func(name, text string, m ClientMessage) vector {
		return vector{Name: name, Codec: "json", Direction: "client", DecodeOnly: true, frame: []byte(text), client: []ClientMessage{m}}
	}
	pixels := func(x, y uint16, c canvas.Color) []canvas.Pixel { return []canvas.Pixel{pixel(x, y, c)} }
	return []vector{
		encode("json-hello", Hello{Session: vectorSession}),
		encode("json-draw", Draw{Pixels: pixels(3, 4, 0xFF0000)}),
		encode("json-draw-all-keys", Draw{Number: 1, Name: "Zoë <3", Trace: vectorTrace, Pixels: pixels(3, 4, 0xFF0000)}),
		encode("json-set-name", SetName{Name: "Ada"}),
		encode("json-set-name-anonymous", SetName{}),
		encode("json-ping", Ping{}),
		encode("json-telemetry", Telemetry{Measure: MeasureRecovery, Vantage: VantageK6, Millis: 1500}),
		only("json-telemetry-of-a-page", `{"type":"telemetry","kind":"latency","millis":258}`, Telemetry{Measure: MeasureLatency, Millis: 258}),
		encode("json-cursor", Cursor{X: 200, Y: 100}),
		encode("json-cursor-gone", Cursor{Gone: true}),
		encode("json-view", View{X: 100, Y: 0, Width: 400, Height: 300}),
		only("json-draw-original", `{"type":"pixel_update","x":3,"y":4,"color":"#ff00aA","username":"Ada"}`,
			Draw{Name: "Ada", Pixels: pixels(3, 4, 0xFF00AA)}),
		only("json-draw-integers", ` {"x":1e1,"y":-0,"color":"#000000","type":"pixel_update","extra":[{}]} `,
			Draw{Pixels: pixels(10, 0, 0)}),
		only("json-set-name-cut", `{"type":"set_username","username":"  a name of more than twenty characters "}`,
			SetName{Name: "a name of more than"}),
	}
}

func serverJSONVectors() []vector {
	var all []vector
	add := func(name string, frame []byte, m ServerMessage) {
		all = append(all, vector{Name: name, Codec: "json", Direction: "server",
			frame: append([]byte(nil), frame...), server: []ServerMessage{m}})
	}
	one := func(name string, m ServerMessage) { add(name, EncodeJSON(m)[0], m) }
	at := canvas.Position{Epoch: vectorEpoch, Seq: 300}
	one("json-connected", Connected{ClientID: "client_1700000000000_k3x9", Pod: "gateway-0", Canvas: "main",
		Spec: canvas.Spec{Width: 50, Height: 50, Background: canvas.White}, Position: at})
	for _, from := range []Source{FromMemory, FromLog} {
		one("json-connected-resumed-"+from.String(), Connected{ClientID: "client_1", Pod: "gateway-0", Canvas: "main",
			Spec: canvas.Spec{Width: 50, Height: 50, Background: canvas.White}, Position: at, Resumed: from})
	}
	one("json-resync", Resync{Position: at})
	one("json-ack", Ack{Number: 2, Seq: 302})
	one("json-error-original", Error{Code: CodeInvalidFormat, Message: CodeInvalidFormat.Message()})
	one("json-error-permanent", Error{Code: CodeOutOfBounds, Message: CodeOutOfBounds.Message(), Number: 7})
	one("json-error-transient", Error{Code: CodeRateLimited, Message: CodeRateLimited.Message(), Number: 8, RetryAfter: 250})
	for _, s := range []State{Live, Degraded, Draining} {
		one("json-status-"+s.String(), Status{State: s})
	}
	one("json-cursors", Cursors{Here: []CursorAt{{Author: 330326522, X: 200, Y: 100, Name: "Zoë <3"}, {Author: 1, X: 3, Y: 4, Name: Anonymous}}})
	one("json-cursors-gone", Cursors{Here: []CursorAt{{Author: 1, X: 3, Y: 4, Name: "Ada"}}, Gone: []uint32{7, 9}})
	one("json-pong", Pong{Time: vectorTime})
	presence := EncodeJSON(Presence{Active: 3, Time: vectorTime, IsList: true, Users: []User{{Name: "Ada"}, {Name: "Zoë <3"}}})
	add("json-stats", presence[0], Presence{Active: 3, Time: vectorTime})
	add("json-user-list", presence[1], Presence{Users: []User{{Name: "Ada"}, {Name: "Zoë <3"}}, Time: vectorTime, IsList: true})

	// Operations and ranges, as their first and last message.
	var frames [][]byte
	emit := func(b []byte) { frames = append(frames, append([]byte(nil), b...)) }
	var j JSON
	j.Entry(&canvas.Entry{First: 301, Time: vectorTime, Ops: []canvas.Op{
		{Kind: canvas.Paint, Name: "Ada", Pixels: []canvas.Pixel{pixel(3, 4, 0xFF00AA)}},
		{Kind: canvas.Paint, Pixels: []canvas.Pixel{pixel(5, 6, 0x00FF00), pixel(6, 6, 0x0000FF)}},
		{Kind: canvas.Reset, Color: canvas.White},
		{Kind: canvas.Paint, Pixels: []canvas.Pixel{pixel(5000, 0, 0)}}, // not on the canvas: a no-op
	}}, vectorSpec, emit)
	j.Range(&Range{Prev: 304, Seq: 310, Time: vectorTime, Cells: []Cell{{Pixel: pixel(1, 1, 0x123456), Name: "Ada"}}}, vectorSpec, emit)
	update := func(x, y uint16, c canvas.Color, name string, prev, seq uint64) PixelUpdated {
		return PixelUpdated{Pixel: pixel(x, y, c), Name: name, Time: vectorTime, Prev: prev, Seq: seq}
	}
	add("json-pixel-updated", frames[0], update(3, 4, 0xFF00AA, "Ada", 300, 301))
	add("json-pixel-updated-first-of-two", frames[1], update(5, 6, 0x00FF00, Anonymous, 301, 302))
	add("json-pixel-updated-second-of-two", frames[2], update(6, 6, 0x0000FF, Anonymous, 301, 302))
	add("json-canvas-reset", frames[3], CanvasReset{Color: canvas.White, Prev: 302, Seq: 303})
	add("json-position", frames[4], Advanced{Prev: 303, Seq: 304})
	add("json-pixel-updated-conflated", frames[5], update(1, 1, 0x123456, "Ada", 304, 310))
	later := `{"type":"connected","message":"","clientId":"c","pod":"p","canvas":"main","width":50,"height":50,"epoch":"` +
		vectorEpoch.String() + `","seq":300,"resumed":"of a later version"}`
	all = append(all, vector{Name: "json-connected-resumed-of-a-later-version", Codec: "json", Direction: "server", DecodeOnly: true,
		frame: []byte(later), server: []ServerMessage{Connected{ClientID: "c", Pod: "p", Canvas: "main",
			Spec: canvas.Spec{Width: 50, Height: 50, Background: canvas.White}, Position: at}}})
	all = append(all, vector{Name: "json-server-unknown-skipped", Codec: "json", Direction: "server", DecodeOnly: true,
		frame: []byte(`{"type":"of a later version","x":"left"}`)})
	return all
}
