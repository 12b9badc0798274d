package gateway_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/protocol"
)

// A client that draws faster than it may is refused, goes back and sends
// again: in the end the log has each of its operations once, in order. It is
// no offence to have many operations under way, nor does the client get so many
// refusals at once that it seems not to read them.
func TestRateLimitsLoseNothing(t *testing.T) {
	t.Parallel() // most of its time is waiting
	server := redis(t, embedded.Options{})
	for _, row := range []struct {
		name     string
		codec    client.Codec
		pixels   int // of an operation
		strokes  int
		change   func(*gateway.Options)
		canvasID string
	}{
		{"messages, binary", client.Binary, 1, 3000, func(o *gateway.Options) { o.MessagesPerSecond = 1000 }, "a"},
		{"messages, JSON", client.JSON, 1, 3000, func(o *gateway.Options) { o.MessagesPerSecond = 1000 }, "b"},
		{"pixels", client.Binary, 1000, 30, func(o *gateway.Options) { o.PixelsPerSecond = 20_000 }, "c"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := start(t, server.URL(), row.canvasID, func(o *gateway.Options) {
				o.Canvases.AtStart[0].ID = row.canvasID
				row.change(o)
			})
			var mu sync.Mutex
			var refused []client.Refused
			c := connect(t, client.Options{Canvas: row.canvasID, Codec: row.codec, MaxOutbox: row.strokes, OnRefused: func(r client.Refused) {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, r)
			}}, g)
			for n := range row.strokes {
				stroke := make([]canvas.Pixel, row.pixels)
				for i := range stroke {
					stroke[i] = canvas.Pixel{X: uint16(i % 50), Y: uint16(n % 50), Color: canvas.Color(n)}
				}
				if _, err := c.Draw(deadline(t), stroke...); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Flush(deadline(t)); err != nil {
				t.Fatalf("%v; the client ended with %v, %+v", err, c.Err(), c.Stats())
			}
			log, _, head := readLog(t, openStore(t, server.URL()), row.canvasID)
			want := uint64(1)
			for _, e := range log {
				for _, o := range e.Ops {
					if o.Number != want {
						t.Fatalf("the log has operation %d where %d belongs", o.Number, want)
					}
					want++
				}
			}
			if head != uint64(row.strokes) {
				t.Errorf("the log has %d operations, not %d", head, row.strokes)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(refused) == 0 {
				t.Error("nothing was refused: the limit was not tested")
			}
			for _, r := range refused {
				if r.Code != protocol.CodeRateLimited || r.RetryAfter <= 0 || r.Final {
					t.Fatalf("refused with %+v", r)
				}
			}
			if s := c.Stats(); len(s.Disconnects) > 0 {
				t.Errorf("a client that keeps to the protocol was closed: %v", s.Disconnects)
			}
		})
	}
}

// Who does not number its operations hears that they were dropped, and when to
// try again; other messages count as well.
func TestRateLimitTellsWhen(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) { o.MessagesPerSecond = 0.01 })
	c := dialOld(t, g, "/")
	const burst = 20
	for range burst - 1 {
		c.say(t, `{"type":"ping"}`)
	}
	c.say(t, `{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`)
	c.await(t, 1, "pixel_updated")
	for i, message := range []string{`{"type":"pixel_update","x":1,"y":1,"color":"#000000"}`, `{"type":"ping"}`, `{"type":"set_username","username":"x"}`} {
		c.say(t, message)
		m := c.await(t, i+1, "error")[i]
		if m.fields["code"] != "rate_limited" || m.fields["retryAfterMs"] != 60_000.0 || m.fields["op"] != nil {
			t.Errorf("%s is answered with %s", message, m.text)
		}
	}
	if n := len(c.messages("pong")); n != burst-1 {
		t.Errorf("%d pongs, want %d", n, burst-1)
	}
}

// upgradeStatus tells how a handshake is answered, and closes what it opened.
func upgradeStatus(t *testing.T, g *running, lines ...string) (status int, retryAfter string) {
	t.Helper()
	c, response := dialRaw(t, g, "/", lines...)
	_ = c.Close()
	return response.StatusCode, response.Header.Get("Retry-After")
}

