package client

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	testSpec = canvas.Spec{Width: 16, Height: 12, Background: canvas.White}
	epochA   = canvas.Epoch{0xA}
	epochB   = canvas.Epoch{0xB}
)

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// pipes is a network within the process: each dialled connection is the other
// end of an accepted one.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes {
	return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.accepted <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// gateway is a fake one: it upgrades connections and lets a script, which is
// called for each, say what happens on them.
type gateway struct {
	t      testing.TB
	net    *pipes
	server *http.Server
	served sync.WaitGroup

	mu    sync.Mutex
	hosts []string // as dialled
	times []time.Time
}

// peer is the gateway's side of a connection.
type peer struct {
	*gateway
	ws    *websocket.Conn
	codec Codec
	n     int // counted from 1
	query url.Values
	// in has the client's messages; it is closed when the connection ends,
	// which ended then tells why.
	in    chan protocol.ClientMessage
	ended error
	pongs chan string
}

// newGateway starts a gateway whose connections are those of the script. When
// the script returns the connection breaks.
func newGateway(t testing.TB, script func(*peer)) *gateway {
	g := &gateway{t: t, net: newPipes()}
	upgrader := websocket.Upgrader{Subprotocols: []string{protocol.Subprotocol}, CheckOrigin: func(*http.Request) bool { return true }}
	g.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.hosts = append(g.hosts, r.Host)
		g.times = append(g.times, time.Now())
		n := len(g.hosts)
		g.mu.Unlock()
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		p := &peer{gateway: g, ws: ws, n: n, query: r.URL.Query(), codec: JSON,
			in: make(chan protocol.ClientMessage, 10_000), pongs: make(chan string, 100)}
		if ws.Subprotocol() != "" {
			p.codec = Binary
		}
		g.served.Add(1)
		defer g.served.Done()
		ws.SetPongHandler(func(payload string) error { p.pongs <- payload; return nil })
		var reading sync.WaitGroup
		reading.Go(p.read)
		script(p)
		_ = ws.Close()
		reading.Wait()
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.server.Serve(g.net) })
	t.Cleanup(func() {
		_ = g.server.Close()
		_ = g.net.Close()
		serving.Wait()
		g.served.Wait()
	})
	return g
}

// dials returns when and where clients have connected.
func (g *gateway) dials() ([]time.Time, []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]time.Time(nil), g.times...), append([]string(nil), g.hosts...)
}

// options of a client of this gateway, with no jitter.
func (g *gateway) options(codec Codec) Options {
	return Options{
		URLs:   []string{"ws://gateway/ws"},
		Codec:  codec,
		Dialer: &websocket.Dialer{NetDialContext: g.net.DialContext, HandshakeTimeout: 5 * time.Second},
		Rand:   func() float64 { return 0 },
	}
}

// start returns a started client that is closed with the test.
func start(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.Start(context.Background())
	return c
}

func (p *peer) read() {
	defer close(p.in)
	for {
		_, frame, err := p.ws.ReadMessage()
		if err != nil {
			p.ended = err
			return
		}
		handle := func(m protocol.ClientMessage, err error) {
			if err != nil {
				p.t.Errorf("the client sent what is no message: %v", err)
			} else if m != nil {
				p.in <- m
			}
		}
		if p.codec == Binary {
			protocol.DecodeBinary(frame, testSpec, handle)
		} else {
			handle(protocol.DecodeJSON(frame, testSpec))
		}
	}
}

// send writes messages, each in a frame of its own. Errors are those of a
// connection that the client has left.
func (p *peer) send(messages ...protocol.ServerMessage) {
	for _, m := range messages {
		if p.codec == Binary {
			_ = p.ws.WriteMessage(websocket.BinaryMessage, protocol.AppendServerBinary(nil, m))
			continue
		}
		for _, b := range protocol.EncodeJSON(m) {
			_ = p.ws.WriteMessage(websocket.TextMessage, b)
		}
	}
}

func (p *peer) connected(epoch canvas.Epoch, seq uint64) {
	p.send(protocol.Connected{ClientID: "client_1_a", Pod: "pod", Canvas: "main", Spec: testSpec, Position: canvas.Position{Epoch: epoch, Seq: seq}})
}

