package gateway_test

import (
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

// pointing is a client that reads cursors.
type pointing struct {
	*rawConn
	author uint32
	got    chan protocol.Cursors
}

// watchCursors connects and reads everything; cursors go to got.
func watchCursors(t *testing.T, g *running, binary bool) *pointing {
	t.Helper()
	path, lines := "/ws", []string{"Sec-WebSocket-Protocol: " + protocol.Subprotocol}
	if !binary {
		path, lines = "/", nil
	}
	c, _ := dialRaw(t, g, path, lines...)
	p := &pointing{rawConn: c, got: make(chan protocol.Cursors, 1000)}
	connected := make(chan uint32, 1)
	take := func(m protocol.ServerMessage) error {
		switch m := m.(type) {
		case protocol.Connected:
			connected <- m.Author
		case protocol.Cursors:
			p.got <- m
		case protocol.Error:
			t.Errorf("refused: %+v", m)
		}
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.got)
		for {
			first, payload, err := c.next()
			switch {
			case err != nil:
				return
			case first == binaryFrame:
				if err := protocol.DecodeServerBinary(payload, take); err != nil {
					t.Error(err)
				}
			case first == textFrame:
				if m, err := protocol.DecodeServerJSON(payload); err == nil && m != nil {
					_ = take(m)
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	p.author = <-connected
	return p
}

func (p *pointing) say(t *testing.T, m protocol.ClientMessage) {
	t.Helper()
	var sent string
	if p.binary {
		b, err := protocol.AppendClientBinary(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		sent = frame(binaryFrame, string(b))
	} else {
		b, err := protocol.EncodeClientJSON(m)
		if err != nil {
			t.Fatal(err)
		}
		sent = frame(textFrame, string(b))
	}
	if _, err := p.Write([]byte(sent)); err != nil {
		t.Fatal(err)
	}
}

// until has say called again and again until a message comes that fits: what
// is told while nobody follows is lost, and meant to be.
func (p *pointing) until(t *testing.T, what string, say func(), fits func(protocol.Cursors) bool) {
	t.Helper()
	end := time.After(patience)
	for {
		say()
		select {
		case m, ok := <-p.got:
			if !ok {
				t.Fatalf("the connection ended before %s", what)
			}
			if fits(m) {
				return
			}
		case <-time.After(20 * time.Millisecond):
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

func nothing() {}

func hasCursor(author uint32, x, y uint16, name string) func(protocol.Cursors) bool {
	return func(m protocol.Cursors) bool {
		for _, c := range m.Here {
			if c == (protocol.CursorAt{Author: author, X: x, Y: y, Name: name}) {
				return true
			}
		}
		return false
	}
}

func isGone(author uint32) func(protocol.Cursors) bool {
	return func(m protocol.Cursors) bool {
		for _, gone := range m.Gone {
			if gone == author {
				return true
			}
		}
		return false
	}
}

// Places go from a client of one gateway to those of another, in both codecs,
// as far as they are in view; whoever does not ask gets none.
func TestCursorsOverGateways(t *testing.T) {
	server := redis(t, embedded.Options{})
	one, two := start(t, server.URL(), "one", nil), start(t, server.URL(), "two", nil)
	ada := watchCursors(t, one, true)
	viewer := watchCursors(t, two, true)
	script := watchCursors(t, two, false)
	stranger := watchCursors(t, two, true)
	ada.say(t, protocol.SetName{Name: "Ada"})
	viewer.say(t, protocol.View{X: 0, Y: 0, Width: 10, Height: 10})
	script.say(t, protocol.View{X: 0, Y: 0, Width: 50, Height: 50})

	viewer.until(t, "Ada at 3,4", func() { ada.say(t, protocol.Cursor{X: 3, Y: 4}) }, hasCursor(ada.author, 3, 4, ""))
	script.until(t, "Ada at 3,4, by name", nothing, hasCursor(ada.author, 3, 4, "Ada"))
	ada.say(t, protocol.Cursor{X: 9, Y: 9})
	viewer.until(t, "Ada at 9,9", nothing, hasCursor(ada.author, 9, 9, ""))
	ada.say(t, protocol.Cursor{X: 10, Y: 9})
	viewer.until(t, "Ada out of view", nothing, isGone(ada.author))
	script.until(t, "Ada at 10,9", nothing, hasCursor(ada.author, 10, 9, "Ada"))
	viewer.say(t, protocol.View{X: 10, Y: 0, Width: 10, Height: 10})
	viewer.until(t, "Ada in the new view", nothing, hasCursor(ada.author, 10, 9, ""))

	// The other way, from a script to the page.
	script.say(t, protocol.Cursor{X: 15, Y: 5})
	viewer.until(t, "the script at 15,5", nothing, func(m protocol.Cursors) bool { return len(m.Here) == 1 && m.Here[0].X == 15 && m.Here[0].Y == 5 })

	ada.say(t, protocol.Cursor{Gone: true})
	viewer.until(t, "Ada gone", nothing, isGone(ada.author))
	viewer.until(t, "Ada back", func() { ada.say(t, protocol.Cursor{X: 11, Y: 1}) }, hasCursor(ada.author, 11, 1, ""))
	_ = ada.Close()
	viewer.until(t, "Ada's connection gone", nothing, isGone(ada.author))

	select {
	case m := <-stranger.got:
		t.Errorf("who did not ask got %+v", m)
	default:
	}
	if n := two.metric(t, "pixel_cursors_delivered_total"); n < 6 {
		t.Errorf("the gateway with viewers delivered %v", n)
	}
}

// However fast somebody points, the others get the latest place, at most ten
// times a second.
func TestLatestCursorWins(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "one", nil)
	ada, viewer := watchCursors(t, g, true), watchCursors(t, g, true)
	viewer.say(t, protocol.View{Width: 50, Height: 50})
	viewer.until(t, "Ada", func() { ada.say(t, protocol.Cursor{X: 1, Y: 1}) }, hasCursor(ada.author, 1, 1, ""))

	begin, sent := time.Now(), 0
	for i := range 2000 {
		ada.say(t, protocol.Cursor{X: uint16(i % 50), Y: uint16(i / 50 % 50)})
		sent++
	}
	ada.say(t, protocol.Cursor{X: 49, Y: 49})
	messages := 0
	viewer.until(t, "the last place", nothing, func(m protocol.Cursors) bool {
		messages++
		return hasCursor(ada.author, 49, 49, "")(m)
	})
	if most := int(time.Since(begin)/(100*time.Millisecond)) + 2; messages > most {
		t.Errorf("%d messages in the time of %d", messages, most)
	}
	if received := g.metric(t, "pixel_cursors_received_total"); received < float64(sent) {
		t.Errorf("%v of %d places were read", received, sent)
	}
}

// Redis away: nobody is closed for pointing, and it goes on when Redis is back.
func TestCursorsWithoutRedis(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "one", nil)
	ada, viewer := watchCursors(t, g, true), watchCursors(t, g, true)
	viewer.say(t, protocol.View{Width: 50, Height: 50})
	viewer.until(t, "Ada", func() { ada.say(t, protocol.Cursor{X: 1, Y: 1}) }, hasCursor(ada.author, 1, 1, ""))
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := range uint16(50) {
		ada.say(t, protocol.Cursor{X: i, Y: 0})
	}
	eventually(t, "degraded", func() bool { return g.metric(t, "pixel_store_redis_up") == 0 })
	if err := server.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	n := uint16(0)
	viewer.until(t, "Ada after the outage", func() { n++; ada.say(t, protocol.Cursor{X: n % 50, Y: 7}) }, func(m protocol.Cursors) bool {
		return len(m.Here) == 1 && m.Here[0].Y == 7
	})
}
