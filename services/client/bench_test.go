package client

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// BenchmarkReceive is what one update costs a client: everything from the
// decoding on, without the socket.
func BenchmarkReceive(b *testing.B) {
	for _, f := range []struct {
		name   string
		codec  Codec
		noGrid bool
	}{{"binary", Binary, false}, {"binary-no-grid", Binary, true}, {"json", JSON, false}} {
		b.Run(f.name, func(b *testing.B) {
			o := Options{URLs: []string{"ws://a"}, Codec: f.codec, NoGrid: f.noGrid}
			c, err := New(o)
			if err != nil {
				b.Fatal(err)
			}
			if !f.noGrid {
				c.grid = canvas.NewGrid(testSpec)
			}
			l := &link{c: c, greeted: true, extended: time.Now()}
			c.opts.IdleTimeout = -1 // there is no socket
			// Frames of the same length that follow each other.
			const first = 1 << 20
			frames := make([][]byte, 4096)
			for i := range frames {
				e := &canvas.Entry{First: first + uint64(i), Time: 1_700_000_000_000, Ops: []canvas.Op{paintAt(5*uint64(i) + 1)}}
				if f.codec == Binary {
					frames[i] = protocol.AppendEntry(nil, e)
				} else {
					encoder := protocol.JSON{}
					encoder.Entry(e, testSpec, func(m []byte) { frames[i] = append([]byte(nil), m...) })
				}
			}
			kind := websocket.BinaryMessage
			if f.codec == JSON {
				kind = websocket.TextMessage
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if n%len(frames) == 0 {
					c.tracker.restart(canvas.Position{Seq: first - 1})
				}
				if err := l.frame(kind, frames[n%len(frames)]); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if c.stats.Gaps != 0 || c.stats.Updates != uint64(n) {
				b.Fatalf("%+v", c.stats)
			}
		})
	}
}

// BenchmarkReceiveSocket is the same over a loopback socket, one frame for each
// update: the sender's cost is in it.
func BenchmarkReceiveSocket(b *testing.B) {
	begin := make(chan int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		p := &peer{ws: ws, codec: Binary}
		p.connected(epochA, 0)
		p.snapshot(epochA, 0)
		e := &canvas.Entry{Ops: []canvas.Op{paintAt(1)}}
		for n := range begin {
			for range n {
				e.First++
				p.entry(e)
			}
		}
	}))
	defer server.Close()
	ctx := context.Background()
	c, err := Dial(ctx, Options{URLs: []string{"ws" + strings.TrimPrefix(server.URL, "http")}, NoGrid: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	b.ReportAllocs()
	b.ResetTimer()
	begin <- b.N
	if err := c.WaitFor(ctx, uint64(b.N)); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	close(begin)
}
