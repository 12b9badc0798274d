package gateway_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// painter draws with a client until it is told to stop, and keeps what the
// client tells.
type painter struct {
	*client.Client
	session protocol.Session

	mu      sync.Mutex
	states  []client.State
	closes  []string
	refused map[protocol.Code]int
	drawn   uint64

	end  chan struct{}
	over chan struct{}
}

func paint(t *testing.T, n int, o client.Options, gateways ...*running) *painter {
	t.Helper()
	p := &painter{session: protocol.NewSession(), refused: map[protocol.Code]int{}, end: make(chan struct{}), over: make(chan struct{})}
	o.Session = p.session
	o.OnState = func(s client.State) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.states = append(p.states, s)
	}
	o.OnDisconnect = func(code int, reason string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.closes = append(p.closes, fmt.Sprint(code, " ", reason))
	}
	o.OnRefused = func(r client.Refused) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused[r.Code]++
	}
	p.Client = connect(t, o, gateways...)
	go func() {
		defer close(p.over)
		for i := 0; ; i++ {
			select {
			case <-p.end:
				return
			default:
			}
			number, err := p.Draw(t.Context(), canvas.Pixel{X: uint16(i % 50), Y: uint16((i/50 + n) % 50), Color: canvas.Color(n<<16 | i&0xFFFF)})
			if err != nil {
				t.Errorf("painter %d: %v", n, err)
				return
			}
			p.mu.Lock()
			p.drawn = number
			p.mu.Unlock()
			// A few operations are always under way, never an outbox full.
			for p.Stats().Outbox > 20 {
				select {
				case <-p.end:
					return
				case <-time.After(time.Millisecond):
				}
			}
		}
	}()
	t.Cleanup(p.stop)
	return p
}

// stop ends the drawing; the outbox may still hold something.
func (p *painter) stop() {
	select {
	case <-p.end:
	default:
		close(p.end)
	}
	<-p.over
}

func (p *painter) count() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drawn
}

// expectAll stops the painters and checks that the log has each of their
// operations once, in order, and nothing else, and that all see the same.
func expectAll(t *testing.T, s *store.Store, painters []*painter) {
	t.Helper()
	total := uint64(0)
	for i, p := range painters {
		p.stop()
		if err := p.Flush(deadline(t)); err != nil {
			t.Fatalf("painter %d: %v; %v, %+v", i, err, p.Err(), p.Stats())
		}
		total += p.count()
	}
	log, picture, head := readLog(t, s, "main")
	if head != total {
		t.Errorf("the log has %d operations, %d were drawn", head, total)
	}
	last := make(map[canvas.AuthorID]uint64)
	for _, e := range log {
		for _, o := range e.Ops {
			if o.Number != last[o.Author]+1 {
				t.Fatalf("in the log operation %d follows %d", o.Number, last[o.Author])
			}
			last[o.Author] = o.Number
		}
	}
	for i, p := range painters {
		if n := last[p.session.Author()]; n != p.count() {
			t.Errorf("the log has %d operations of painter %d, not %d", n, i, p.count())
		}
		if err := p.WaitFor(deadline(t), head); err != nil {
			t.Fatalf("painter %d: %v", i, err)
		}
		if f := p.Grid(); f != nil && f.Hash() != picture.Hash() {
			t.Errorf("painter %d has another picture than the log", i)
		}
		if s := p.Stats(); s.Gaps+s.OutOfOrder+s.BadSnapshots != 0 {
			t.Errorf("painter %d: %+v", i, s)
		}
	}
}