// expectRefused checks a refusal that names a time.
func expectRefused(t *testing.T, g *running, status int, lines ...string) {
	t.Helper()
	got, after := upgradeStatus(t, g, lines...)
	if seconds, err := strconv.Atoi(after); got != status || err != nil || seconds < 1 {
		t.Errorf("answered with %d, Retry-After %q; want %d and a time", got, after, status)
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	server := redis(t, embedded.Options{})
	limits := func(o *gateway.Options) { o.MaxPerAddress = 2 }
	forwarded := func(addr string) string { return "X-Forwarded-For: " + addr }

	t.Run("direct", func(t *testing.T) {
		g := start(t, server.URL(), "a", limits)
		first, _ := dialRaw(t, g, "/")
		dialRaw(t, g, "/")
		expectRefused(t, g, http.StatusTooManyRequests)
		if n := g.metric(t, "pixel_handshakes_total", "address_limit"); n != 1 {
			t.Errorf("%v refusals were counted", n)
		}
		_ = first.Close()
		eventually(t, "the place is free again", func() bool {
			status, _ := upgradeStatus(t, g)
			return status == http.StatusSwitchingProtocols
		})
	})
	t.Run("behind a proxy that nobody told of", func(t *testing.T) {
		g := start(t, server.URL(), "a", limits)
		for range 5 {
			if _, response := dialRaw(t, g, "/", forwarded("192.0.2.1")); response.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("all clients share the proxy's address, and one gets %s", response.Status)
			}
		}
	})
	t.Run("behind a trusted proxy", func(t *testing.T) {
		g := start(t, server.URL(), "a", func(o *gateway.Options) {
			limits(o)
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		})
		for range 2 {
			for _, addr := range []string{"192.0.2.1", "192.0.2.2", "6.6.6.6, 192.0.2.3", "2001:db8::1"} {
				if _, response := dialRaw(t, g, "/", forwarded(addr)); response.StatusCode != http.StatusSwitchingProtocols {
					t.Errorf("%s gets %s", addr, response.Status)
				}
			}
		}
		for _, addr := range []string{"192.0.2.1", "192.0.2.2", "9.9.9.9, 192.0.2.3", "2001:db8::2"} {
			expectRefused(t, g, http.StatusTooManyRequests, forwarded(addr))
		}
		// The proxy itself, a probe for example, is no client.
		if status, _ := upgradeStatus(t, g); status != http.StatusSwitchingProtocols {
			t.Errorf("the proxy itself gets %d", status)
		}
	})
}

func TestConnectionRatePerAddress(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) {
		o.RatePerAddress = 0.001 // a burst of 10, and then nothing for long
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	for i := range 10 {
		if status, _ := upgradeStatus(t, g, "X-Forwarded-For: 192.0.2.1"); status != http.StatusSwitchingProtocols {
			t.Fatalf("connection %d gets %d", i, status)
		}
	}
	expectRefused(t, g, http.StatusTooManyRequests, "X-Forwarded-For: 192.0.2.1")
	if status, _ := upgradeStatus(t, g, "X-Forwarded-For: 192.0.2.2"); status != http.StatusSwitchingProtocols {
		t.Errorf("another address gets %d", status)
	}
}

// A refused handshake gives back its place.
func TestMaxConnections(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) { o.MaxConnections, o.MaxPerAddress = 3, 4 })
	all := make([]*oldClient, 3)
	for i := range all {
		all[i] = dialOld(t, g, "/")
		all[i].roundTrip(t)
	}
	for range 10 {
		expectRefused(t, g, http.StatusServiceUnavailable)
	}
	all[0].leave()
	eventually(t, "a place is free", func() bool {
		c, response := dialRaw(t, g, "/")
		defer func() { _ = c.Close() }()
		return response.StatusCode == http.StatusSwitchingProtocols
	})
	for _, c := range all[1:] {
		c.roundTrip(t)
	}
}

// The bound holds also when all come at the same moment.
func TestMaxConnectionsAtOnce(t *testing.T) {
	server := redis(t, embedded.Options{})
	const most, all = 10, 60
	g := start(t, server.URL(), "a", func(o *gateway.Options) { o.MaxConnections = most })
	statuses := make([]int, all)
	var dialing sync.WaitGroup
	for i := range statuses {
		dialing.Go(func() {
			c, response := dialRaw(t, g, "/")
			statuses[i] = response.StatusCode
			t.Cleanup(func() { _ = c.Close() })
		})
	}
	dialing.Wait()
	slices.Sort(statuses)
	if opened, _ := slices.BinarySearch(statuses, http.StatusSwitchingProtocols+1); opened != most {
		t.Errorf("%d of %d connections were opened, want %d", opened, all, most)
	}
}

