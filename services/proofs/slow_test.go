package proofs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/protocol"
)

var bothCodecs = []client.Codec{client.Binary, client.JSON}

// gatewayOf returns the one gateway of a fleet, and its address past the
// playground's proxy, whose buffers would hide who does not read.
func gatewayOf(t *testing.T, f *fleet.Fleet) (fleet.Process, []string) {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	urls, err := s.GatewayURLs()
	if err != nil {
		t.Fatal(err)
	}
	return s.Of(fleet.Gateway)[0], urls
}

// owed returns how many operations the gateway's clients have still to be sent.
func owed(t *testing.T, ctx context.Context, gateway fleet.Process) int {
	t.Helper()
	return int(metric(t, ctx, gateway, "pixel_hub_owed_operations_total") - metric(t, ctx, gateway, "pixel_hub_delivered_operations_total") -
		metric(t, ctx, gateway, "pixel_hub_undelivered_operations_total"))
}

// checkReturned checks that a client which reads again gets to the right
// picture.
func checkReturned(t *testing.T, ctx context.Context, redisURL string, by *client.Client, name string, c *client.Client) {
	t.Helper()
	if err := c.WaitFor(ctx, readTruth(t, ctx, redisURL).head); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	// In the JSON codec a position is reached with the first pixel of it. Only
	// what follows shows that it is there as a whole.
	draw(t, ctx, by, []canvas.Pixel{{Color: 1}})
	readTruth(t, ctx, redisURL).checkClient(t, ctx, name, c)
}

var scattered atomic.Uint32

// scatter gives the pixels places and colours that hardly compress, on the
// first side × side cells. The colours are above all others of these tests.
func scatter(pixels []canvas.Pixel, side int) []canvas.Pixel {
	for i := range pixels {
		n := scattered.Add(1) * 2654435761
		pixels[i] = canvas.Pixel{X: uint16(int(n>>4) % side), Y: uint16(int(n>>18) % side), Color: 0x800000 | canvas.Color(n)&0x7FFFFF}
	}
	return pixels
}

// draw draws and waits until it is in the log.
func draw(t *testing.T, ctx context.Context, c *client.Client, pixels ...[]canvas.Pixel) {
	t.Helper()
	for _, stroke := range pixels {
		if _, err := c.Draw(ctx, stroke...); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, ctx, c)
}

// latencies measures how long pixels take from a client that draws them to all
// others. The colour of a pixel is its number.
type latencies struct {
	mu    sync.Mutex
	drawn []time.Time
	all   []time.Duration
}

func (l *latencies) next() canvas.Color {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drawn = append(l.drawn, time.Now())
	return canvas.Color(len(l.drawn) - 1)
}

func (l *latencies) arrived(u client.Update) {
	l.mu.Lock()
	defer l.mu.Unlock()
	note := func(c canvas.Color) {
		if int(c) < len(l.drawn) {
			l.all = append(l.all, u.Arrived.Sub(l.drawn[c]))
		}
	}
	for _, o := range u.Ops {
		for _, p := range o.Pixels {
			note(p.Color)
		}
	}
	for _, c := range u.Cells {
		note(c.Color)
	}
}

func (l *latencies) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// take returns what was measured, in order, and begins anew.
func (l *latencies) take() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	slices.Sort(all)
	return all
}

