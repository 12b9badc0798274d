package store

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// encodeRecord is what append.lua writes.
func encodeRecord(e *canvas.Entry) []byte {
	b := fmt.Appendf([]byte{recordVersion}, "%s %d %d %d\n", e.Epoch, e.First, len(e.Ops), e.Time)
	for i := range e.Ops {
		b = EncodeOp(b, &e.Ops[i])
	}
	return b
}

func equalEntries(a, b *canvas.Entry) bool { return reflect.DeepEqual(a, b) }

func drawEntry(t *rapid.T) *canvas.Entry {
	e := &canvas.Entry{
		First: rapid.Uint64Range(1, 1<<52).Draw(t, "first"),
		Time:  rapid.Int64Range(0, 1<<53-1).Draw(t, "time"),
		Ops:   rapid.SliceOfN(rapid.Custom(drawOp), 1, 20).Draw(t, "operations"),
	}
	copy(e.Epoch[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "epoch"))
	return e
}

func drawOp(t *rapid.T) canvas.Op {
	o := canvas.Op{
		Kind:     rapid.SampledFrom([]canvas.Kind{canvas.Paint, canvas.Reset}).Draw(t, "kind"),
		Author:   canvas.AuthorID(rapid.Uint64().Draw(t, "author")),
		Number:   rapid.Uint64Range(0, protocol.MaxNumber).Draw(t, "number"),
		Name:     rapid.StringN(0, canvas.MaxName, -1).Draw(t, "name"),
		Received: rapid.Int64().Draw(t, "received"),
	}
	if rapid.Bool().Draw(t, "traced") {
		copy(o.Trace[:], rapid.SliceOfN(rapid.Byte(), len(o.Trace), len(o.Trace)).Draw(t, "trace"))
	}
	color := rapid.Custom(func(t *rapid.T) canvas.Color { return canvas.Color(rapid.Uint32Range(0, 0xFFFFFF).Draw(t, "color")) })
	if o.Kind == canvas.Reset {
		o.Color = color.Draw(t, "reset to")
		return o
	}
	o.Pixels = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) canvas.Pixel {
		return canvas.Pixel{X: rapid.Uint16().Draw(t, "x"), Y: rapid.Uint16().Draw(t, "y"), Color: color.Draw(t, "color")}
	}), 1, 50).Draw(t, "pixels")
	return o
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEntry(t)
		got, err := decodeRecord(encodeRecord(want))
		if err != nil || !equalEntries(got, want) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
		}
	})
}

func TestRecordsThatAreCutOffAreRefused(t *testing.T) {
	s := protocol.NewSession()
	e := &canvas.Entry{Epoch: canvas.NewEpoch(), First: 7, Time: 1, Ops: []canvas.Op{paint(s, 1)[0].Op, paint(s, 300)[0].Op}}
	e.Ops[1].Name, e.Ops[1].Trace = "name", canvas.Trace{1}
	record := encodeRecord(e)
	for n := range record {
		if _, err := decodeRecord(record[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d of %d bytes: %v", n, len(record), err)
		}
	}
	if _, err := decodeRecord(append(record, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
	record[0] = 2
	if _, err := decodeRecord(record); !errors.Is(err, ErrVersion) {
		t.Errorf("version 2: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	e := &canvas.Entry{Epoch: canvas.Epoch{1}, First: 1, Time: 1, Ops: []canvas.Op{
		{Kind: canvas.Reset, Color: 0x123456, Author: 1, Number: 1, Name: "n", Trace: canvas.Trace{1}},
		{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: 1, Y: 2, Color: 3}}, Number: 2, Received: 1},
	}}
	f.Add(encodeRecord(e))
	f.Add([]byte("\x0100000000000000000000000000000000 1 9007199254740991 1\n"))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := decodeRecord(record)
		if err != nil {
			if !errors.Is(err, ErrVersion) && !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if again, err := decodeRecord(encodeRecord(e)); err != nil || !equalEntries(again, e) {
			t.Fatalf("%+v came back as %+v, %v", e, again, err)
		}
	})
}