func TestMessageSize(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", func(o *gateway.Options) { o.MaxMessage = 2000 })
	ping := `{"type":"ping"}`
	for size, want := range map[int]string{2000: "pong", 2001: "close 1009"} {
		c, _ := dialRaw(t, g, "/")
		if got := c.answers(t, text(ping+strings.Repeat(" ", size-len(ping))), 1); !slices.Equal(got, []string{want}) {
			t.Errorf("%d bytes are answered with %q", size, got)
		}
	}
}

// Who comes while the canvas cannot be loaded is not kept waiting for ever.
func TestHandshakeTimeout(t *testing.T) {
	server := redis(t, embedded.Options{})
	if err := server.Stop(deadline(t)); err != nil {
		t.Fatal(err)
	}
	g := start(t, server.URL(), "a", func(o *gateway.Options) { o.HandshakeTimeout = 20 * time.Millisecond })
	expectRefused(t, g, http.StatusServiceUnavailable)
	if status, _, body := get(t, "http://"+g.addr+"/readyz", nil); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d %v", status, body)
	}
	if status, _, _ := get(t, "http://"+g.addr+"/livez", nil); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
	}
}

func TestOriginList(t *testing.T) {
	server := redis(t, embedded.Options{})
	for _, row := range []struct {
		list            []string
		allowed, denied []string
	}{
		{nil, []string{"http://127.0.0.1:3000"}, []string{"https://pixels.example"}},
		{[]string{"https://pixels.example"}, []string{"https://pixels.example", "HTTPS://Pixels.example", "http://127.0.0.1"},
			[]string{"http://pixels.example", "https://pixels.example:444", "https://pixels.example.evil.example", "https://evil.example"}},
		{[]string{"pixels.example"}, []string{"https://pixels.example:444", "http://pixels.example"}, []string{"https://a.pixels.example"}},
		{[]string{"*"}, []string{"https://evil.example", "null"}, nil},
	} {
		g := start(t, server.URL(), "a", func(o *gateway.Options) { o.Origins = row.list })
		check := func(origin string, want int) {
			if status, _ := upgradeStatus(t, g, "Origin: "+origin); status != want {
				t.Errorf("with the list %v, %s gets %d", row.list, origin, status)
			}
		}
		for _, origin := range row.allowed {
			check(origin, http.StatusSwitchingProtocols)
		}
		for _, origin := range row.denied {
			check(origin, http.StatusForbidden)
		}
		if n := g.metric(t, "pixel_handshakes_total", `"origin"`); n != float64(len(row.denied)) {
			t.Errorf("%v refused origins were counted, not %d", n, len(row.denied))
		}
		g.stop(t)
	}
}

// Metrics have no series that strangers can make.
func TestMetricsAreBounded(t *testing.T) {
	server := redis(t, embedded.Options{})
	g := start(t, server.URL(), "a", nil)
	series := func() int {
		families, err := g.telemetry.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range families {
			n += len(f.GetMetric())
		}
		return n
	}
	visit := func(i int) {
		c, _ := dialRaw(t, g, fmt.Sprintf("/path/%d?canvas=unknown-%d", i, i))
		c.answers(t, closing(uint16(4000+i), "bye"), 1)
		_ = c.Close()
		d, _ := dialRaw(t, g, fmt.Sprintf("/path/%d", i))
		d.answers(t, text(fmt.Sprintf(`{"type":"t%d"}`, i))+closing(uint16(4000+i), "bye"), 2)
		_ = d.Close()
		upgradeStatus(t, g, fmt.Sprintf("Origin: https://%d.example", i))
	}
	visit(0)
	eventually(t, "all connections have ended", func() bool { return g.metric(t, "pixel_connections") == 0 })
	before := series()
	for i := 1; i < 20; i++ {
		visit(i)
	}
	eventually(t, "all connections have ended", func() bool { return g.metric(t, "pixel_connections") == 0 })
	if after := series(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
}
