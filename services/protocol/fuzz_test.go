package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

// The targets ask three things of each decoder: no input stops the process,
// what is accepted says the same after encoding it again, and what is made of
// an input is in proportion to it.

// seed gives the vectors of one codec and direction to a target.
func seed(f *testing.F, codec, direction string) {
	for _, v := range append(append(serverBinaryVectors(), clientBinaryVectors(nil)...), append(clientJSONVectors(nil), serverJSONVectors()...)...) {
		if v.Codec == codec && v.Direction == direction {
			f.Add(v.frame)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	seed(f, "json", "client")
	f.Add([]byte(`{"\u0074ype":"ping","a":[{"}":"\""}],"type" : "hello"}`))
	f.Add([]byte(`{"type":"pixel_update","x":1.50e1,"x":0,"y":-0,"color":"#aBcDeF","username":"\ud800","op":1e3}`))
	f.Add([]byte(`[[[[]]]]`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if trimmed := bytes.Trim(frame, jsonSpace); json.Valid(trimmed) && trimmed[0] == '{' {
			checkScan(t, trimmed)
		}
		m, err := DecodeJSON(frame, vectorSpec)
		checkAnswer(t, m, err, true)
		if err != nil || m == nil {
			return
		}
		text, err := EncodeClientJSON(m)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeJSON(text, vectorSpec); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%q is %+v; encoded as %q, that is %+v, %v", frame, m, text, again, err)
		}
	})
}

// checkScan compares the scanner with encoding/json's own reading.
func checkScan(t *testing.T, object []byte) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return // nested too deep: DecodeJSON refuses it before it scans
	}
	o := scanObject(object)
	for key, got := range map[string][]byte{"type": o.kind, "x": o.x, "y": o.y, "color": o.color,
		"username": o.username, "op": o.op, "traceparent": o.traceparent, "session": o.session} {
		if want := all[key]; !bytes.Equal(got, want) {
			t.Fatalf("%q of %q is %q, want %q", key, object, got, want)
		}
	}
}

func checkAnswer(t *testing.T, m ClientMessage, err error, silence bool) {
	var refused *Refusal
	switch {
	case err == nil && m == nil:
		if !silence {
			t.Fatal("neither a message nor a refusal")
		}
	case err == nil:
	case m != nil || !errors.As(err, &refused) || refused.Code.Transient() || refused.Code.String() == "unknown":
		t.Fatalf("message %+v with error %v", m, err)
	}
}

func FuzzDecodeBinary(f *testing.F) {
	seed(f, "binary", "client")
	f.Fuzz(func(t *testing.T, frame []byte) {
		var accepted []ClientMessage
		answers, pixels := 0, 0
		DecodeBinary(frame, vectorSpec, func(m ClientMessage, err error) {
			checkAnswer(t, m, err, false)
			answers++
			if err == nil {
				accepted = append(accepted, m)
			}
			if d, ok := m.(Draw); ok {
				pixels += len(d.Pixels)
			}
		})
		if answers > 1+len(frame)/2 || pixels > len(frame)/2 {
			t.Fatalf("%d answers with %d pixels for %d bytes", answers, pixels, len(frame))
		}
		var again []byte
		for _, m := range accepted {
			var err error
			if again, err = AppendClientBinary(again, m); err != nil {
				t.Fatal(err)
			}
		}
		if len(accepted) == 0 {
			return
		}
		DecodeBinary(again, vectorSpec, func(m ClientMessage, err error) {
			if err != nil || !reflect.DeepEqual(m, accepted[0]) {
				t.Fatalf("%+v became %+v, %v", accepted[0], m, err)
			}
			accepted = accepted[1:]
		})
		if len(accepted) != 0 {
			t.Fatalf("%+v was lost", accepted)
		}
	})
}

func FuzzDecodeServerBinary(f *testing.F) {
	seed(f, "binary", "server")
	f.Fuzz(func(t *testing.T, frame []byte) {
		parts := 0
		// The error is the verdict on the input; what came before it counts.
		_ = DecodeServerBinary(frame, func(m ServerMessage) error {
			switch m := m.(type) {
			case Updates:
				for _, o := range m.Ops {
					parts += max(1, len(o.Pixels))
				}
				if len(m.Ops) == 0 || len(frame) > MaxUpdatesBody {
					return nil // has no second form, or one of several messages
				}
			case Range:
				parts += len(m.Cells)
			case Presence:
				parts += len(m.Users)
			case SnapshotBand:
				g := canvas.NewGrid(canvas.Spec{Width: 64, Height: 64})
				before := g.Hash()
				if err := LoadBand(g, &m); err != nil && g.Hash() != before {
					t.Fatal("a refused band changed the grid")
				}
			}
			var again []ServerMessage
			if err := DecodeServerBinary(appendServer(nil, m), func(m ServerMessage) error {
				again = append(again, m)
				return nil
			}); err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], m) {
				t.Fatalf("%+v became %+v, %v", m, again, err)
			}
			return nil
		})
		if parts > len(frame)/2 {
			t.Fatalf("%d operations, cells, users of %d bytes", parts, len(frame))
		}
	})
}

func FuzzDecodeServerJSON(f *testing.F) {
	seed(f, "json", "server")
	f.Fuzz(func(t *testing.T, frame []byte) {
		if m, err := DecodeServerJSON(frame); m != nil && err != nil {
			t.Fatalf("message %+v with error %v", m, err)
		}
	})
}