// Redis is killed and comes back, again and again, while everybody draws.
// Clients are told; nothing that was acknowledged, or sent, is lost or doubled.
func TestRedisIsKilled(t *testing.T) {
	server := redis(t, embedded.Options{AppendFsync: "always"})
	a, b := start(t, server.URL(), "a", nil), start(t, server.URL(), "b", nil)
	var painters []*painter
	for i := range 4 {
		o := client.Options{}
		if i == 3 {
			o.Codec = client.JSON
		}
		painters = append(painters, paint(t, i, o, []*running{a, b}[i%2]))
	}
	s := openStore(t, server.URL())
	epoch, err := s.Meta(deadline(t), "main")
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		for i, p := range painters {
			n := p.Stats().Acked
			eventually(t, fmt.Sprintf("painter %d draws, round %d", i, round), func() bool { return p.Stats().Acked > n+20 })
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		for i, p := range painters {
			eventually(t, fmt.Sprintf("painter %d hears that Redis is away", i), func() bool { return p.State() == client.Degraded })
		}
		// Whoever comes now gets the picture all the same, and hears it too.
		visitor := dialOld(t, a, "/")
		if m := visitor.await(t, 1, "status")[0]; m.fields["status"] != "degraded" {
			t.Errorf("a visitor gets %s", m.text)
		}
		if status, _, _ := get(t, "http://"+a.addr+"/readyz", nil); status != http.StatusOK {
			t.Errorf("without Redis /readyz answers %d: nobody could be told", status)
		}
		if _, _, health := get(t, "http://"+a.addr+"/health", nil); health["redis"] != "disconnected" || health["status"] != "ok" {
			t.Errorf("without Redis /health answers %v", health)
		}
		if err := server.Start(deadline(t)); err != nil {
			t.Fatal(err)
		}
		for i, p := range painters {
			eventually(t, fmt.Sprintf("painter %d hears that Redis is back", i), func() bool { return p.State() == client.Live })
		}
		visitor.await(t, 2, "status")
	}
	expectAll(t, s, painters)
	if now, err := s.Meta(deadline(t), "main"); err != nil || now.Epoch != epoch.Epoch {
		t.Errorf("Redis lost nothing, and yet the epoch is another: %v", err)
	}
	for i, p := range painters {
		p.mu.Lock()
		if !slices.Contains(p.states, client.Degraded) || len(p.closes) > 0 {
			t.Errorf("painter %d went through %v, closes %v", i, p.states, p.closes)
		}
		p.mu.Unlock()
	}
}

