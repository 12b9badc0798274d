package canary

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// probe draws through one gateway and watches at another one.
type probe struct {
	o       Options
	m       *metrics
	url     string
	column  uint16 // its own, so that it knows its strokes
	drawer  *client.Client
	watcher *client.Client
	arrived chan arrival

	mu   sync.Mutex
	name string // of the gateway: its pod, once that is known
}

type arrival struct {
	color canvas.Color
	at    time.Time
}

func newProbe(o Options, m *metrics, i int, at, watched string) (*probe, error) {
	p := &probe{o: o, m: m, url: at, column: uint16(i), arrived: make(chan arrival, 64)}
	if u, err := url.Parse(at); err == nil {
		p.name = u.Host
	}
	var err error
	p.drawer, err = client.New(client.Options{URLs: []string{at}, Canvas: o.Canvas, NoGrid: true,
		OnConnected: func(c client.Connection) { p.known(c.Pod) }})
	if err != nil {
		return nil, err
	}
	p.watcher, err = client.New(client.Options{URLs: []string{watched}, Canvas: o.Canvas, NoGrid: true, OnUpdate: p.update})
	return p, err
}

// known takes the gateway's own name for the label: behind a balancer it is
// that of the gateway which the drawer got.
func (p *probe) known(pod string) {
	if pod == "" {
		return
	}
	p.m.expect(pod, "draw", "connect")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name = pod
}

func (p *probe) gateway() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.name
}

// update is called by the watcher for all that is drawn on the canvas. It never
// waits: who is not awaited any more is dropped.
func (p *probe) update(u client.Update) {
	note := func(x uint16, c canvas.Color) {
		if x != p.column {
			return
		}
		select {
		case p.arrived <- arrival{c, u.Arrived}:
		default:
		}
	}
	for _, op := range u.Ops {
		for _, px := range op.Pixels {
			note(px.X, px.Color)
		}
	}
	for _, c := range u.Cells {
		note(c.X, c.Color)
	}
}

func (p *probe) run(ctx context.Context) {
	p.drawer.Start(ctx)
	p.watcher.Start(ctx)
	defer func() {
		_ = p.drawer.Close()
		_ = p.watcher.Close()
	}()
	// The first stroke is none of anybody's fault before both are there.
	begin, cancel := context.WithTimeout(ctx, p.o.Timeout)
	err := p.drawer.WaitReady(begin)
	if err == nil {
		err = p.watcher.WaitReady(begin)
	}
	cancel()
	if err != nil && ctx.Err() == nil {
		p.m.note(p.gateway(), "draw", err)
	}
	n := uint32(0)
	every(ctx, p.o.Every, func() {
		n++
		if n%connectEvery == 1 {
			err := p.connect(ctx)
			p.report(ctx, "connect", err)
		}
		err := p.draw(ctx, n)
		p.report(ctx, "draw", err)
	})
}

// report counts an attempt, unless it ended because the canary does.
func (p *probe) report(ctx context.Context, check string, err error) {
	if ctx.Err() != nil {
		return
	}
	p.m.note(p.gateway(), check, err)
	if err != nil {
		p.o.Log.Warn("attempt failed", "check", check, "gateway", p.gateway(), "error", err)
	}
}

// connect makes a connection of its own and ends it.
func (p *probe) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{URLs: []string{p.url}, Canvas: quiet(p.o.Canvas), NoGrid: true})
	if err != nil {
		return err
	}
	return c.Close()
}

// draw draws one pixel, in a colour that says which, and waits for it at the
// watcher.
func (p *probe) draw(ctx context.Context, n uint32) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	color := canvas.Color(n & 0xFFFFFF)
	began := time.Now()
	if _, err := p.drawer.Draw(ctx, canvas.Pixel{X: p.column, Y: uint16(n % size), Color: color}); err != nil {
		return err
	}
	for {
		select {
		case a := <-p.arrived:
			if a.color == color {
				p.m.latency.WithLabelValues(p.gateway()).Observe(a.at.Sub(began).Seconds())
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
