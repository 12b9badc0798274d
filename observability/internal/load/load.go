// Package load lets people draw, in small numbers: what a system in use looks
// like to tests and drills. Load tests are elsewhere (bench/).
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// Painting says how much is drawn.
type Painting struct {
	Canvas  string // id; empty: the default one
	Side    int    // of the part of the canvas to draw on
	Clients int
	Pixels  int           // in a stroke
	Every   time.Duration // between two strokes of a client, on average
}

// Normal are some people who draw.
var Normal = Painting{Side: 50, Clients: 8, Pixels: 3, Every: time.Second}

// Read lets readers ask the REST service at base for a pixel of the default
// canvas, a time each second, until the returned function is called.
func Read(ctx context.Context, base string, readers int) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for range readers {
		running.Go(func() {
			tick := time.NewTicker(time.Second/2 + rand.N(time.Second))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				read(ctx, fmt.Sprintf("%s/api/canvases/main/pixels/%d/%d", base, rand.N(50), rand.N(50)))
			}
		})
	}
	return func() error { cancel(); running.Wait(); return nil }
}

// read asks; what the answer is, the servers count.
func read(ctx context.Context, url string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	if answer, err := http.DefaultClient.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
}

// Paint lets clients draw through the gateways until the returned function is
// called, which waits for all of them.
func Paint(ctx context.Context, urls []string, p Painting) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	stop = func() error { cancel(); running.Wait(); return nil }
	for range p.Clients {
		c, err := client.New(client.Options{URLs: urls, Canvas: p.Canvas, NoGrid: true})
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		running.Go(func() { p.draw(ctx, c) })
	}
	return stop, nil
}

func (p Painting) draw(ctx context.Context, c *client.Client) {
	c.Start(ctx)
	defer c.Close()                                     //nolint:errcheck // whatever its last words are
	tick := time.NewTicker(p.Every/2 + rand.N(p.Every)) // not all at once
	defer tick.Stop()
	stroke := make([]canvas.Pixel, p.Pixels)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := range stroke {
			stroke[i] = canvas.Pixel{X: uint16(rand.N(p.Side)), Y: uint16(rand.N(p.Side)), Color: canvas.Color(rand.N(1 << 24))}
		}
		// While nothing can be sent the outbox fills up; then there is nothing
		// to do but to wait.
		_, _ = c.Draw(ctx, stroke...)
	}
}
