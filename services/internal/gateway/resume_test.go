package gateway_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/protocol"
)

// strokes returns n operations of one pixel each.
func strokes(n int) []canvas.Op {
	ops := make([]canvas.Op, n)
	for i := range ops {
		ops[i] = canvas.Op{Kind: canvas.Paint, Pixels: []canvas.Pixel{{X: uint16(i % 50), Y: uint16(i / 50 % 50), Color: canvas.Color(i)}}}
	}
	return ops
}

// resumed is what a connection that claims a position gets until it has
// reached another one.
type resumed struct {
	at      canvas.Position // as connected says, or the picture
	from    protocol.Source // as connected says
	picture bool
	cells   map[canvas.Pixel]bool // what changed after it, in the end
}

// resume connects in the binary codec with a claim and reads up to a position.
func resume(t *testing.T, g *running, claim canvas.Position, until uint64) (got resumed) {
	t.Helper()
	c, response := dialRaw(t, g, fmt.Sprintf("/ws?epoch=%s&since=%d", claim.Epoch, claim.Seq), "Sec-WebSocket-Protocol: "+protocol.Subprotocol)
	if response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake is answered with %s", response.Status)
	}
	defer func() { _ = c.Close() }()
	grid := make(map[[2]uint16]canvas.Color)
	last := uint64(0)
	for greeted := false; !greeted || last < until; {
		first, payload, err := c.next()
		if err != nil || first != binaryFrame {
			t.Fatalf("at %d of %d came frame %#x: %v", last, until, first, err)
		}
		if err := protocol.DecodeServerBinary(payload, func(m protocol.ServerMessage) error {
			switch m := m.(type) {
			case protocol.Connected:
				greeted, got.at, got.from, last = true, m.Position, m.Resumed, m.Position.Seq
				if m.Position != claim {
					last = 0 // a picture has to come
				}
			case protocol.SnapshotBegin:
				got.picture, got.at, last = true, m.Position, m.Position.Seq
			case protocol.Updates:
				if m.First != last+1 {
					t.Errorf("after %d comes %d", last, m.First)
				}
				last = m.First + uint64(len(m.Ops)) - 1
				for _, o := range m.Ops {
					for _, p := range o.Pixels {
						grid[[2]uint16{p.X, p.Y}] = p.Color
					}
				}
			case protocol.Range:
				if m.Prev != last {
					t.Errorf("after %d comes (%d, %d]", last, m.Prev, m.Seq)
				}
				last = m.Seq
				for _, c := range m.Cells {
					grid[[2]uint16{c.X, c.Y}] = c.Color
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	got.cells = make(map[canvas.Pixel]bool)
	for at, color := range grid {
		got.cells[canvas.Pixel{X: at[0], Y: at[1], Color: color}] = true
	}
	return got
}

// A returning client gets what it missed from where that is to be had: the
// gateway's memory, the log, or a whole picture.
func TestResume(t *testing.T) {
	server := redis(t, embedded.Options{})
	s := openStore(t, server.URL())
	short := func(o *gateway.Options) { o.HistoryOps = 200 }
	g := start(t, server.URL(), "a", short)
	dialOld(t, g, "/").await(t, 1, "connected") // the canvas exists
	// What is read from the log for one client others find in memory.
	json := start(t, server.URL(), "b", short)
	dialOld(t, json, "/").await(t, 1, "connected")
	appendOps(t, s, "main", strokes(1000)...)
	meta, err := s.Meta(deadline(t), "main")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateways have it all", func() bool {
		return strings.HasSuffix(connectedAt(t, g), `"seq":1000}`) && strings.HasSuffix(connectedAt(t, json), `"seq":1000}`)
	})
	after := func(seq uint64) map[canvas.Pixel]bool {
		cells := make(map[canvas.Pixel]bool)
		for _, o := range strokes(1000)[seq:] {
			cells[o.Pixels[0]] = true // no cell twice
		}
		return cells
	}
	at := func(seq uint64) canvas.Position { return canvas.Position{Epoch: meta.Epoch, Seq: seq} }
	for _, row := range []struct {
		name    string
		claim   canvas.Position
		from    string
		picture bool
	}{
		{"nothing missed", at(1000), "memory", false},
		{"the last one", at(999), "memory", false},
		{"all that memory has", at(900), "memory", false},
		{"more than memory has", at(300), "log", false},
		{"a position in the future", at(1001), "snapshot", true},
		{"the end of numbers", at(protocol.MaxNumber), "snapshot", true},
		{"another epoch", canvas.Position{Epoch: canvas.NewEpoch(), Seq: 990}, "snapshot", true},
		{"no epoch", canvas.Position{Seq: 990}, "snapshot", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			counted := g.metric(t, "pixel_resumes_total", `"`+row.from+`"`)
			got := resume(t, g, row.claim, 1000)
			if got.picture != row.picture {
				t.Fatalf("picture: %v", got.picture)
			}
			said := got.from.String()
			if got.from == 0 {
				said = "snapshot" // nothing is told, and a picture comes
			}
			if said != row.from {
				t.Errorf("the client is told %v", got.from)
			}
			if row.picture && (got.at != at(1000) || len(got.cells) > 0) {
				t.Errorf("picture at %v, then %v", got.at, got.cells)
			}
			if !row.picture && (got.at != row.claim || !maps.Equal(got.cells, after(row.claim.Seq))) {
				t.Errorf("from %v came %v", got.at, got.cells)
			}
			eventually(t, "it is counted once", func() bool {
				return g.metric(t, "pixel_resumes_total", `"`+row.from+`"`) == counted+1
			})
		})
	}
	t.Run("JSON", func(t *testing.T) {
		c := dialOld(t, g, fmt.Sprintf("/?epoch=%s&since=%d", meta.Epoch, 990))
		last := 990.0
		for i, m := range c.await(t, 10, "pixel_updated") {
			// As single operations, or as a range.
			if prev := m.fields["prev"].(float64); prev != last && m.fields["seq"] != last || m.fields["x"] != float64((990+i)%50) {
				t.Errorf("after %v comes %s", last, m.text)
			}
			last = m.fields["seq"].(float64)
		}
		if last != 1000 {
			t.Errorf("it ends at %v", last)
		}
		c = dialOld(t, g, fmt.Sprintf("/?epoch=%s&since=%d", canvas.NewEpoch(), 990))
		if m := c.await(t, 1, "resync")[0]; !strings.HasPrefix(m.text, fmt.Sprintf(`{"type":"resync","epoch":"%s","seq":1000`, meta.Epoch)) {
			t.Errorf("got %s", m.text)
		}
		for _, row := range []struct {
			claim canvas.Position
			ends  string
		}{
			{at(1000), `"seq":1000,"resumed":"memory"}`},
			{at(900), `"seq":900,"resumed":"memory"}`},
			{at(300), `"seq":300,"resumed":"log"}`},
			{at(protocol.MaxNumber), `"seq":1000}`},
			{canvas.Position{Epoch: canvas.NewEpoch(), Seq: 990}, `"seq":1000}`},
		} {
			c := dialOld(t, json, fmt.Sprintf("/?epoch=%s&since=%d", row.claim.Epoch, row.claim.Seq))
			if m := c.await(t, 1, "connected")[0]; !strings.HasSuffix(m.text, row.ends) {
				t.Errorf("who claims %d is greeted with %s", row.claim.Seq, m.text)
			}
		}
	})
}

// connectedAt returns the text of a greeting.
func connectedAt(t *testing.T, g *running) string {
	c := dialOld(t, g, "/")
	defer c.leave()
	return c.await(t, 1, "connected")[0].text
}

// Further back than a gateway reads the log, a picture is less work. The same
// holds for what the log no longer has.
func TestResumeFromLongAgo(t *testing.T) {
	server := redis(t, embedded.Options{})
	s := openStore(t, server.URL())
	first := start(t, server.URL(), "a", nil)
	dialOld(t, first, "/").await(t, 1, "connected")
	first.stop(t)
	// A new gateway has the recent ones in memory, and reads the rest.
	const total = 22_000
	appendOps(t, s, "main", strokes(total)...)
	meta, err := s.Meta(deadline(t), "main")
	if err != nil {
		t.Fatal(err)
	}
	g := start(t, server.URL(), "a", nil)
	for _, row := range []struct {
		since uint64
		from  string
	}{{total - 8000, "memory"}, {1000, "snapshot"}, {total - 15_000, "log"}, {total - 15_000, "memory"}} {
		counted := g.metric(t, "pixel_resumes_total", `"`+row.from+`"`)
		c := connect(t, client.Options{Name: row.from}, g)
		_ = c.Close()
		ws, response := dialRaw(t, g, fmt.Sprintf("/?epoch=%s&since=%d", meta.Epoch, row.since))
		if response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(response.Status)
		}
		_ = ws.Close()
		eventually(t, fmt.Sprintf("a resumption from %d is from %s", row.since, row.from), func() bool {
			return g.metric(t, "pixel_resumes_total", `"`+row.from+`"`) == counted+1
		})
	}
}

