package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew from the encoders")

const vectorFile = "testdata/vectors.json"

// vector is one frame and what it says. The JavaScript tests of the page read
// the same file, so it holds nothing that only Go understands; the comment at
// describe gives its form, docs/PROTOCOL.md explains it to readers.
type vector struct {
	Name      string `json:"name"`
	Codec     string `json:"codec"`     // binary or json
	Direction string `json:"direction"` // who sends it: client or server
	Hex       string `json:"hex,omitempty"`
	Text      string `json:"text,omitempty"`
	// DecodeOnly marks frames that a reader must understand and no encoder
	// of ours writes.
	DecodeOnly bool             `json:"decodeOnly,omitempty"`
	Messages   []map[string]any `json:"messages"`

	frame  []byte
	client []ClientMessage
	server []ServerMessage
}

// TestVectors compares the encoders with testdata/vectors.json byte by byte,
// and the decoders with the messages that the frames were made of. A change of
// the file is a change of the wire: clients of today have to live with it.
func TestVectors(t *testing.T) {
	vectors := allVectors(t)
	names := map[string]bool{}
	for _, v := range vectors {
		if names[v.Name] {
			t.Errorf("two vectors are named %q", v.Name)
		}
		names[v.Name] = true
		t.Run(v.Name, func(t *testing.T) { checkDecoding(t, &v) })
	}

	want := renderVectors(t, vectors)
	if *update {
		if err := os.WriteFile(vectorFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
		for i := range min(len(gotLines), len(wantLines)) {
			if gotLines[i] != wantLines[i] {
				t.Fatalf("%s, line %d\nfile:     %s\nencoders: %s\n(go test -run TestVectors -update writes it anew)", vectorFile, i+1, gotLines[i], wantLines[i])
			}
		}
		t.Fatalf("%s has %d lines, the encoders give %d", vectorFile, len(gotLines), len(wantLines))
	}
}

// TestVectorsCoverTheProtocol fails when a message or head gets no vector.
func TestVectorsCoverTheProtocol(t *testing.T) {
	seen := map[string]bool{}
	heads := map[byte]bool{}
	for _, v := range allVectors(t) {
		for _, m := range v.client {
			seen[v.Codec+reflect.TypeOf(m).Name()] = true
		}
		for _, m := range v.server {
			seen[v.Codec+reflect.TypeOf(m).Name()] = true
			if u, ok := m.(Updates); ok {
				for i := range u.Ops {
					heads[AppendBody(nil, &u.Ops[i])[0]] = true
				}
			}
		}
	}
	for _, name := range strings.Fields(`
		binaryHello binaryDraw binarySetName binaryPing binaryTelemetry binaryCursor binaryView
		binaryConnected binaryUpdates binaryRange binaryAck binaryError binaryStatus
		binarySnapshotBegin binarySnapshotBand binaryPresence binaryCursors binaryPong
		jsonHello jsonDraw jsonSetName jsonPing jsonCursor jsonView jsonCursors
		jsonConnected jsonPixelUpdated jsonCanvasReset jsonAdvanced jsonResync jsonAck
		jsonError jsonStatus jsonPresence jsonPong`) {
		if !seen[name] {
			t.Errorf("no vector has a message %s", name)
		}
	}
	for _, head := range []byte{0x01, 0x02, 0x05, 0x09} {
		if !heads[head] {
			t.Errorf("no vector has an operation with head %#x", head)
		}
	}
}

func checkDecoding(t *testing.T, v *vector) {
	var client []ClientMessage
	var server []ServerMessage
	switch v.Codec + " " + v.Direction {
	case "binary client":
		DecodeBinary(v.frame, vectorSpec, func(m ClientMessage, err error) {
			if refusal, ok := err.(*Refusal); ok && v.DecodeOnly && refusal.Code == CodeUnknownType {
				return // what a gateway answers to a type of a later version
			}
			if err != nil {
				t.Error(err)
			}
			client = append(client, m)
		})
	case "binary server":
		if err := DecodeServerBinary(v.frame, func(m ServerMessage) error {
			server = append(server, m)
			return nil
		}); err != nil {
			t.Error(err)
		}
	case "json client":
		m, err := DecodeJSON(v.frame, vectorSpec)
		if err != nil {
			t.Error(err)
		}
		client = append(client, m)
	case "json server":
		m, err := DecodeServerJSON(v.frame)
		if err != nil {
			t.Error(err)
		}
		if m != nil {
			server = append(server, m)
		}
	}
	if !reflect.DeepEqual(client, v.client) {
		t.Errorf("decoded\n%+v, want\n%+v", client, v.client)
	}
	if !reflect.DeepEqual(server, v.server) {
		t.Errorf("decoded\n%+v, want\n%+v", server, v.server)
	}
}

// renderVectors writes one vector a line.
func renderVectors(t *testing.T, vectors []vector) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	out.WriteString("[\n")
	for i, v := range vectors {
		v.Messages = []map[string]any{} // an empty list, not null
		if v.Codec == "binary" {
			v.Hex = hex.EncodeToString(v.frame)
		} else {
			v.Text = string(v.frame)
		}
		for _, m := range v.client {
			v.Messages = append(v.Messages, describeClient(t, m))
		}
		for _, m := range v.server {
			v.Messages = append(v.Messages, describeServer(t, m))
		}
		if i > 0 {
			out.Truncate(out.Len() - 1)
			out.WriteString(",\n")
		}
		if err := encoder.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	out.WriteString("]\n")
	return out.Bytes()
}

func describeClient(t *testing.T, m ClientMessage) map[string]any {
	switch m := m.(type) {
	case Hello:
		return map[string]any{"type": "hello", "session": m.Session.Hex(), "author": uint32(m.Session.Author())}
	case Draw:
		d := map[string]any{"type": "draw", "number": m.Number, "pixels": describePixels(m.Pixels)}
		if m.Trace != (canvas.Trace{}) {
			d["traceparent"] = FormatTraceparent(m.Trace)
		}
		if m.Name != "" {
			d["name"] = m.Name
		}
		return d
	case SetName:
		return map[string]any{"type": "setName", "name": m.Name}
	case Ping:
		return map[string]any{"type": "ping"}
	case Telemetry:
		return map[string]any{"type": "telemetry", "kind": m.kind(), "millis": m.Millis}
	case Cursor:
		if m.Gone {
			return map[string]any{"type": "cursor"}
		}
		return map[string]any{"type": "cursor", "x": m.X, "y": m.Y}
	case View:
		return map[string]any{"type": "view", "x": m.X, "y": m.Y, "width": m.Width, "height": m.Height}
	}
	t.Fatalf("no description of %T", m)
	return nil
}

func describeServer(t *testing.T, m ServerMessage) map[string]any {
	switch m := m.(type) {
	case Connected:
		d := map[string]any{"type": "connected", "epoch": m.Position.Epoch.String(), "seq": m.Position.Seq,
			"width": m.Spec.Width, "height": m.Spec.Height, "background": m.Spec.Background.String(),
			"author": m.Author, "canvas": m.Canvas, "pod": m.Pod, "clientId": m.ClientID}
		if m.Resumed != 0 {
			d["resumed"] = m.Resumed.String()
		}
		return d
	case Updates:
		ops := make([]map[string]any, len(m.Ops))
		for i, o := range m.Ops {
			ops[i] = map[string]any{"author": uint32(o.Author), "number": o.Number}
			if o.Kind == canvas.Reset {
				ops[i]["kind"], ops[i]["color"] = "reset", o.Color.String()
			} else {
				ops[i]["kind"], ops[i]["pixels"] = "paint", describePixels(o.Pixels)
			}
		}
		return map[string]any{"type": "updates", "first": m.First, "time": m.Time, "ops": ops}
	case PixelUpdated:
		return map[string]any{"type": "pixelUpdated", "pixel": describePixels([]canvas.Pixel{m.Pixel})[0],
			"name": m.Name, "time": m.Time, "prev": m.Prev, "seq": m.Seq}
	case CanvasReset:
		return map[string]any{"type": "canvasReset", "color": m.Color.String(), "prev": m.Prev, "seq": m.Seq}
	case Advanced:
		return map[string]any{"type": "advanced", "prev": m.Prev, "seq": m.Seq}
	case Range:
		r := map[string]any{"type": "range", "prev": m.Prev, "seq": m.Seq, "time": m.Time, "reset": nil}
		if m.Reset {
			r["reset"] = m.ResetTo.String()
		}
		cells := make([]canvas.Pixel, len(m.Cells))
		for i, c := range m.Cells {
			cells[i] = c.Pixel
		}
		r["cells"] = describePixels(cells)
		return r
	case SnapshotBegin:
		return map[string]any{"type": "snapshotBegin", "epoch": m.Position.Epoch.String(), "seq": m.Position.Seq,
			"width": m.Spec.Width, "height": m.Spec.Height, "background": m.Spec.Background.String(),
			"hash": decimal(m.Hash), "bands": m.Bands}
	case SnapshotBand:
		g := canvas.NewGrid(canvas.Spec{Width: m.X + m.W, Height: m.Y + m.H})
		if err := LoadBand(g, &m); err != nil {
			t.Fatal(err)
		}
		return map[string]any{"type": "snapshotBand", "index": m.Index, "x": m.X, "y": m.Y, "w": m.W, "h": m.H,
			"data": hex.EncodeToString(m.Data), "rgb": hex.EncodeToString(g.Freeze().AppendRect(nil, m.X, m.Y, m.W, m.H))}
	case Resync:
		return map[string]any{"type": "resync", "epoch": m.Position.Epoch.String(), "seq": m.Position.Seq}
	case Ack:
		return map[string]any{"type": "ack", "number": m.Number, "seq": m.Seq}
	case Error:
		return map[string]any{"type": "error", "code": m.Code.String(), "message": m.Message, "number": m.Number, "retryAfter": m.RetryAfter}
	case Status:
		return map[string]any{"type": "status", "state": m.State.String()}
	case Presence:
		users := make([]map[string]any, len(m.Users))
		for i, u := range m.Users {
			users[i] = map[string]any{"author": u.Author, "name": u.Name}
		}
		return map[string]any{"type": "presence", "active": m.Active, "time": m.Time, "users": users, "isList": m.IsList}
	case Cursors:
		here := make([]map[string]any, len(m.Here))
		for i, c := range m.Here {
			here[i] = map[string]any{"author": c.Author, "x": c.X, "y": c.Y}
			if c.Name != "" {
				here[i]["name"] = c.Name
			}
		}
		return map[string]any{"type": "cursors", "here": here, "gone": append([]uint32{}, m.Gone...)}
	case Pong:
		return map[string]any{"type": "pong", "time": m.Time}
	}
	t.Fatalf("no description of %T", m)
	return nil
}

func describePixels(pixels []canvas.Pixel) [][]any {
	all := make([][]any, len(pixels))
	for i, p := range pixels {
		all[i] = []any{p.X, p.Y, p.Color.String()}
	}
	return all
}
