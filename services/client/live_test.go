package client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// smallLog is a gateway with a log in memory. It breaks connections: each one
// after a number of operations, before they are acknowledged.
type smallLog struct {
	mu       sync.Mutex
	more     *sync.Cond
	ops      []canvas.Op
	sessions map[protocol.Session]protocol.Ack
	lifetime int
}

func newSmallLog(lifetime int) *smallLog {
	l := &smallLog{sessions: map[protocol.Session]protocol.Ack{}, lifetime: lifetime}
	l.more = sync.NewCond(&l.mu)
	return l
}

// append adds an operation once and returns what to acknowledge.
func (l *smallLog) append(s protocol.Session, d protocol.Draw) protocol.Ack {
	l.mu.Lock()
	defer l.mu.Unlock()
	state := l.sessions[s]
	if d.Number > state.Number {
		l.ops = append(l.ops, canvas.Op{Kind: canvas.Paint, Pixels: d.Pixels, Author: s.Author(), Number: d.Number})
		state = protocol.Ack{Number: d.Number, Seq: uint64(len(l.ops))}
		l.sessions[s] = state
		l.more.Broadcast()
	}
	return protocol.Ack{Number: d.Number, Seq: state.Seq}
}

// after waits for operations behind seq; nil when gone says so.
func (l *smallLog) after(seq uint64, gone *bool) []canvas.Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uint64(len(l.ops)) <= seq && !*gone {
		l.more.Wait()
	}
	if *gone {
		return nil
	}
	return l.ops[seq:len(l.ops):len(l.ops)]
}

func (l *smallLog) picture() (*canvas.Frozen, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := canvas.NewGrid(testSpec)
	for i := range l.ops {
		g.Apply(&l.ops[i])
	}
	return g.Freeze(), uint64(len(l.ops))
}

func (l *smallLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		f, seq := l.picture()
		w.Header().Set("Pixel-Position", canvas.Position{Epoch: epochA, Seq: seq}.String())
		body := fmt.Appendf(nil, `{"width":%d,"height":%d,"pixels":{"0,0":"%v"`, testSpec.Width, testSpec.Height, f.At(0, 0))
		for i := 1; i < testSpec.Cells(); i++ {
			x, y := i%testSpec.Width, i/testSpec.Width
			body = fmt.Appendf(body, `,"%d,%d":"%v"`, x, y, f.At(x, y))
		}
		_, _ = w.Write(append(body, "}}"...))
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	p := &peer{ws: ws, codec: JSON, query: r.URL.Query()}
	if ws.Subprotocol() != "" {
		p.codec = Binary
	}
	var writing sync.Mutex // gorilla allows one writer
	gone := false          // guarded by l.mu
	var following sync.WaitGroup
	following.Go(func() { l.follow(p, &writing, &gone) })
	l.serve(p, &writing)
	l.mu.Lock()
	gone = true
	l.more.Broadcast()
	l.mu.Unlock()
	_ = ws.Close()
	following.Wait()
}

// follow sends the connection what it has to get.
func (l *smallLog) follow(p *peer, writing *sync.Mutex, gone *bool) {
	f, at := l.picture()
	since, err := strconv.ParseUint(p.query.Get("since"), 10, 64)
	writing.Lock()
	switch {
	case err == nil:
		at = since
		p.connected(epochA, at)
	case p.codec == JSON:
		p.connected(epochA, at)
	default:
		p.connected(epochA, at)
		for _, m := range protocol.EncodeSnapshot(f, canvas.Position{Epoch: epochA, Seq: at}) {
			_ = p.ws.WriteMessage(websocket.BinaryMessage, m)
		}
	}
	writing.Unlock()
	for {
		ops := l.after(at, gone)
		if len(ops) == 0 {
			return
		}
		writing.Lock()
		p.entry(&canvas.Entry{First: at + 1, Ops: ops})
		writing.Unlock()
		at += uint64(len(ops))
	}
}

// serve takes the connection's operations until its lifetime is over.
func (l *smallLog) serve(p *peer, writing *sync.Mutex) {
	var session protocol.Session
	left := l.lifetime
	for {
		_, frame, err := p.ws.ReadMessage()
		if err != nil {
			return
		}
		handle := func(m protocol.ClientMessage, _ error) {
			switch m := m.(type) {
			case protocol.Hello:
				session = m.Session
			case protocol.Draw:
				if left--; left < 0 {
					return
				}
				ack := l.append(session, m)
				if left == 0 {
					return // appended, and nobody is told
				}
				writing.Lock()
				p.send(ack)
				writing.Unlock()
			}
		}
		if p.codec == Binary {
			protocol.DecodeBinary(frame, testSpec, handle)
		} else {
			handle(protocol.DecodeJSON(frame, testSpec))
		}
		if left <= 0 {
			return
		}
	}
}

// Over real sockets that break all the time, everything is drawn once, in its
// author's order, and everybody sees the same picture.
func TestEverythingArrivesOnce(t *testing.T) {
	const each = 150
	l := newSmallLog(20)
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	address := "ws" + strings.TrimPrefix(server.URL, "http")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)

	var clients []*Client
	for i := range 4 {
		o := Options{URLs: []string{address + "/ws"}, Codec: codecs[i%2], API: server.URL, HTTPClient: &http.Client{Transport: transport}}
		o.Backoff = Backoff{Min: 1, Max: 1} // as good as none
		c, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		clients = append(clients, c)
	}
	var drawing sync.WaitGroup
	for i, c := range clients {
		drawing.Go(func() {
			for n := range each {
				pixels := []canvas.Pixel{{X: uint16(n % 16), Y: uint16((n + i) % 12), Color: canvas.Color(1000*i + n)}}
				if c.opts.Codec == Binary {
					pixels = append(pixels, canvas.Pixel{X: uint16(n % 5), Y: 3, Color: canvas.Color(n)})
				}
				if _, err := c.Draw(context.Background(), pixels...); err != nil {
					t.Error(err)
				}
			}
			flush(t, c)
		})
	}
	drawing.Wait()
	want, head := l.picture()
	if head != 4*each {
		t.Fatalf("%d operations in the log, want %d", head, 4*each)
	}
	last := map[canvas.AuthorID]uint64{}
	for _, o := range l.ops {
		if o.Number != last[o.Author]+1 {
			t.Fatalf("operation %d comes after %d", o.Number, last[o.Author])
		}
		last[o.Author] = o.Number
	}
	for i, c := range clients {
		waitFor(t, c, head)
		if err := c.until(within(t), func() bool { return c.grid != nil && c.grid.Hash() == want.Hash() }); err != nil {
			t.Errorf("client %d has another picture: %v", i, err) // JSON: pieces may still come
		}
		s := c.Stats()
		if s.Acked != each || s.Gaps+s.OutOfOrder+s.BadSnapshots != 0 || s.Recoveries[Continued] == 0 || s.Resent == 0 {
			t.Errorf("client %d: %+v", i, s)
		}
	}
}
