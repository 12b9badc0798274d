package protocol

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
)

func TestClientBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := genSpec.Draw(t, "spec")
		want := rapid.SliceOfN(genClientMessage(spec), 1, 6).Draw(t, "messages")
		var frame []byte
		for _, m := range want {
			var err error
			if frame, err = AppendClientBinary(frame, m); err != nil {
				t.Fatal(err)
			}
		}
		var got []ClientMessage
		DecodeBinary(frame, spec, func(m ClientMessage, err error) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m)
		})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// TestClientJSONRoundTrip also holds the text to what every JSON library
// understands: it is written by hand.
func TestClientJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := genSpec.Draw(t, "spec")
		var want ClientMessage
		switch rapid.IntRange(0, 5).Draw(t, "message") {
		case 4:
			want = genCursor(spec).Draw(t, "cursor")
		case 5:
			want = genView(spec).Draw(t, "view")
		case 0:
			want = Hello{Session: genSession.Draw(t, "session")}
		case 1:
			want = SetName{Name: genName.Draw(t, "name")}
		case 2:
			want = Ping{}
		default:
			want = Draw{Number: genNumber.Draw(t, "number"), Pixels: []canvas.Pixel{genPixel(spec).Draw(t, "pixel")},
				Name: genName.Draw(t, "name"), Trace: genTrace.Draw(t, "trace")}
		}
		text, err := EncodeClientJSON(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeJSON(text, spec); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot %+v, %v, want %+v", text, got, err, want)
		}
	})
}

// TestEncodersRefuse: what a codec cannot say is an error, not another message.
func TestEncodersRefuse(t *testing.T) {
	for _, pixels := range [][]canvas.Pixel{nil, make([]canvas.Pixel, canvas.MaxPixels+1)} {
		if b, err := AppendClientBinary(nil, Draw{Pixels: pixels}); err == nil {
			t.Errorf("%d pixels became %d bytes", len(pixels), len(b))
		}
	}
	for _, m := range []ClientMessage{Draw{}, Draw{Pixels: make([]canvas.Pixel, 2)}, Telemetry{}, Telemetry{Measure: 3}, Telemetry{Measure: 1, Vantage: 9}} {
		if text, err := EncodeClientJSON(m); err == nil {
			t.Errorf("%+v became %s", m, text)
		}
	}
}

func TestServerBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(genServerBinary, 1, 6).Draw(t, "messages")
		var frame []byte
		for _, m := range want {
			frame = appendServer(frame, m)
		}
		var got []ServerMessage
		if err := DecodeServerBinary(frame, func(m ServerMessage) error {
			got = append(got, m)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// TestServerJSONRoundTrip: JSON tells neither the background nor tags, and the
// list of users apart from their number.
func TestServerJSONRoundTrip(t *testing.T) {
	decode := func(t *rapid.T, frame []byte) ServerMessage {
		m, err := DecodeServerJSON(frame)
		if err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		want := genPlain.Draw(t, "message")
		if c, ok := want.(Connected); ok {
			c.Spec.Background, c.Author = canvas.White, 0
			want = c
		}
		frames := EncodeJSON(want)
		if got := decode(t, frames[0]); len(frames) != 1 || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}

		p := genPresence.Draw(t, "presence")
		users := make([]User, len(p.Users))
		for i := range users {
			users[i].Name = p.Users[i].Name
		}
		frames = EncodeJSON(p)
		for i, want := range []Presence{{Active: p.Active, Time: p.Time}, {Users: users, Time: p.Time, IsList: true}} {
			if got := decode(t, frames[i]); !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}

		cursors := genCursors.Draw(t, "cursors")
		for i := range cursors.Here {
			if cursors.Here[i].Name = genName.Draw(t, "name"); cursors.Here[i].Name == "" {
				cursors.Here[i].Name = Anonymous
			}
		}
		if got := decode(t, EncodeJSON(cursors)[0]); !reflect.DeepEqual(got, cursors) {
			t.Fatalf("got %+v, want %+v", got, cursors)
		}

		at := Resync{Position: genPosition.Draw(t, "resync")}
		if got := decode(t, EncodeJSON(at)[0]); !reflect.DeepEqual(got, at) {
			t.Fatalf("got %+v, want %+v", got, at)
		}
	})
}

// replay is a JSON client as docs/PROTOCOL.md tells one to be.
type replay struct {
	grid *canvas.Grid
	last uint64
}

func (r *replay) take(t *rapid.T, frame []byte) {
	m, err := DecodeServerJSON(frame)
	if err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	covers := func(prev, seq uint64) bool {
		if prev > r.last {
			t.Fatalf("gap: %s after %d", frame, r.last)
		}
		use := seq >= r.last
		r.last = max(r.last, seq)
		return use
	}
	switch m := m.(type) {
	case PixelUpdated:
		if covers(m.Prev, m.Seq) {
			r.grid.Set(int(m.Pixel.X), int(m.Pixel.Y), m.Pixel.Color)
		}
	case CanvasReset:
		if covers(m.Prev, m.Seq) {
			r.grid.Apply(&canvas.Op{Kind: canvas.Reset, Color: m.Color})
		}
	case Advanced:
		covers(m.Prev, m.Seq)
	default:
		t.Fatalf("unexpected %s", frame)
	}
}

