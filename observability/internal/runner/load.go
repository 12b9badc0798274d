package runner

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// painting says how much is drawn.
type painting struct {
	canvas  string // id; empty: the default one
	side    int    // of the canvas, at most: where to draw
	clients int
	pixels  int           // in a stroke
	every   time.Duration // a stroke of each client
}

// normal is the load of all runs: some people who draw.
var normal = painting{side: 50, clients: 8, pixels: 3, every: 700 * time.Millisecond}

// paint lets clients draw until the returned function is called.
func paint(ctx context.Context, urls []string, p painting) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	stop = func() error { cancel(); running.Wait(); return nil }
	for range p.clients {
		c, err := client.New(client.Options{URLs: urls, Canvas: p.canvas, NoGrid: true})
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		running.Go(func() { p.draw(ctx, c) })
	}
	return stop, nil
}

func (p painting) draw(ctx context.Context, c *client.Client) {
	c.Start(ctx)
	defer c.Close() //nolint:errcheck // whatever its last words are
	tick := time.NewTicker(p.every/2 + rand.N(p.every))
	defer tick.Stop()
	stroke := make([]canvas.Pixel, p.pixels)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := range stroke {
			stroke[i] = canvas.Pixel{X: uint16(rand.N(p.side)), Y: uint16(rand.N(p.side)), Color: canvas.Color(rand.N(1 << 24))}
		}
		// While nothing can be sent the outbox fills up; then there is nothing
		// to do but to wait.
		_, _ = c.Draw(ctx, stroke...)
	}
}