// FuzzDecodePixelUpdated: what the quick decoders accept is what the general
// one reads.
func FuzzDecodePixelUpdated(f *testing.F) {
	seed(f, "json", "server")
	for _, text := range []string{
		`{"type":"pixel_updated","x":65535,"y":0,"color":"#aBcDeF","username":"","timestamp":9223372036854775807,"seq":1,"prev":0}`,
		// One thing wrong, or only unusual, in each.
		`{"type":"pixel_updated","x":65536,"y":0,"color":"#000000","username":"a","timestamp":1,"seq":1,"prev":0}`,
		`{"type":"pixel_updated","x":0,"y":00,"color":"#000000","username":"a","timestamp":1,"seq":1,"prev":0}`,
		`{"type":"pixel_updated","x":0,"y":0,"color":"#00000g","username":"a","timestamp":1,"seq":1,"prev":0}`,
		`{"type":"pixel_updated","x":0,"y":0,"color":"#000000","username":"\\n","timestamp":1,"seq":1,"prev":0}`,
		"{\"type\":\"pixel_updated\",\"x\":0,\"y\":0,\"color\":\"#000000\",\"username\":\"\xff\",\"timestamp\":1,\"seq\":1,\"prev\":0}",
		`{"type":"pixel_updated","x":0,"y":0,"color":"#000000","username":"a","timestamp":9223372036854775808,"seq":1,"prev":0}`,
		`{"type":"pixel_updated","x":0,"y":0,"color":"#000000","username":"a","timestamp":1,"seq":1e3,"prev":0}`,
		`{"type":"pixel_updated","x":0,"y":0,"color":"#000000","username":"a","timestamp":1,"seq":1,"prev":0}}`,
		`{"type":"ack","op":9999999999999999999,"seq":18446744073709551615}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		pixel, isPixel := DecodePixelUpdated(frame)
		ack, isAck := DecodeAck(frame)
		if !isPixel && !isAck {
			return
		}
		var quick ServerMessage = pixel
		if isAck {
			quick = ack
		}
		if m, err := decodeServerJSON(frame); err != nil || m != quick {
			t.Fatalf("%q is %+v to the quick decoder, %+v, %v to the general one", frame, quick, m, err)
		}
	})
}

// FuzzVisitServerBinary: a visitor sees what the other decoder gives.
func FuzzVisitServerBinary(f *testing.F) {
	seed(f, "binary", "server")
	f.Fuzz(func(t *testing.T, frame []byte) {
		type painted struct {
			seq   uint64
			pixel canvas.Pixel
		}
		var want, got []any
		take := func(to *[]any) func(m ServerMessage) error {
			return func(m ServerMessage) error {
				u, ok := m.(Updates)
				if !ok {
					*to = append(*to, m)
					return nil
				}
				for i, o := range u.Ops {
					seq := u.First + uint64(i)
					if o.Kind == canvas.Paint && len(o.Pixels) == 1 {
						*to = append(*to, painted{seq, o.Pixels[0]})
						continue
					}
					*to = append(*to, Updates{First: seq, Time: u.Time, Ops: []canvas.Op{o}})
				}
				return nil
			}
		}
		wantErr := DecodeServerBinary(frame, take(&want))
		gotErr := VisitServerBinary(frame, func(seq uint64, p canvas.Pixel) { got = append(got, painted{seq, p}) }, take(&got))
		if (wantErr == nil) != (gotErr == nil) {
			t.Fatalf("errors %v and %v", wantErr, gotErr)
		}
		// Of a broken message the visitor has seen the beginning.
		if wantErr != nil {
			got = got[:min(len(got), len(want))]
		}
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("visited %+v, want %+v", got, want)
		}
	})
}

func FuzzReadBody(f *testing.F) {
	for _, v := range serverBinaryVectors() {
		for _, m := range v.server {
			if u, ok := m.(Updates); ok {
				for i := range u.Ops {
					f.Add(AppendBody(nil, &u.Ops[i]))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o canvas.Op
		rest, err := ReadBody(b, &o)
		if err != nil {
			return
		}
		if used := len(b) - len(rest); !bytes.HasSuffix(b, rest) || used < 4 || len(o.Pixels) > used/2 {
			t.Fatalf("%d pixels of %d bytes", len(o.Pixels), used)
		}
		if err := o.Check(wireSpec); err != nil {
			t.Fatalf("accepted, but not well-formed: %v", err)
		}
		var again canvas.Op
		if rest, err := ReadBody(append(AppendBody(nil, &o), 0xAA), &again); err != nil || len(rest) != 1 || !reflect.DeepEqual(again, o) {
			t.Fatalf("%+v became %+v, %v", o, again, err)
		}
	})
}

// FuzzParseTraceparent: what is accepted is a context, and the second form of
// it is the same one.
func FuzzParseTraceparent(f *testing.F) {
	f.Add(FormatTraceparent(vectorTrace))
	f.Add("01" + FormatTraceparent(vectorTrace)[2:] + "-later")
	f.Fuzz(func(t *testing.T, s string) {
		trace, ok := ParseTraceparent(s)
		if again, okAgain := ParseTraceparent(FormatTraceparent(trace)); ok != okAgain || again != trace {
			t.Fatalf("%q is %x, %v; its second form %x, %v", s, trace, ok, again, okAgain)
		}
	})
}
