package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/protocol"
)

// first has a client go to the gateways in the order in which they are named.
func first() float64 { return 0 }

// A gateway stops while its clients draw: they are closed with 1012 and a time,
// go on at the other one, and nothing is lost or doubled.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel() // most of its time is waiting
	server := redis(t, embedded.Options{})
	a, b := start(t, server.URL(), "a", nil), start(t, server.URL(), "b", nil)
	var painters []*painter
	for i := range 12 {
		o := client.Options{Rand: first}
		if i%4 == 3 {
			o.Codec = client.JSON
		}
		painters = append(painters, paint(t, i, o, a, b))
	}
	for i, p := range painters {
		eventually(t, fmt.Sprintf("painter %d draws at a", i), func() bool { return p.Stats().Acked > 20 && p.Pod() == "a" })
	}
	visitor := dialOld(t, a, "/")
	a.stop(t)
	<-visitor.done
	if end := visitor.end(); end == nil || end.Code != 1012 {
		t.Errorf("who only watches is closed with %v", end)
	}
	if m := visitor.await(t, 1, "status")[0]; m.fields["status"] != "draining" {
		t.Errorf("before, it is told %s", m.text)
	}
	for i, p := range painters {
		n := p.Stats().Acked
		eventually(t, fmt.Sprintf("painter %d draws at b", i), func() bool { return p.Pod() == "b" && p.Stats().Acked > n+20 })
	}
	expectAll(t, openStore(t, server.URL()), painters)
	restart := regexp.MustCompile(`^1012 retry=\d+$`)
	for i, p := range painters {
		p.mu.Lock()
		if len(p.closes) != 1 || !restart.MatchString(p.closes[0]) {
			t.Errorf("painter %d was closed with %q", i, p.closes)
		}
		p.mu.Unlock()
		if s := p.Stats(); s.Recoveries[client.FromMemory] != 1 || s.Duplicates != 0 {
			t.Errorf("painter %d: %+v", i, s)
		}
	}
	if log := a.logs.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "were lost") {
		t.Errorf("the stop was not clean:\n%s", log)
	}
}

// During the delay the gateway is unready and still accepts: balancers have to
// notice first.
func TestStopIsAnnounced(t *testing.T) {
	t.Parallel() // most of its time is waiting
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) {
		o.DrainDelay, o.DrainTimeout = 3*time.Second, patience // far more than what follows takes
	})
	c := dialOld(t, g, "/")
	c.roundTrip(t)
	g.cancel()
	if m := c.await(t, 1, "status")[0]; m.fields["status"] != "draining" {
		t.Errorf("got %s", m.text)
	}
	if status, _, _ := get(t, "http://"+g.addr+"/readyz", nil); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d", status)
	}
	if status, _, _ := get(t, "http://"+g.addr+"/livez", nil); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
	}
	late := dialOld(t, g, "/")
	for _, who := range []*oldClient{c, late} {
		n := len(who.messages("pixel_updated"))
		who.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`)
		who.await(t, n+1, "pixel_updated")
	}
	if m := late.await(t, 1, "status")[0]; m.fields["status"] != "draining" {
		t.Errorf("who comes late is told %s", m.text)
	}
}

// Clients that do not answer, or do not read, hold a stop up to its deadline and
// no longer.
func TestStopWaitsForNobody(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) {
		// Nothing else than the deadline of the drain can end this.
		o.HandshakeTimeout, o.SlowTimeout, o.PingInterval = time.Hour, time.Hour, time.Hour
		o.DrainSpread, o.DrainTimeout = 10*time.Millisecond, 500*time.Millisecond
	})
	silent, _ := dialRaw(t, g, "/")
	if _, err := io.WriteString(silent, text(`{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`)); err != nil {
		t.Fatal(err)
	}
	// Ever more resets, each of 2,500 messages, until the socket of this one
	// is full.
	full, _ := dialRaw(t, g, "/")
	_ = full.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	s := openStore(t, server.URL())
	eventually(t, "a socket is full", func() bool {
		appendOps(t, s, "main", canvas.Op{Kind: canvas.Reset, Color: 0x00FF00})
		return g.metric(t, "pixel_hub_blocked_writes_total") > 0
	})
	g.stop(t)
}

// What nobody can send again, and the log does not take in time, is lost; then
// it is at least counted and told.
func TestStopTellsWhatIsLost(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) {
		o.Redis.Timeout = 50 * time.Millisecond
		o.DrainSpread, o.DrainTimeout = 10*time.Millisecond, 300*time.Millisecond
	})
	c := dialOld(t, g, "/")
	c.roundTrip(t)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`)
	}
	c.roundTrip(t)
	g.stop(t)
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if n := g.metric(t, "pixel_drain_lost_operations_total"); n != 3 {
		t.Errorf("%v operations are counted as lost", n)
	}
	if log := g.logs.String(); !strings.Contains(log, "operations were lost in a drain") {
		t.Errorf("nobody is told:\n%s", log)
	}
}

// A new gateway gets its share: one that has far more sends some of its
// clients, and they lose nothing on the way.
func TestBalance(t *testing.T) {
	t.Parallel() // most of its time is waiting
	server := redis(t, embedded.Options{})
	soon := func(o *gateway.Options) { o.BalanceAfter = time.Millisecond }
	a, b := start(t, server.URL(), "a", soon), start(t, server.URL(), "b", soon)
	const clients = 20
	var painters []*painter
	for i := range clients {
		painters = append(painters, paint(t, i, client.Options{Rand: first}, a, b))
	}
	eventually(t, "two clients have moved to the empty gateway", func() bool { return b.metric(t, "pixel_connections") >= 2 })
	expectAll(t, openStore(t, server.URL()), painters)
	moved := 0
	for i, p := range painters {
		p.mu.Lock()
		for _, end := range p.closes {
			moved++
			if end != "1012 retry=0" {
				t.Errorf("painter %d was closed with %q", i, end)
			}
		}
		p.mu.Unlock()
	}
	if n := a.metric(t, "pixel_rebalanced_connections_total"); n < float64(moved) || moved < 2 {
		t.Errorf("%d clients have moved, %v are counted", moved, n)
	}
	if n := b.metric(t, "pixel_rebalanced_connections_total"); n != 0 {
		t.Errorf("the emptier gateway has sent %v away", n)
	}
}

// Redis does not answer during the stop. Those who only look, and in the end
// those whose operations wait, are told to go elsewhere all the same.
func TestStopWithoutRedisTellsEverybody(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) {
		o.Redis.Timeout = 50 * time.Millisecond
		o.DrainSpread, o.DrainTimeout = 100*time.Millisecond, 2*time.Second
	})
	clients := make([]*oldClient, 25)
	for i := range clients {
		clients[i] = dialOld(t, g, "/")
		clients[i].roundTrip(t)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients[:3] {
		c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`)
		c.roundTrip(t)
	}
	g.stop(t)
	for i, c := range clients {
		<-c.done
		if c.closed == nil || c.closed.Code != protocol.CloseRestart {
			t.Errorf("connection %d ended with %v", i, c.closed)
		}
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
}
