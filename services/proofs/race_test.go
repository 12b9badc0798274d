package proofs

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// contested are the pixels that everybody wants.
var contested = func() (all []canvas.Pixel) {
	for k := range 10 {
		all = append(all, canvas.Pixel{X: uint16(5 * k), Y: uint16(3*k + 1)})
	}
	return all
}()

// scramble paints one of the contested pixels or, where an operation may have
// many, all of them, the first one twice: then the later colour counts. No
// colour is painted twice.
func scramble(i, n, most int) []canvas.Pixel {
	at := func(k int) canvas.Pixel {
		p := contested[(i+n+k)%len(contested)]
		p.Color = canvas.Color(i<<19 | n&(1<<15-1)<<4 | k)
		return p
	}
	pixels := []canvas.Pixel{at(0)}
	if n%2 == 0 && most > len(contested) {
		for k := 1; k <= len(contested); k++ {
			pixels = append(pixels, at(k))
		}
	}
	return pixels
}

// Twenty people paint the same ten pixels as fast as they can, in both codecs
// and at four gateways: the log decides who wins, for everybody alike. Two
// others watch, too slowly to be told everything one by one.
func TestEverybodyWantsTheSamePixels(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 4, APIs: 3, Frontends: 1, Redis: redis.URL(), Canvas: gatheringCanvas,
		Env: []string{"MESSAGES_PER_SECOND=0", "PIXELS_PER_SECOND=0", "CHECKPOINT_INTERVAL=100ms"},
	})
	urls, err := allReady(t, ctx, f).GatewayURLs()
	if err != nil {
		t.Fatal(err)
	}
	people := newGathering(scramble)
	for i := range 20 {
		o := client.Options{URLs: []string{urls[i%4]}}
		if i/4%2 == 1 {
			o.Codec, o.API = client.JSON, baseURL(t, f)
		}
		people.all = append(people.all, watch(t, ctx, fmt.Sprintf("painter %d", i), o))
	}
	operations := pick(10_000, 80_000)
	var slow []*witness
	for _, o := range []client.Options{{}, {Codec: client.JSON, API: baseURL(t, f)}} {
		o.URLs, o.Dialer = urls[:1], smallBuffer
		w := watch(t, ctx, fmt.Sprintf("slow watcher (%v)", o.Codec), o)
		slow = append(slow, w)
	}
	// They look at what came, and then not again before a good part of the
	// drawing is done.
	for _, w := range slow {
		people.dawdle(ctx, w, operations/pick(1, 8))
	}
	people.start(ctx, pace{window: 64})
	people.await(t, ctx, operations)
	if err := people.stop(); err != nil {
		t.Fatal(err)
	}

	r := people.check(t, ctx, f, redis.URL(), nil)
	for _, w := range slow {
		r.check(t, ctx, w)
		if w.Stats().Ranges == 0 {
			t.Errorf("%s was not slow enough to be sent a conflated range", w.name)
		}
	}
	r.checkWinners(t, slices.Concat(people.all, slow))
	for _, w := range slices.Concat(people.all, slow) {
		if len(w.cuts) != 0 {
			t.Errorf("%s lost its connection: %v", w.name, w.cuts)
		}
	}
	e := sum(slices.Concat(people.all, slow))
	t.Logf("%d operations on %d pixels in %d entries; %d updates compared with the log", e.operations, len(contested), len(r.entries), e.updates)
	for _, w := range slow {
		s := w.Stats()
		t.Logf("%s: %d updates in %d KiB, %d of them ranges over %d operations; %d pictures", w.name, s.Updates, s.Bytes>>10, s.Ranges, s.Conflated, s.Snapshots+s.Reloads)
	}
}

// checkWinners finds out who painted each contested pixel last, by going
// through the log, and compares that with what everybody sees.
func (r *replay) checkWinners(t *testing.T, all []*witness) {
	t.Helper()
	type winner struct {
		seq   uint64
		color canvas.Color
	}
	winners := map[canvas.Pixel]winner{}
	for seq := uint64(1); seq <= r.head; seq++ {
		for _, p := range r.op(seq).Pixels {
			color := p.Color
			p.Color = 0
			winners[p] = winner{seq, color}
		}
	}
	if len(winners) != len(contested) {
		t.Errorf("%d pixels were painted, not %d", len(winners), len(contested))
	}
	for p, won := range winners {
		for _, w := range all {
			if got := w.Grid().At(int(p.X), int(p.Y)); got != won.color {
				t.Errorf("%s sees %v at (%d, %d), which operation %d made %v at last", w.name, got, p.X, p.Y, won.seq, won.color)
			}
		}
	}
}

// smallBuffer makes connections on which little is under way. The sender's
// buffer grows with the greatest segment that the receiver takes, which is
// 64 KiB within one machine: then megabytes fit.
var smallBuffer = &websocket.Dialer{NetDialContext: (&net.Dialer{
	Control: func(_, _ string, c syscall.RawConn) (err error) {
		controlErr := c.Control(func(fd uintptr) {
			err = errors.Join(
				syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536),
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10))
		})
		return errors.Join(controlErr, err)
	},
}).DialContext}