// A gateway that starts before Redis waits for it.
func TestGatewayStartsBeforeRedis(t *testing.T) {
	server := redis(t, embedded.Options{})
	if err := server.Stop(deadline(t)); err != nil {
		t.Fatal(err)
	}
	g := start(t, server.URL(), "a", nil)
	ready := func() int {
		status, _, _ := get(t, "http://"+g.addr+"/readyz", nil)
		return status
	}
	if status := ready(); status != http.StatusServiceUnavailable {
		t.Errorf("without Redis /readyz answers %d", status)
	}
	if _, _, health := get(t, "http://"+g.addr+"/health", nil); health["redis"] != "disconnected" {
		t.Errorf("/health answers %v", health)
	}
	if err := server.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway is ready", func() bool { return ready() == http.StatusOK })
	c := dialOld(t, g, "/")
	c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`)
	c.await(t, 1, "pixel_updated")
}

// Redis comes back empty: that is another history, so everybody gets another
// picture, and sessions go on where they were.
func TestRedisComesBackEmpty(t *testing.T) {
	dir := t.TempDir()
	server := redis(t, embedded.Options{Dir: dir})
	a, b := start(t, server.URL(), "a", nil), start(t, server.URL(), "b", nil)
	clients := []*client.Client{connect(t, client.Options{}, a), connect(t, client.Options{}, b)}
	old := dialOld(t, b, "/")
	old.await(t, 1, "connected")
	draw := func(c *client.Client, color canvas.Color) {
		t.Helper()
		if _, err := c.Draw(deadline(t), canvas.Pixel{X: 7, Y: 7, Color: color}); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range clients {
		draw(c, canvas.Color(i+1))
	}
	before := clients[0].Position().Epoch
	old.await(t, 2, "pixel_updated")

	if err := server.Stop(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "appendonlydir")); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(deadline(t)); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		eventually(t, fmt.Sprintf("client %d has the new, blank picture", i), func() bool {
			f, at := c.Picture()
			return at.Epoch != before && f != nil && f.At(7, 7) == canvas.White
		})
	}
	if x, y := clients[0].Position().Epoch, clients[1].Position().Epoch; x != y {
		t.Errorf("two gateways, two epochs: %v and %v", x, y)
	}
	// An old client is sent all cells.
	white := 0
	for _, m := range old.await(t, 2+2500, "pixel_updated")[2:] {
		if m.fields["color"] == "#FFFFFF" {
			white++
		}
	}
	if white != 2500 {
		t.Errorf("an old client got %d white cells", white)
	}
	for i, c := range clients {
		draw(c, canvas.Color(0x100+i))
	}
	log, picture, head := readLog(t, openStore(t, server.URL()), "main")
	if head != 2 || log[0].Ops[0].Number != 2 || log[len(log)-1].Ops[0].Number != 2 {
		t.Errorf("the new log has %d operations, beginning with number %d", head, log[0].Ops[0].Number)
	}
	for i, c := range clients {
		if err := c.WaitFor(deadline(t), head); err != nil {
			t.Fatal(err)
		}
		if f := c.Grid(); f.Hash() != picture.Hash() {
			t.Errorf("client %d has another picture than the log", i)
		}
		if s := c.Stats(); len(s.Disconnects) > 0 {
			t.Errorf("client %d was disconnected: %v", i, s.Disconnects)
		}
	}
}

// While Redis does not answer, what waits is bounded: beyond the bounds
// operations are refused, and nothing is lost in the end.
func TestRedisDoesNotAnswer(t *testing.T) {
	server := redis(t, embedded.Options{AppendFsync: "always"})
	const queue, perConnection = 256 << 10, 32 << 10
	g := start(t, server.URL(), "a", func(o *gateway.Options) {
		o.Redis.Timeout = 100 * time.Millisecond
		o.MaxQueue, o.MaxQueuePerConnection = queue, perConnection
	})
	const clients, strokes, pixels = 12, 100, 400
	var painters []*painter
	for i := range clients {
		p := paint(t, i, client.Options{}, g)
		p.stop() // they draw when they are asked to
		painters = append(painters, p)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	before := heap()
	for i, p := range painters {
		for n := range strokes {
			stroke := make([]canvas.Pixel, pixels)
			for j := range stroke {
				stroke[j] = canvas.Pixel{X: uint16(j % 50), Y: uint16((n + j/50) % 50), Color: canvas.Color(i<<16 | n<<8 | j)}
			}
			number, err := p.Draw(deadline(t), stroke...)
			if err != nil {
				t.Fatal(err)
			}
			p.drawn = number
		}
	}
	eventually(t, "operations are refused because Redis is away", func() bool {
		return g.metric(t, "pixel_messages_refused_total", "degraded") >= clients
	})
	for i, p := range painters {
		eventually(t, fmt.Sprintf("painter %d hears that Redis is away", i), func() bool { return p.State() == client.Degraded })
	}
	if waiting := g.metric(t, "pixel_append_queue_bytes"); waiting > queue || waiting < queue/4 {
		t.Errorf("%v bytes wait, at most %d may", waiting, queue)
	}
	// The clients' outboxes are in this process as well.
	const outboxes = clients * strokes * pixels * 8 * 3
	// What is on its way at this moment comes and goes; what piles up stays.
	eventually(t, "the heap has grown by no more than what may wait", func() bool { return heap()-before <= outboxes+8*queue })
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	expectAll(t, openStore(t, server.URL()), painters)
	for i, p := range painters {
		p.mu.Lock()
		for code := range p.refused {
			if code != protocol.CodeDegraded && code != protocol.CodeBusy {
				t.Errorf("painter %d was refused with %v", i, code)
			}
		}
		if len(p.closes) > 0 {
			t.Errorf("painter %d was closed: %v", i, p.closes)
		}
		p.mu.Unlock()
	}
	eventually(t, "nothing waits", func() bool { return g.metric(t, "pixel_append_queue_bytes") == 0 })
	if log := g.logs.String(); strings.Contains(log, "panic") {
		t.Error(log)
	}
}