// TestJSONFollowsTheLog: whoever applies the messages of entries by the
// position rule has the picture of the log, as an original client or a new
// one, and also after coming back from the prev of any message.
func TestJSONFollowsTheLog(t *testing.T) {
	spec := canvas.Spec{Width: 7, Height: 5, Background: canvas.White}
	tooWide := canvas.Spec{Width: 8, Height: 5}
	rapid.Check(t, func(t *rapid.T) {
		e := canvas.Entry{First: 1}
		want := canvas.NewGrid(spec)
		for range rapid.IntRange(1, 12).Draw(t, "ops") {
			o := canvas.Op{Kind: canvas.Paint, Name: genName.Draw(t, "name")}
			if rapid.IntRange(0, 4).Draw(t, "reset") == 0 {
				o.Kind, o.Color = canvas.Reset, genColor.Draw(t, "colour")
			} else {
				o.Pixels = rapid.SliceOfN(genPixel(tooWide), 1, 6).Draw(t, "pixels")
			}
			e.Ops = append(e.Ops, o)
			want.Apply(&o)
		}
		var frames [][]byte
		j := JSON{Original: rapid.Bool().Draw(t, "original")}
		j.Entry(&e, spec, func(b []byte) { frames = append(frames, append([]byte(nil), b...)) })

		client := replay{grid: canvas.NewGrid(spec)}
		cut := rapid.IntRange(1, len(frames)).Draw(t, "connection lost after")
		for _, f := range frames[:cut] {
			client.take(t, f)
		}
		m, _ := DecodeServerJSON(frames[cut-1])
		switch m := m.(type) { // comes back with prev of its last message
		case PixelUpdated:
			client.last = m.Prev
		case CanvasReset:
			client.last = m.Prev
		}
		if rest := e.After(client.last); rest != nil {
			j.Entry(rest, spec, func(b []byte) { client.take(t, b) })
		}
		if client.last != e.Last() || client.grid.Hash() != want.Hash() {
			t.Fatalf("at %d of %d the picture differs", client.last, e.Last())
		}
	})
}

// TestJSONReset: an original client gets a small reset as pixels.
func TestJSONReset(t *testing.T) {
	for _, row := range []struct {
		original bool
		spec     canvas.Spec
		messages int
	}{
		{true, canvas.Spec{Width: 100, Height: 100}, MaxOriginalReset},
		{true, canvas.Spec{Width: 10_001, Height: 1}, 1},
		{false, canvas.Spec{Width: 2, Height: 2}, 1},
	} {
		n := 0
		j := JSON{Original: row.original}
		j.Range(&Range{Prev: 1, Seq: 5, Reset: true}, row.spec, func([]byte) { n++ })
		if n != row.messages {
			t.Errorf("original %v, %d cells: %d messages, want %d", row.original, row.spec.Cells(), n, row.messages)
		}
	}
}

// TestAppendEntryCuts: a long entry becomes several messages that are not much
// longer than MaxUpdatesBody and whose positions follow each other.
func TestAppendEntryCuts(t *testing.T) {
	e := &canvas.Entry{First: 1000, Time: 5}
	for i := range 40 {
		o := canvas.Op{Kind: canvas.Paint, Number: uint64(i)}
		for p := range uint16(canvas.MaxPixels) {
			o.Pixels = append(o.Pixels, canvas.Pixel{X: p * 17 % 4096, Y: p * 31 % 4096, Color: canvas.Color(p)})
		}
		e.Ops = append(e.Ops, o)
	}
	largest := len(AppendBody(nil, &e.Ops[0])) + 4 + binary.MaxVarintLen64
	frame := AppendEntry(nil, e)
	next, messages := e.First, 0
	if err := DecodeServerBinary(frame, func(m ServerMessage) error {
		u := m.(Updates)
		if u.First != next || u.Time != e.Time {
			t.Errorf("message at %d, time %d; want %d, %d", u.First, u.Time, next, e.Time)
		}
		if n := len(AppendEntry(nil, &canvas.Entry{First: u.First, Time: u.Time, Ops: u.Ops})); n > MaxUpdatesBody+largest+8 {
			t.Errorf("message of %d bytes", n)
		}
		next += uint64(len(u.Ops))
		messages++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if next != e.Last()+1 || messages < 2 {
		t.Errorf("%d messages up to %d, want several up to %d", messages, next, e.Last()+1)
	}
}

// TestResumedStandsBehindConnected: elsewhere it says nothing, as to a reader
// that does not know it.
func TestResumedStandsBehindConnected(t *testing.T) {
	connected, resumed := AppendServerBinary(nil, Connected{Canvas: "main"}), []byte{binResumed, 1, byte(FromLog)}
	pong, unknown := AppendServerBinary(nil, Pong{}), []byte{0x3F, 0}
	for _, row := range []struct {
		name  string
		parts [][]byte
		want  []ServerMessage
	}{
		{"behind it", [][]byte{connected, resumed, pong}, []ServerMessage{Connected{Canvas: "main", Resumed: FromLog}, Pong{}}},
		{"behind another one", [][]byte{connected, pong, resumed}, []ServerMessage{Connected{Canvas: "main"}, Pong{}}},
		{"behind an unknown one", [][]byte{connected, unknown, resumed}, []ServerMessage{Connected{Canvas: "main"}}},
		{"twice", [][]byte{connected, resumed, {binResumed, 1, byte(FromMemory)}}, []ServerMessage{Connected{Canvas: "main", Resumed: FromLog}}},
		{"before it", [][]byte{resumed, connected}, []ServerMessage{Connected{Canvas: "main"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			frame := bytes.Join(row.parts, nil)
			var decoded, visited []ServerMessage
			take := func(to *[]ServerMessage) func(ServerMessage) error {
				return func(m ServerMessage) error { *to = append(*to, m); return nil }
			}
			if err := DecodeServerBinary(frame, take(&decoded)); err != nil || !reflect.DeepEqual(decoded, row.want) {
				t.Errorf("decoded %+v, %v", decoded, err)
			}
			if err := VisitServerBinary(frame, func(uint64, canvas.Pixel) {}, take(&visited)); err != nil || !reflect.DeepEqual(visited, row.want) {
				t.Errorf("visited %+v, %v", visited, err)
			}
		})
	}
}
