package swarm

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serverFrame is a frame as servers send it.
func serverFrame(head byte, payload []byte) []byte {
	b := []byte{head}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// However the network cuts a stream of frames, whole messages come out.
func TestFramesInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want, got []string
		pings, pongs := 0, 0
		for range rapid.IntRange(1, 8).Draw(t, "messages") {
			size := rapid.SampledFrom([]int{0, 1, 125, 126, 300, 0xFFFF, 0x10000}).Draw(t, "size")
			text := strings.Repeat(string(rune('a'+len(want))), size)
			want = append(want, text)
			if rapid.Bool().Draw(t, "ping") {
				stream = append(stream, serverFrame(0x80|opPing, []byte("p"))...)
				pings++
			}
			if cut := rapid.IntRange(0, size).Draw(t, "fragment"); rapid.Bool().Draw(t, "fragmented") {
				stream = append(stream, serverFrame(opText, []byte(text[:cut]))...)
				stream = append(stream, serverFrame(0x80|opPing, nil)...)
				pings++
				stream = append(stream, serverFrame(0x80|opContinuation, []byte(text[cut:]))...)
				continue
			}
			stream = append(stream, serverFrame(0x80|opText, []byte(text))...)
		}
		var rest, fragment []byte
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "read")
			var err error
			rest, err = messages(append(rest, stream[:n]...), &fragment, func(m []byte) error {
				got = append(got, string(m))
				return nil
			}, func([]byte) { pongs++ })
			if err != nil {
				t.Fatal(err)
			}
			stream = stream[n:]
		}
		if !reflect.DeepEqual(got, want) || pongs != pings || len(rest) > 0 {
			t.Fatalf("%d messages of %d, %d pongs of %d, %d bytes left", len(got), len(want), pongs, pings, len(rest))
		}
	})
}

func TestBadFrames(t *testing.T) {
	for name, b := range map[string][]byte{
		"masked":    {0x81, 0x81, 0, 0, 0, 0, 'a'},
		"extension": {0xC1, 0x01, 'a'},
		"huge":      {0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0},
		"opcode":    {0x83, 0x00},
		"close":     append([]byte{0x88, 4, 0x11, 0x38}, "no"...),
	} {
		var fragment []byte
		if _, err := messages(b, &fragment, func([]byte) error { return nil }, func([]byte) {}); err == nil {
			t.Errorf("%s: no error", name)
		} else if name == "close" && err.Error() != `swarm: closed with 4408 "no"` {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who sends which write, and as its how manieth, can be told both ways.
func TestScheduleKnowsItsWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{Clients: rapid.IntRange(1, 20).Draw(t, "clients"), Block: rapid.IntRange(1, 7).Draw(t, "block")}
		sent := map[int]uint64{}
		for k := range 500 {
			client, end := s.sender(k)
			if end <= k || end > k+s.Block {
				t.Fatalf("write %d is followed up to %d by blocks of %d", k, end, s.Block)
			}
			sent[client]++
			if got := s.write(client, sent[client]); got != k {
				t.Fatalf("operation %d of client %d is write %d, want %d", sent[client], client, got, k)
			}
		}
	})
}

// quiet is a connection of its own, at position 10, ten writes due at once.
func quiet() *Conn {
	s := &Swarm{width: 4, height: 4, record: newRecord(), arrived: time.Second, wire: JSON{}}
	s.schedule = &Schedule{Interval: time.Millisecond, Writes: 10, Clients: 1, Block: 1, Width: 4, Height: 4, Base: 10}
	c := &Conn{s: s, picture: make([]canvas.Color, 16)}
	c.join(10)
	c.prev = 10
	return c
}