// Who comes back is greeted without a word to Redis, however many they are.
func TestResumeAsksRedisForNobody(t *testing.T) {
	server := redis(t, embedded.Options{})
	s := openStore(t, server.URL())
	g := start(t, server.URL(), "a", func(o *gateway.Options) { o.HistoryOps = 100 })
	dialOld(t, g, "/").await(t, 1, "connected")
	appendOps(t, s, "main", strokes(1000)...)
	meta, err := s.Meta(deadline(t), "main")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway has it all", func() bool {
		return strings.Contains(connectedAt(t, g), `"seq":1000}`)
	})
	for _, row := range []struct {
		name  string
		path  string
		count func() float64
	}{
		{"new ones", "/", func() float64 { return g.metric(t, "pixel_handshakes_total", "opened") }},
		{"from memory", fmt.Sprintf("/?epoch=%s&since=950", meta.Epoch), func() float64 { return g.metric(t, "pixel_resumes_total", "memory") }},
		{"from the log", fmt.Sprintf("/?epoch=%s&since=300", meta.Epoch), func() float64 { return g.metric(t, "pixel_resumes_total") }},
		{"from another epoch", fmt.Sprintf("/?epoch=%s&since=950", canvas.NewEpoch()), func() float64 { return g.metric(t, "pixel_resumes_total", "snapshot") }},
		{"from the future", fmt.Sprintf("/?epoch=%s&since=2000", meta.Epoch), func() float64 { return g.metric(t, "pixel_resumes_total", "snapshot") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			const all = 200
			asked, counted := g.metric(t, "pixel_store_operations_total"), row.count()
			var dialing sync.WaitGroup
			for range 4 {
				dialing.Go(func() {
					for range all / 4 {
						c, response := dialRaw(t, g, row.path)
						if response.StatusCode != http.StatusSwitchingProtocols {
							t.Error(response.Status)
						}
						t.Cleanup(func() { _ = c.Close() })
					}
				})
			}
			dialing.Wait()
			eventually(t, "all are counted", func() bool { return row.count() == counted+all })
			n := g.metric(t, "pixel_store_operations_total") - asked
			// Heartbeats and the look at the head each second are among them. A
			// claim from the future has to be checked; those who make one at the
			// same time share that. An epoch that has ended is found out once.
			if most := 20.0; n >= most && row.name != "from the future" || n > all {
				t.Errorf("%v commands to Redis for %d connections", n, all)
			}
		})
	}
}

