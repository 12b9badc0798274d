// Package fakegateway is a gateway for tests, with its store and an api, that
// does exactly what a test tells it to: how late it is, and what it gets wrong.
// What measures gateways is held to it.
package fakegateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Spec is the server's canvas.
var (
	Spec  = canvas.Spec{Width: 16, Height: 12, Background: canvas.White}
	epoch = canvas.Epoch{0xE}
)

// Server is a gateway, with its store, that does exactly what a test tells it
// to: how late it is, and what it gets wrong on which connection. It resumes
// from its log, where it gets nothing wrong.
type Server struct {
	t testing.TB
	// Latency is how long after its arrival a write is in the log and on all
	// its ways. It may be called at any time.
	Latency func() time.Duration
	// Order tells what connection n (from 0, in the order in which they come)
	// is sent when position seq is there; nil: just that.
	Order func(n int, seq uint64) []uint64
	// Forge changes what a connection is sent as position seq; nil: nothing.
	Forge func(n int, seq uint64, op canvas.Op) canvas.Op

	// Resumed is what who comes back is told about where the log is; 0:
	// nothing, as by a gateway of an earlier release.
	Resumed protocol.Source

	// Lag is by how much a picture is older than the position of who joins:
	// what lies between follows as messages.
	Lag uint64

	mu      sync.Mutex
	log     []canvas.Op
	seen    map[string]uint64 // author's last number
	peers   map[*peer]struct{}
	n       int
	queue   chan queued
	refuse  bool // connections
	running sync.WaitGroup

	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// queued is a write on its way to the log.
type queued struct {
	from *peer
	draw protocol.Draw
	due  time.Time
}

type peer struct {
	n      int
	ws     *websocket.Conn
	binary bool
	author string
	tag    canvas.AuthorID
	out    chan []byte
}

// Serve starts a server, which ends with the test.
func Serve(t testing.TB, s *Server) *Server {
	s.t, s.accepted, s.closed = t, make(chan net.Conn), make(chan struct{})
	s.seen, s.peers = map[string]uint64{}, map[*peer]struct{}{}
	s.queue = make(chan queued, 1<<12)
	h := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	var serving, logging sync.WaitGroup
	logging.Go(func() {
		for q := range s.queue { // one after the other, as they came
			<-time.After(time.Until(q.due))
			s.append(q.from, q.draw)
		}
	})
	serving.Go(func() { _ = h.Serve(s) })
	t.Cleanup(func() {
		_ = h.Close()
		_ = s.Close()
		serving.Wait()
		s.Cut(-1)
		s.running.Wait()
		close(s.queue)
		logging.Wait()
	})
	return s
}

// DialContext connects to the server, which with Accept, Close and Addr is a
// network of its own in the process.
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case s.accepted <- there:
		return here, nil
	case <-s.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept returns the next connection.
func (s *Server) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the network.
func (s *Server) Close() error { s.once.Do(func() { close(s.closed) }); return nil }

// Addr is no address.
func (s *Server) Addr() net.Addr { return &net.UnixAddr{Name: "fake"} }

// ServeHTTP serves the socket and the picture.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		s.picture(w)
		return
	}
	s.mu.Lock()
	refuse := s.refuse
	s.mu.Unlock()
	if refuse {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}, CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	p := &peer{ws: ws, binary: ws.Subprotocol() != "", out: make(chan []byte, 1<<16)}
	s.running.Go(func() {
		kind := websocket.TextMessage
		if p.binary {
			kind = websocket.BinaryMessage
		}
		for b := range p.out {
			_ = ws.WriteMessage(kind, b) // the client may have left
		}
		_ = ws.Close()
	})
	s.running.Add(1)
	defer s.running.Done()
	s.welcome(p, r)
	s.read(p)
	s.mu.Lock()
	if _, ok := s.peers[p]; ok {
		delete(s.peers, p)
		close(p.out)
	}
	s.mu.Unlock()
}