func TestWhatIsCounted(t *testing.T) {
	pixel := func(k int) canvas.Pixel { return canvas.Pixel{X: uint16(k % 4), Color: canvas.Color(k)} }
	for _, test := range []struct {
		name string
		do   func(c *Conn)
		want Record // its numbers
		last uint64
	}{
		{"one by one", func(c *Conn) { c.update(10, 11, pixel(0)); c.update(11, 12, pixel(1)) }, Record{Single: 2}, 12},
		{"a repeat", func(c *Conn) { c.update(10, 11, pixel(0)); c.update(10, 11, pixel(0)) }, Record{Single: 1, Repeats: 1}, 11},
		{"a gap", func(c *Conn) { c.update(12, 13, pixel(2)) }, Record{Single: 1, Gaps: 1}, 13},
		{"a range of four writes, two of them superseded", func(c *Conn) {
			c.update(10, 14, pixel(2))
			c.update(10, 14, pixel(3))
		}, Record{Covered: 4, InRanges: 2}, 14},
		{"a range that is known in part", func(c *Conn) { c.update(10, 11, pixel(0)); c.update(10, 13, pixel(2)) }, Record{Single: 1, Covered: 2, InRanges: 1}, 13},
		{"a binary range", func(c *Conn) {
			c.message(protocol.Range{Prev: 10, Seq: 13, Cells: []protocol.Cell{{Pixel: pixel(2)}}})
		}, Record{Covered: 3, InRanges: 1}, 13},
		{"a resync", func(c *Conn) { c.message(protocol.Resync{Position: canvas.Position{Seq: 15}}) }, Record{Covered: 5, Resyncs: 1}, 15},
		{"warm-up is not measured", func(c *Conn) { c.s.schedule.From = 2; c.update(10, 11, pixel(0)); c.update(11, 14, pixel(3)) }, Record{Covered: 2, InRanges: 1}, 14},
	} {
		c := quiet()
		test.do(c)
		r := c.s.record
		got := Record{Single: r.Single, Covered: r.Covered, InRanges: r.InRanges, Gaps: r.Gaps, Repeats: r.Repeats, Resyncs: r.Resyncs}
		if !reflect.DeepEqual(got, test.want) || c.last != test.last {
			t.Errorf("%s: %+v at %d, want %+v at %d", test.name, got, c.last, test.want, test.last)
		}
		if n := uint64(r.Latency.TotalCount()); n != r.Single+r.Covered {
			t.Errorf("%s: %d latencies for %d writes", test.name, n, r.Single+r.Covered)
		}
	}
}