// entry sends an entry of the log.
func (p *peer) entry(e *canvas.Entry) {
	if p.codec == Binary {
		_ = p.ws.WriteMessage(websocket.BinaryMessage, protocol.AppendEntry(nil, e))
		return
	}
	encoder := protocol.JSON{}
	encoder.Entry(e, testSpec, func(b []byte) { _ = p.ws.WriteMessage(websocket.TextMessage, b) })
}

// one sends the operation at seq, as paintAt has it.
func (p *peer) one(seqs ...uint64) {
	for _, seq := range seqs {
		p.entry(&canvas.Entry{Epoch: epochA, First: seq, Time: int64(seq), Ops: []canvas.Op{paintAt(seq)}})
	}
}

// together sends operations like one does, in frames that reach the client
// with one write.
func (p *peer) together(seqs ...uint64) {
	var b []byte
	for _, seq := range seqs {
		m := protocol.AppendEntry(nil, &canvas.Entry{First: seq, Ops: []canvas.Op{paintAt(seq)}})
		b = append(append(b, 0x82, byte(len(m))), m...)
	}
	_, _ = p.ws.NetConn().Write(b)
}

// snapshot sends the picture after the first seq operations of paintAt.
func (p *peer) snapshot(epoch canvas.Epoch, seq uint64) {
	for _, m := range protocol.EncodeSnapshot(pictureAt(seq), canvas.Position{Epoch: epoch, Seq: seq}) {
		_ = p.ws.WriteMessage(websocket.BinaryMessage, m)
	}
}

// close sends a close frame and waits until the client has left.
func (p *peer) close(code int, reason string) {
	_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
	p.drain()
}

// drain waits until the client has left.
func (p *peer) drain() {
	for range p.in {
	}
}

// hello waits for the client's session.
func (p *peer) hello() protocol.Session {
	if h, ok := (<-p.in).(protocol.Hello); ok {
		return h.Session
	}
	p.t.Error("the first message is no hello")
	return protocol.Session{}
}

// draws waits for n operations and returns their numbers.
func (p *peer) draws(n int) []uint64 {
	numbers := make([]uint64, 0, n)
	for len(numbers) < n {
		m, ok := <-p.in
		if !ok {
			p.t.Errorf("the client left after %v; %d operations expected", numbers, n)
			return numbers
		}
		if d, ok := m.(protocol.Draw); ok {
			numbers = append(numbers, d.Number)
		}
	}
	return numbers
}

// paintAt is operation seq of the fake log: one pixel, except that each fifth
// paints three.
func paintAt(seq uint64) canvas.Op {
	pixel := func(i uint64) canvas.Pixel {
		return canvas.Pixel{X: uint16((seq*7 + i) % 16), Y: uint16(seq * 5 % 12), Color: canvas.Color(seq*1000 + i)}
	}
	o := canvas.Op{Kind: canvas.Paint, Pixels: []canvas.Pixel{pixel(0)}, Author: 7, Number: seq}
	if seq%5 == 0 {
		o.Pixels = append(o.Pixels, pixel(1), pixel(2))
	}
	return o
}

// pictureAt is the picture after the first seq operations of paintAt.
func pictureAt(seq uint64) *canvas.Frozen {
	g := canvas.NewGrid(testSpec)
	for i := uint64(1); i <= seq; i++ {
		o := paintAt(i)
		g.Apply(&o)
	}
	return g.Freeze()
}

// within gives a test's waits a bound, which in a bubble takes no time.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func waitFor(t testing.TB, c *Client, seq uint64) {
	t.Helper()
	if err := c.WaitFor(within(t), seq); err != nil {
		t.Fatalf("waiting for %d at %v: %v (last: %v)", seq, c.Position(), err, c.LastError())
	}
}

func checkPicture(t testing.TB, c *Client, epoch canvas.Epoch, seq uint64) {
	t.Helper()
	f, at := c.Picture()
	if want := (canvas.Position{Epoch: epoch, Seq: seq}); at != want {
		t.Fatalf("the client is at %v, want %v", at, want)
	}
	if f == nil || f.Hash() != pictureAt(seq).Hash() {
		t.Fatalf("at %d the picture is another one", seq)
	}
}

func draw(t testing.TB, c *Client, n int) {
	t.Helper()
	for i := range n {
		if _, err := c.Draw(context.Background(), canvas.Pixel{X: uint16(i % 16), Color: canvas.Color(i)}); err != nil {
			t.Fatal(err)
		}
	}
}
