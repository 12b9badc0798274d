package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
)

// drainGroups is the number of groups in which connections are closed.
const drainGroups = 10

// The end of a gateway: unready, so that the balancer sends nobody more, but
// still accepting until it has noticed; then the connections go in groups,
// each after its operations are acknowledged, so that their clients do not
// arrive at the other gateways all at once.

// announce makes the gateway unready and waits until balancers have noticed.
func (g *Gateway) announce(ctx context.Context) error {
	g.draining.Store(true)
	for _, c := range g.pool.Loaded() {
		if room, ok := c.Attached.(*room); ok {
			room.tellState()
		}
	}
	wait(ctx, g.o.DrainDelay)
	g.entering.Lock()
	g.closed.Store(true)
	g.entering.Unlock()
	return nil
}

// enter counts one more handshake that the drain has to wait for, unless it is
// too late for one.
func (g *Gateway) enter() bool {
	g.entering.Lock()
	defer g.entering.Unlock()
	if g.closed.Load() {
		return false
	}
	g.reading.Add(1)
	return true
}

// disperse closes all connections.
func (g *Gateway) disperse(ctx context.Context) error {
	all := g.conns()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	pause := g.o.DrainSpread / drainGroups
	for i := range drainGroups {
		group := all[len(all)*i/drainGroups : len(all)*(i+1)/drainGroups]
		if len(group) == 0 {
			continue
		}
		for _, c := range group {
			c.draining.Store(true) // from now on its operations are refused
		}
		start := time.Now()
		for _, c := range group {
			g.settle(ctx, c)
			c.close(protocol.CloseRestart, fmt.Sprintf("retry=%d", rand.IntN(100+len(all)/2)))
		}
		if i < drainGroups-1 {
			wait(ctx, pause-time.Since(start))
		}
	}
	// Those who came during the drain, and clients that do not answer.
	for _, c := range g.conns() {
		c.close(protocol.CloseRestart, "retry=0")
	}
	finished := make(chan struct{})
	go func() { g.reading.Wait(); close(finished) }()
	for {
		select {
		case <-finished:
			return nil
		case <-ctx.Done():
			for _, c := range g.conns() {
				_ = c.socket.Close()
			}
			wait(context.WithoutCancel(ctx), 10*time.Millisecond) // handshakes under way become connections
		}
	}
}

// settle waits until the log has what the connection sent, as long as there is
// time. What has no number is lost then: its client will not send it again.
func (g *Gateway) settle(ctx context.Context, c *conn) {
	for {
		n, unnumbered := c.pending()
		if n == 0 {
			return
		}
		wait(ctx, 5*time.Millisecond)
		if ctx.Err() != nil {
			if unnumbered > 0 {
				g.metrics.unsent.Add(float64(unnumbered))
				g.logger.Warn("operations were lost in a drain", "client", c.id, "operations", unnumbered)
			}
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