// gateway is a server in the smallest form that a swarm can be connected to.
type gateway struct {
	*httptest.Server
	mu    sync.Mutex
	seq   uint64
	conns []*websocket.Conn
	// hold, when not nil, is waited for before the operation after it.
	hold map[uint64]chan struct{}
	// spoil changes what connection 0 is sent for an operation.
	spoil func(seq uint64, p *canvas.Pixel)
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{hold: map[uint64]chan struct{}{}}
	g.Server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) url() string { return "ws" + strings.TrimPrefix(g.URL, "http") }

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.Close() }()
	say := func(m protocol.ServerMessage) {
		for _, b := range protocol.EncodeJSON(m) {
			_ = ws.WriteMessage(websocket.TextMessage, b)
		}
	}
	g.mu.Lock()
	say(protocol.Connected{Spec: canvas.Spec{Width: 4, Height: 4}})
	_ = ws.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second))
	g.conns = append(g.conns, ws)
	g.mu.Unlock()
	for {
		var m struct {
			Type string
			X, Y uint16
			// Color as #RRGGBB
			Color string
			Op    uint64
		}
		_, b, err := ws.ReadMessage()
		if err != nil {
			return
		}
		if json.Unmarshal(b, &m) != nil || m.Type != "pixel_update" {
			continue
		}
		color, _ := canvas.ParseColor(m.Color)
		g.mu.Lock()
		if hold := g.hold[g.seq]; hold != nil {
			<-hold
		}
		g.seq++
		for i, to := range g.conns {
			p := canvas.Pixel{X: m.X, Y: m.Y, Color: color}
			if g.spoil != nil && i == 0 {
				g.spoil(g.seq, &p)
			}
			entry := &canvas.Entry{First: g.seq, Ops: []canvas.Op{{Kind: canvas.Paint, Pixels: []canvas.Pixel{p}}}}
			(&protocol.JSON{}).Entry(entry, canvas.Spec{Width: 4, Height: 4}, func(b []byte) { _ = to.WriteMessage(websocket.TextMessage, b) })
		}
		say(protocol.Ack{Number: m.Op, Seq: g.seq})
		g.mu.Unlock()
	}
}

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (g *gateway) swarm(t *testing.T, ctx context.Context, clients int) *Swarm {
	t.Helper()
	s, err := Dial(ctx, Options{Wire: JSON{}, URLs: []string{g.url()}, Clients: clients, Silent: 1, Width: 4, Height: 4, Pictures: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// run sends writes and waits until everybody has everything.
func run(t *testing.T, ctx context.Context, s *Swarm, writes int) Sent {
	t.Helper()
	sent := s.Send(ctx, Schedule{
		Begin: time.Now(), Interval: time.Millisecond, Writes: writes, Clients: s.Len() - 1, Block: 1, Width: 4, Height: 4, Base: s.Position(),
	})
	if err := s.Await(ctx, "everything", func(c *Conn) bool { return c.last >= uint64(writes) && s.record.Acks == uint64(writes) }); err != nil {
		t.Fatal(err)
	}
	return sent
}

func TestSwarmSeesEverything(t *testing.T) {
	ctx := limit(t)
	g := newGateway(t)
	s := g.swarm(t, ctx, 5)
	const writes = 60
	sent := run(t, ctx, s, writes)
	pictures := s.Pictures()
	r, err := s.Record()
	if err != nil {
		t.Fatal(err)
	}
	if sent.Writes != writes || r.Single != 5*writes || r.Acks != writes || r.Head != writes {
		t.Errorf("%d writes, %d deliveries, %d acknowledged, head %d", sent.Writes, r.Single, r.Acks, r.Head)
	}
	if r.Gaps+r.Repeats+r.Unexpected > 0 || len(r.Refused)+len(r.Closed) > 0 {
		t.Errorf("%+v", r)
	}
	if n := r.Latency.TotalCount(); n != 5*writes {
		t.Errorf("%d latencies, want those of the five that count", n)
	}
	if len(pictures) != 6 {
		t.Fatalf("%d pictures", len(pictures))
	}
	for i := range pictures[0] {
		// Write k goes to cell k modulo 16. Which of them was the last is for
		// the server to say, the same for all.
		for n, p := range pictures {
			if p[i] == 0 || int(p[i]-1)%16 != i || p[i] != pictures[0][i] {
				t.Fatalf("cell %d of picture %d was painted by write %d", i, n, p[i]-1)
			}
		}
	}
}

// A server that stalls keeps many writes waiting; each counts with the time
// since it was due, also those that could not be sent meanwhile.
func TestStallIsNotHidden(t *testing.T) {
	ctx := limit(t)
	g := newGateway(t)
	resume := make(chan struct{})
	g.hold[20] = resume
	s := g.swarm(t, ctx, 2)
	const writes, stall = 220, 200 * time.Millisecond
	timer := time.AfterFunc(stall, func() { close(resume) })
	defer timer.Stop()
	run(t, ctx, s, writes)
	r, err := s.Record()
	if err != nil {
		t.Fatal(err)
	}
	// Write 20 + n is due n ms into the stall, at 1 a millisecond.
	slow := 0
	for _, bar := range r.Latency.Distribution() {
		if bar.From >= (stall / 4).Microseconds() {
			slow += int(bar.Count)
		}
	}
	if least := 2 * 100; slow < least {
		t.Errorf("%d deliveries took a quarter of the stall or more, want at least %d: %v", slow, least, timesOf(r))
	}
}

func timesOf(r *Record) []int64 {
	return []int64{r.Latency.ValueAtQuantile(50), r.Latency.ValueAtQuantile(99), r.Latency.Max()}
}

// One client is shown another colour: its picture differs.
func TestOtherPictureShows(t *testing.T) {
	ctx := limit(t)
	g := newGateway(t)
	g.spoil = func(seq uint64, p *canvas.Pixel) {
		if seq == 30 {
			p.Color ^= 1
		}
	}
	s := g.swarm(t, ctx, 3)
	run(t, ctx, s, 30)
	pictures := s.Pictures()
	different := 0
	for _, p := range pictures {
		same := 0
		for _, other := range pictures {
			if reflect.DeepEqual(p, other) {
				same++
			}
		}
		if same == 1 {
			different++
		}
	}
	if different != 1 {
		t.Errorf("%d of %d pictures differ, want 1", different, len(pictures))
	}
}

func TestRefusedUpgrade(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for url, want := range map[string]string{
		"ws" + strings.TrimPrefix(server.URL, "http"): "404",
		"ws://192.0.2.1:80/ws":                        "not on this machine",
	} {
		_, err := Dial(limit(t), Options{Wire: Binary{}, URLs: []string{url}, Clients: 3, Width: 4, Height: 4})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