// A connection breaks right behind its hello, and its client is back before the
// gateway has read that: the one that was opened last stays.
func TestLateHelloReplacesNobody(t *testing.T) {
	g := start(t, redis(t, embedded.Options{}).URL(), "a", nil)
	hello := `{"type":"hello","session":"` + protocol.NewSession().Hex() + `"}`
	older := dialOld(t, g, "/")
	older.roundTrip(t)
	newer := dialOld(t, g, "/")
	newer.say(t, hello)
	newer.roundTrip(t)
	older.say(t, hello)
	select {
	case <-older.done:
	case <-deadline(t).Done():
		t.Fatal("the older connection stays")
	}
	if end := older.end(); end == nil || end.Code != protocol.CloseReplaced {
		t.Errorf("the older connection is closed with %v", end)
	}
	newer.roundTrip(t)
}

// A session belongs to its newest connection.
func TestSessionIsReplaced(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	session := protocol.NewSession()
	older := connect(t, client.Options{Session: session}, g)
	if _, err := older.Draw(deadline(t), canvas.Pixel{X: 1, Y: 1}); err != nil {
		t.Fatal(err)
	}
	if err := older.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	newer := connect(t, client.Options{Session: session, LastOp: 1}, g)
	select {
	case <-older.Done():
	case <-deadline(t).Done():
		t.Fatal("the older connection stays")
	}
	if s := older.Stats(); s.Disconnects[protocol.CloseReplaced] != 1 {
		t.Errorf("the older connection ended with %v: %v", older.Err(), s.Disconnects)
	}
	if _, err := newer.Draw(deadline(t), canvas.Pixel{X: 2, Y: 2}); err != nil {
		t.Fatal(err)
	}
	if err := newer.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	other := connect(t, client.Options{}, g)
	if _, err := other.Draw(deadline(t), canvas.Pixel{X: 3, Y: 3}); err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	log, _, _ := readLog(t, openStore(t, server.URL()), "main")
	var drawn []string
	for _, e := range log {
		for _, o := range e.Ops {
			drawn = append(drawn, fmt.Sprintf("%v %d", o.Author == session.Author(), o.Number))
		}
	}
	if want := []string{"true 1", "true 2", "false 1"}; !slices.Equal(drawn, want) {
		t.Errorf("the log has %v, want %v", drawn, want)
	}
	if log := g.logs.String(); strings.Contains(log, session.Hex()) {
		t.Error("a session is in the log of the gateway")
	}
}