// One client of many stops reading. The others get everything meanwhile, and
// get it as fast as before; and when it reads again it ends with the right
// picture.
func TestStoppedClientHoldsUpNobody(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{
		Redis: redis.URL(), Canvas: "64x64",
		Env: []string{"SLOW_CONSUMER_TIMEOUT=10m"}, // it is not closed: see TestStoppedClientIsClosed
	})
	gateway, urls := gatewayOf(t, f)
	l := &latencies{drawn: make([]time.Time, 1)} // black is the background
	others := pick(40, 199)
	var crowd []*client.Client // everybody who reads
	for i := range others {
		o := client.Options{URLs: urls, NoGrid: true, OnUpdate: l.arrived}
		if i%10 == 0 {
			o.Codec = client.JSON
		}
		crowd = append(crowd, connect(t, ctx, o))
	}
	painters := make([]drawn, 4)
	for i := range painters {
		painters[i].client = connect(t, ctx, client.Options{URLs: urls, NoGrid: true, Codec: bothCodecs[i%2]})
	}
	var acked atomic.Uint64
	bulk := connect(t, ctx, client.Options{URLs: urls, NoGrid: true, OnAck: func(a client.Acked) { acked.Store(a.Seq) }})
	crowd = append(crowd, bulk)
	for _, p := range painters {
		crowd = append(crowd, p.client)
	}
	// ballast draws strokes of many pixels until one client gets none of them,
	// several times, when all others have everything: its socket is full. At
	// first the buffers of the kernel still grow.
	ballast := func() {
		stroke := make([]canvas.Pixel, 500)
		const strokes = 20
		full, before := 0, 0
		soon(t, ctx, "a full socket", func() bool {
			for range strokes {
				draw(t, ctx, bulk, scatter(stroke, 64))
			}
			for _, c := range crowd {
				if err := c.WaitFor(ctx, acked.Load()); err != nil {
					t.Fatal(err)
				}
			}
			after := owed(t, ctx, gateway)
			if full++; after != before+strokes {
				full = 0
			}
			before = after
			return full == 3
		})
	}

	draws := pick(50, 400)
	// phase draws at a steady pace until everybody has it all.
	phase := func() time.Duration {
		l.take()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := range draws {
			<-tick.C
			c := l.next()
			if _, err := painters[n%len(painters)].client.Draw(ctx, canvas.Pixel{X: uint16(n % 64), Y: uint16(c % 64), Color: c}); err != nil {
				t.Fatal(err)
			}
		}
		soon(t, ctx, "the others have everything", func() bool { return l.count() >= draws*others })
		all := l.take()
		if len(all) != draws*others {
			t.Errorf("%d deliveries, want %d", len(all), draws*others)
		}
		return all[len(all)*99/100]
	}
	var before, during []time.Duration
	for round := range pick(2, 8) {
		codec := bothCodecs[round%2]
		line := &wires{narrow: true}
		slow := connect(t, ctx, client.Options{URLs: urls, Codec: codec, API: baseURL(t, f), Dialer: line.dialer(), IdleTimeout: -1})
		before = append(before, phase())
		line.hold()
		// The kernel may find more room for a socket that was full. What was
		// measured then was no client that has stopped.
		for stopped := false; !stopped; {
			ballast()
			at := slow.Position()
			took := phase()
			if p := slow.Position(); p != at {
				t.Errorf("the client that does not read has gone from %v to %v", at, p)
			}
			if stopped = owed(t, ctx, gateway) >= 60+draws; stopped {
				during = append(during, took)
			}
		}
		line.release()
		checkReturned(t, ctx, redis.URL(), bulk, fmt.Sprintf("the %v client that had stopped", codec), slow)
		if n := line.dialed(); n != 1 {
			t.Errorf("the client that had stopped needed %d connections", n)
		}
		_ = slow.Close()
	}
	t.Logf("p99 of %d clients: while all read %v, while one has stopped %v", others, before, during)
	// Whatever else the machine does makes phases slower, never faster.
	slices.Sort(before)
	slices.Sort(during)
	with, without := during[len(during)/4], before[len(before)/4]
	if full && with > 3*without/2+5*time.Millisecond {
		t.Errorf("the others' p99 goes from %v to %v (lower quartiles) while one client does not read", without, with)
	}
}

// A client that does not read for the configured time is closed, and told why
// should it begin to read at that moment. It comes back and ends with the right
// picture.
func TestStoppedClientIsClosed(t *testing.T) {
	for _, codec := range bothCodecs {
		t.Run(codec.String(), func(t *testing.T) {
			ctx := limit(t)
			redis := redisServer(t)
			f := startFleet(t, ctx, fleet.Options{Redis: redis.URL(), Canvas: "64x64", Env: []string{"SLOW_CONSUMER_TIMEOUT=2s"}})
			gateway, urls := gatewayOf(t, f)
			bulk := connect(t, ctx, client.Options{URLs: urls, NoGrid: true})
			line := &wires{narrow: true}
			ends := make(chan int, 1)
			resumed := make(chan client.Recovery, 1)
			slow := connect(t, ctx, client.Options{
				URLs: urls, Codec: codec, API: baseURL(t, f), Dialer: line.dialer(), IdleTimeout: -1,
				OnDisconnect: func(code int, _ string) { ends <- code },
				OnResume:     func(r client.Recovery) { resumed <- r },
			})
			// For the last words it has a quarter of the configured time. A
			// test on a busy machine may miss that once.
			for try, told := 1, false; !told; try++ {
				closed := metric(t, ctx, gateway, "pixel_hub_slow_consumers_total")
				line.hold()
				soon(t, ctx, "the gateway gives the client up", func() bool {
					draw(t, ctx, bulk, scatter(make([]canvas.Pixel, 500), 64))
					return metric(t, ctx, gateway, "pixel_hub_slow_consumers_total") > closed
				})
				line.release()
				code := <-ends
				told = code == protocol.CloseSlow
				if !told && try == 3 {
					t.Fatalf("the client was closed with %d, want %d", code, protocol.CloseSlow)
				}
				r := <-resumed
				t.Logf("closed with %d, came back after %v: %v", code, r.Took, r.Kind)
			}
			checkReturned(t, ctx, redis.URL(), bulk, "the client that had stopped", slow)
		})
	}
}
