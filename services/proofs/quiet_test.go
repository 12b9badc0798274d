package proofs

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// With no fault at all everything that the other proofs check must hold: what
// fails here is the harness, or worse.
func TestNothingHappens(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{Gateways: 2, APIs: 2, Frontends: 1, Redis: redis.URL(), Canvas: "30x20"})
	var all []drawn
	for i := range 4 {
		o := client.Options{URLs: []string{wsURL(t, f)}, Name: fmt.Sprintf("painter %d", i)}
		if i%2 == 0 {
			o.Codec, o.API = client.JSON, baseURL(t, f)
		}
		all = append(all, drawn{connect(t, ctx, o), 25})
	}
	var drawing sync.WaitGroup
	for i, d := range all {
		drawing.Go(func() {
			for n := range int(d.n) {
				point := canvas.Pixel{X: uint16((i + n) % 30), Y: uint16(n % 20), Color: canvas.Color(i<<16 | n)}
				if _, err := d.client.Draw(ctx, point); err != nil {
					t.Error(err)
				}
			}
			if err := d.client.Flush(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	drawing.Wait()
	w := readTruth(t, ctx, redis.URL())
	w.checkOnce(t, all)
	for i, d := range all {
		w.checkClient(t, ctx, fmt.Sprintf("client %d", i), d.client)
	}
	w.checkAPIs(t, ctx, f)
}
