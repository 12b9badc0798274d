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

// disperse closes all connections. Those with nothing on its way to the log go
// when it is their group's turn; the others get their group's share of the
// time, and what is left of it at the end. The last part of the time is for the
// close frames: whatever Redis does, clients are told where to go.
func (g *Gateway) disperse(ctx context.Context) error {
	settling, cancel := reserve(ctx)
	defer cancel()
	all := g.conns()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	leave := func(c *conn) {
		c.close(protocol.CloseRestart, fmt.Sprintf("retry=%d", rand.IntN(100+len(all)/2)))
	}
	var late []*conn
	for i := range drainGroups {
		group := all[len(all)*i/drainGroups : len(all)*(i+1)/drainGroups]
		if len(group) == 0 {
			continue
		}
		turn, end := context.WithTimeout(settling, max(g.o.DrainSpread/drainGroups, time.Millisecond))
		for _, c := range group {
			c.draining.Store(true) // from now on its operations are refused
		}
		settled, waiting := split(group)
		for {
			for _, c := range settled {
				leave(c)
			}
			if len(waiting) == 0 || turn.Err() != nil {
				break
			}
			wait(turn, 5*time.Millisecond)
			settled, waiting = split(waiting)
		}
		late = append(late, waiting...)
		if i < drainGroups-1 {
			<-turn.Done()
		}
		end()
	}
	for _, c := range late {
		g.settle(settling, c)
		leave(c)
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

// reserve returns a context that ends when a fifth of the time is left, one
// second at most.
func reserve(ctx context.Context) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(time.Until(end)/5, time.Second)))
}

// split divides connections into those with nothing on its way to the log and
// the others.
func split(conns []*conn) (settled, waiting []*conn) {
	for _, c := range conns {
		if n, _ := c.pending(); n == 0 {
			settled = append(settled, c)
		} else {
			waiting = append(waiting, c)
		}
	}
	return settled, waiting
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
