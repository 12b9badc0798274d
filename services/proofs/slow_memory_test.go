package proofs

import (
	"context"
	"fmt"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// What a gateway holds for each client that has stopped reading is bounded,
// whatever it was being sent at that moment. A client's share is what the
// gateway holds less once they are gone: nothing else changes then.
func TestStoppedClientsCostLittle(t *testing.T) {
	const most = 256 << 10 // bytes a client
	for _, row := range []struct {
		name   string
		canvas string
		codec  client.Codec
		// Between the stop of one client and of the next are so many strokes
		// of so many pixels, so that each stops at something else.
		strokes, pixels int
		// pass is how many of the greatest strokes follow, that the gateway's
		// history holds nothing any more of what the clients stopped at.
		pass int
		// joining: it stops right after the handshake, before it has a picture.
		joining bool
	}{
		{"binary, strokes", "64x64", client.Binary, 20, 500, 0, false},
		{"JSON, strokes", "64x64", client.JSON, 3, 500, 0, false},
		{"binary, the greatest strokes", "512x512", client.Binary, 8, canvas.MaxPixels, 64, false},
		{"JSON, the greatest strokes", "512x512", client.JSON, 2, canvas.MaxPixels, 64, false},
		// 512 × 512 random cells make 768 KiB that do not compress, and after
		// so many strokes a joining client gets a picture of its own.
		{"binary, pictures", "512x512", client.Binary, 1200, 1, 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := limit(t)
			f := startFleet(t, ctx, fleet.Options{Canvas: row.canvas, Env: []string{"SLOW_CONSUMER_TIMEOUT=10m"}})
			gateway, urls := gatewayOf(t, f)
			bulk := connect(t, ctx, client.Options{URLs: urls, NoGrid: true})
			var side int
			if _, err := fmt.Sscanf(row.canvas, "%dx", &side); err != nil {
				t.Fatal(err)
			}
			paint := func(strokes, pixels int) {
				for n := range strokes {
					if _, err := bulk.Draw(ctx, scatter(make([]canvas.Pixel, pixels), side)...); err != nil {
						t.Fatal(err)
					}
					if n%200 == 199 || pixels > 1000 {
						flush(t, ctx, bulk)
					}
				}
				flush(t, ctx, bulk)
			}
			connections := func() int { return int(metric(t, ctx, gateway, "pixel_connections")) }
			if row.joining {
				paint(4*side*side/canvas.MaxPixels, canvas.MaxPixels)
			}
			full := metric(t, ctx, gateway, "pixel_hub_blocked_writes_total")
			clients := pick(8, 20)
			lines := make([]*wires, clients)
			for n := range clients {
				one := &wires{narrow: true}
				lines[n] = one
				t.Cleanup(one.sever)
				o := client.Options{URLs: urls, NoGrid: true, Codec: row.codec, Dialer: one.dialer(), IdleTimeout: -1}
				if row.joining {
					one.hold()
					c, err := client.New(o)
					if err != nil {
						t.Fatal(err)
					}
					c.Start(ctx)
					t.Cleanup(func() { _ = c.Close() })
					soon(t, ctx, "the gateway has one more", func() bool { return connections() == n+2 })
				} else {
					connect(t, ctx, o)
					one.hold()
				}
				paint(row.strokes, row.pixels)
			}
			soon(t, ctx, "all sockets are full", func() bool {
				paint(row.strokes, row.pixels)
				return metric(t, ctx, gateway, "pixel_hub_blocked_writes_total") >= full+float64(clients)
			})
			paint(row.strokes, row.pixels)
			// What everybody shares is not theirs: the history goes on past it.
			paint(row.pass, canvas.MaxPixels)
			with := leastOf(t, ctx, gateway)
			for _, one := range lines {
				one.sever()
			}
			soon(t, ctx, "the clients are gone", func() bool { return connections() == 1 })
			without := leastOf(t, ctx, gateway)
			each := int(with.heap+with.stacks-without.heap-without.stacks) / clients
			t.Logf("%d KiB for each of %d clients; with them %v, without %v", each>>10, clients, with, without)
			if each > most {
				t.Errorf("the gateway holds %d KiB for each client that does not read", each>>10)
			}
		})
	}
}

func flush(t *testing.T, ctx context.Context, c *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		t.Fatalf("what was drawn is not acknowledged: %v", err)
	}
}