// welcome puts a connection where it asks to be.
func (s *Server) welcome(p *peer, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.n = s.n
	s.n++
	s.peers[p] = struct{}{}
	at := uint64(len(s.log))
	since, err := strconv.ParseUint(r.URL.Query().Get("since"), 10, 64)
	resumed := err == nil
	hello := protocol.Connected{ClientID: "client_1_a", Pod: "pod-" + strconv.Itoa(p.n), Canvas: "main", Spec: Spec}
	if resumed {
		at = since
		hello.Resumed = s.Resumed
	}
	hello.Position = canvas.Position{Epoch: epoch, Seq: at}
	s.send(p, hello)
	if p.binary && !resumed {
		at -= min(at, s.Lag)
		for _, b := range protocol.EncodeSnapshot(s.grid(at).Freeze(), canvas.Position{Epoch: epoch, Seq: at}) {
			p.out <- b
		}
	}
	for seq := at + 1; seq <= uint64(len(s.log)); seq++ {
		s.entry(p, seq)
	}
}

func (s *Server) read(p *peer) {
	for {
		_, frame, err := p.ws.ReadMessage()
		if err != nil {
			return
		}
		handle := func(m protocol.ClientMessage, err error) {
			if err != nil {
				s.t.Errorf("the client sent what is no message: %v", err)
			}
			switch m := m.(type) {
			case protocol.Hello:
				p.author, p.tag = m.Session.Hex(), m.Session.Author()
			case protocol.Draw:
				due := time.Now()
				if s.Latency != nil {
					due = due.Add(s.Latency())
				}
				s.queue <- queued{p, m, due}
			}
		}
		if p.binary {
			protocol.DecodeBinary(frame, Spec, handle)
		} else {
			handle(protocol.DecodeJSON(frame, Spec))
		}
	}
}

// append logs a write once, acknowledges it and sends it to all.
func (s *Server) append(from *peer, d protocol.Draw) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Number > s.seen[from.author] {
		s.seen[from.author] = d.Number
		s.log = append(s.log, canvas.Op{Kind: canvas.Paint, Pixels: d.Pixels, Author: from.tag, Number: d.Number})
		seq := uint64(len(s.log))
		for p := range s.peers {
			seqs := []uint64{seq}
			if s.Order != nil {
				seqs = s.Order(p.n, seq)
			}
			for _, seq := range seqs {
				s.entry(p, seq)
			}
		}
	}
	if _, ok := s.peers[from]; ok {
		s.send(from, protocol.Ack{Number: d.Number, Seq: uint64(len(s.log))})
	}
}

func (s *Server) entry(p *peer, seq uint64) {
	op := s.log[seq-1]
	if s.Forge != nil {
		op = s.Forge(p.n, seq, op)
	}
	e := &canvas.Entry{Epoch: epoch, First: seq, Time: time.Now().UnixMilli(), Ops: []canvas.Op{op}}
	if p.binary {
		p.out <- protocol.AppendEntry(nil, e)
		return
	}
	var encoder protocol.JSON
	encoder.Entry(e, Spec, func(b []byte) { p.out <- append([]byte(nil), b...) })
}

func (s *Server) send(p *peer, m protocol.ServerMessage) {
	if p.binary {
		p.out <- protocol.AppendServerBinary(nil, m)
		return
	}
	for _, b := range protocol.EncodeJSON(m) {
		p.out <- b
	}
}

// Cut breaks a connection without a word, or all of them for n < 0.
func (s *Server) Cut(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if n < 0 || p.n == n {
			delete(s.peers, p)
			close(p.out)
		}
	}
}

// Away makes the server refuse connections, or not.
func (s *Server) Away(is bool) {
	s.mu.Lock()
	s.refuse = is
	s.mu.Unlock()
}

// grid is the picture at a position.
func (s *Server) grid(at uint64) *canvas.Grid {
	g := canvas.NewGrid(Spec)
	for i := range s.log[:at] {
		g.Apply(&s.log[i])
	}
	return g
}

// picture is what the api says.
func (s *Server) picture(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.grid(uint64(len(s.log)))
	pixels := map[string]string{}
	for i := range Spec.Cells() {
		x, y := i%Spec.Width, i/Spec.Width
		pixels[fmt.Sprintf("%d,%d", x, y)] = g.At(x, y).String()
	}
	text, _ := json.Marshal(pixels)
	w.Header().Set("Pixel-Position", canvas.Position{Epoch: epoch, Seq: uint64(len(s.log))}.String())
	_, _ = fmt.Fprintf(w, `{"width":%d,"height":%d,"pixels":%s}`, Spec.Width, Spec.Height, text)
}
