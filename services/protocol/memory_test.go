package protocol

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
)

// allocated returns how many bytes one call of f takes, averaged so that the
// runtime's own allocations do not count.
func allocated(f func()) uint64 {
	const runs = 8
	f() // fills the pools
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// TestHostileMemory: no frame makes a decoder take memory out of proportion,
// whatever it announces.
func TestHostileMemory(t *testing.T) {
	announce := func(kind byte, body ...byte) []byte {
		return appendMessage(nil, kind, func(b []byte) []byte { return append(b, body...) })
	}
	const huge = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x0F" // 2^53-1
	greatest := binary.AppendUvarint(nil, canvas.MaxPixels)
	server := func(frame []byte) func() {
		return func() { _ = DecodeServerBinary(frame, func(ServerMessage) error { return nil }) }
	}
	client := func(frame []byte) func() {
		return func() { DecodeBinary(frame, vectorSpec, func(ClientMessage, error) {}) }
	}
	text := func(frame string) func() {
		return func() { _, _ = DecodeJSON([]byte(frame), vectorSpec) }
	}
	keys := "{" + strings.Repeat(`"":0,`, 13_000) + `"type":"ping"}`
	nested := `{"a":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + `,"type":"ping"}`
	for _, row := range []struct {
		name   string
		size   int // of the frame
		decode func()
	}{
		{"presence of 2^53-1 users", 12, server(announce(binPresence, []byte("\x01\x01"+huge)...))},
		{"range of 2^53-1 cells", 17, server(announce(binRange, []byte("\x01\x02\x03\x00\xFF\x00\x00"+huge)...))},
		{"range of many empty groups", 64 << 10, server(announce(binRange, append([]byte{1, 2, 3, 0}, bytes.Repeat([]byte{1, 2, 3, 0}, 16<<10)...)...))},
		{"range of many cells", 64 << 10, server(announce(binRange, append([]byte{1, 2, 3, 0, 1, 2, 3, 0x80, 0x80, 2}, make([]byte, 64<<10)...)...))},
		{"snapshot of 2^53-1 bands", 42, server(announce(binSnapshotBegin, []byte(strings.Repeat("\x00", 17)+"\x01\x00\x01\x00\xFF\xFF\xFF"+strings.Repeat("\x00", 8)+huge)...))},
		{"band of 2^53-1 cells", 34, server(announce(binSnapshotBand, []byte("\x00\x00\x00"+huge+huge)...))},
		{"string of 2^53-1 bytes", 34, server(announce(binConnected, []byte("\x01"+strings.Repeat("\x00", 28)+huge)...))},
		{"message of 2^53-1 bytes", 9, server([]byte("\x02" + huge))},
		{"4096 pixels announced to a client", 16, server(announce(binUpdates, append([]byte{1, 1, 0, 0, 0, 0, 1, 0x09}, greatest...)...))},
		{"4096 pixels announced by a client", 8, client(announce(binDraw, append([]byte{1, 0, 0x01}, greatest...)...))},
		{"2^53-1 pixels announced by a client", 16, client(announce(binDraw, []byte("\x01\x00\x09"+huge+"\xFF\x00\x00\x02\x02")...))},
		{"frame of unknown messages", 64 << 10, client(make([]byte, 64<<10))},
		{"JSON of keys", len(keys), text(keys)},
		{"JSON of brackets", len(nested), text(nested)},
	} {
		// The greatest real cost is a range's cells: 24 bytes in memory for
		// two on the wire (and as many again for growing under the race
		// detector). 2 KiB allow for errors and their texts.
		if n, most := allocated(row.decode), uint64(2<<10+32*row.size); n > most {
			t.Errorf("%s: %d bytes for a frame of %d; at most %d", row.name, n, row.size, most)
		}
	}
}

// TestBandBombs: a small band that inflates to very much costs what the cells
// of a band cost, and changes nothing.
func TestBandBombs(t *testing.T) {
	pack := func(n int) []byte {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(make([]byte, n))
		_ = w.Close()
		return b.Bytes()
	}
	bomb := pack(4 << 20)
	spec := canvas.Spec{Width: 4096, Height: 4096, Background: canvas.White}
	g := canvas.NewGrid(spec)
	before := g.Hash()
	for _, band := range []SnapshotBand{
		{W: 1, H: 1, Data: bomb},
		{W: 4096, H: 5, Data: bomb},
		{W: 4096, H: 64, Data: pack(3 * 4096 * 64)}, // exact, but no band is so large
		{W: 4096, H: 4096, Data: bomb},
		{W: 4096, H: 6, Data: pack(3 * 4096 * 6)},               // exact, a row too many
		{W: 1 << 62, H: 4, Data: bomb},                          // the product overflows
		{W: 0, H: 1, Data: pack(0)},                             // nothing
		{W: -1, H: -1, Data: pack(3)},                           // no rectangle
		{X: 4096, W: 1, H: 1, Data: pack(3)},                    // right of the canvas
		{Y: -1, W: 1, H: 1, Data: pack(3)},                      // above
		{X: MaxNumber, Y: MaxNumber, W: 1, H: 1, Data: pack(3)}, // far off
		{W: 2, H: 2, Data: pack(11)},                            // a byte short
		{W: 2, H: 2, Data: pack(13)},                            // a byte long
		{W: 2, H: 2, Data: pack(12)[:2]},                        // cut off
		{W: 2, H: 2, Data: []byte("not DEFLATE")},
		{W: 2, H: 2},
	} {
		var err error
		if n := allocated(func() { err = LoadBand(g, &band) }); n > 512<<10 {
			t.Errorf("band of %d×%d cells from %d bytes takes %d", band.W, band.H, len(band.Data), n)
		}
		if err == nil {
			t.Errorf("band of %d×%d cells at (%d, %d) from %d bytes was accepted", band.W, band.H, band.X, band.Y, len(band.Data))
		}
	}
	if g.Hash() != before {
		t.Error("a refused band changed the grid")
	}
}
