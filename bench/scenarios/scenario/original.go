package scenario

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloud-pixel/playground/bench/scenarios/fanout"
	"github.com/cloud-pixel/playground/bench/scenarios/faults"
	"github.com/cloud-pixel/playground/bench/scenarios/metrics"
)

// This file has the scenarios of the original system, with its names of
// settings: load balancing, stress, chaos and (in races.go) concurrency.

const maxClients = 20_000

var loadBalancing = Scenario{
	Name:    "load-balancing",
	Summary: "20 clients: which share each gateway has, and whether what is drawn at one gateway reaches the clients of all",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 20, 1, maxClients, "Clients.")
		d := s.Time("TEST_DURATION", 15*time.Second, time.Hour, "How long they draw.")
		rate := s.Rate("WRITE_RATE", 20, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			if err := g.Join(ctx, n, time.Second); err != nil {
				return err
			}
			pods := g.Pods()
			r.shares(pods, n)
			r.Say("%d clients on %d gateways", n, len(pods))
			if err := r.draw(ctx, r.spread(rate, d)); err != nil {
				return err
			}
			return r.Settle(ctx)
		}
	},
}

// shares adds which part of n clients each gateway has.
func (r *Run) shares(pods map[string]int, n int) {
	low, high := 1.0, 0.0
	m := r.Own.Gauge("pixel_share", "part of the clients that a gateway had when all had joined, on the mean", 0)
	for _, pod := range slices.Sorted(maps.Keys(pods)) {
		share := float64(pods[pod]) / float64(n)
		low, high = min(low, share), max(high, share)
		m.Part("pod", pod, metrics.Metric{Value: share})
	}
	if len(pods) > 0 {
		m.Value = 1 / float64(len(pods))
	}
	r.Own.Gauge("pixel_share_least", "of the gateway with the fewest", low)
	r.Own.Gauge("pixel_share_greatest", "of the gateway with the most", high)
	r.Own.Gauge("pixel_gateways", "gateways that had clients", float64(len(pods)))
}

var stress = Scenario{
	Name:    "stress",
	Summary: "100 clients draw, 5 are replaced every second: latency, throughput, broadcast multiplier, connection success",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		most := s.Int("MAX_CLIENTS", 100, 1, maxClients, "Clients that join first.")
		steady := s.Int("STEADY_STATE_CLIENTS", most, 1, maxClients, "Clients that stay, while others are replaced; by default all.")
		d := s.Time("TEST_DURATION", time.Minute, time.Hour, "How long they draw.")
		churn := s.Rate("CHURN_RATE", 5, 1000, true, "Clients that are replaced every second.")
		rate := s.Rate("WRITE_RATE", 50, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			r.Say("%d clients join", most)
			if err := g.Join(ctx, most, time.Duration(most)*20*time.Millisecond); err != nil {
				return err
			}
			g.Leave(ctx, most-min(most, steady))
			r.Say("%d clients draw %v pixels/s for %v, %v are replaced every second", min(most, steady), rate, d, churn)
			var beside []func(context.Context) error
			if churn > 0 {
				beside = append(beside, func(ctx context.Context) error { g.Churn(ctx, churn); return nil })
			}
			if err := r.draw(ctx, r.spread(rate, d), beside...); err != nil {
				return err
			}
			return r.Settle(ctx)
		}
	},
}

var chaos = Scenario{
	Name:    "chaos",
	Summary: "20 clients draw while a gateway is killed every 15 s: who is affected, how soon they are back, whether anything is lost",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 20, 1, maxClients, "Clients.")
		d := s.Time("TEST_DURATION", time.Minute, time.Hour, "How long they draw.")
		every := s.Time("CHAOS_INTERVAL", 15*time.Second, time.Hour, "Time between two kills; 0: none.")
		rate := s.Rate("WRITE_RATE", 20, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			if err := r.needInjector(); err != nil {
				return err
			}
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			if err := g.Join(ctx, n, time.Second); err != nil {
				return err
			}
			k := killing{r: r, every: every}
			r.Say("%d clients draw %v pixels/s for %v, a gateway is killed every %v", n, rate, d, every)
			if err := r.draw(ctx, r.spread(rate, d), k.run); err != nil {
				return err
			}
			if err := r.Settle(ctx); err != nil {
				return err
			}
			k.account()
			return nil
		}
	},
}

// killing kills gateways and keeps an account of whom that concerned.
type killing struct {
	r        *Run
	every    time.Duration
	affected []affected
	killed   map[string]int
}

// affected is a client that was connected to a gateway when it was killed.
type affected struct {
	member *fanout.Member
	pod    string
	at     time.Time
}

func (k *killing) run(ctx context.Context) error {
	k.killed = map[string]int{}
	if k.every == 0 {
		return nil
	}
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		pod, err := k.victim(ctx)
		if err != nil {
			return err
		}
		on := k.r.Group.On(pod)
		k.r.Say("killing %s, which has %d clients", pod, len(on))
		for _, m := range on {
			k.affected = append(k.affected, affected{m, pod, time.Now()})
		}
		k.killed[pod]++
		// The load may end meanwhile, but what was killed is waited for.
		waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
		err = k.r.Chaos.Kill(waiting, faults.Gateway, pod)
		cancel()
		if err != nil {
			return err
		}
	}
}

// victim is the gateway that was killed least often, of those the one with the
// most clients.
func (k *killing) victim(ctx context.Context) (string, error) {
	pods, err := k.r.Chaos.Targets(ctx, faults.Gateway)
	if err != nil {
		return "", err
	}
	if len(pods) < 2 {
		return "", fmt.Errorf("only %d gateways are there: with none left nobody could come back", len(pods))
	}
	clients := k.r.Group.Pods()
	return slices.MaxFunc(pods, func(a, b string) int {
		if d := k.killed[b] - k.killed[a]; d != 0 {
			return d
		}
		return clients[a] - clients[b]
	}), nil
}

// account adds how it went for those who were concerned, and for the others.
func (k *killing) account() {
	own := &k.r.Own
	back, soon, accounted := uint64(0), uint64(0), 0
	times := metrics.NewTimes()
	for _, a := range k.affected {
		for _, c := range a.member.Cuts() {
			// A cut within a moment of the kill is due to it.
			if c.Pod != a.pod || c.At.Before(a.at) || c.At.Sub(a.at) > 5*time.Second {
				continue
			}
			accounted++
			if c.Back.IsZero() {
				break
			}
			back++
			took := c.Back.Sub(a.at)
			metrics.Note(times, took)
			if took <= 500*time.Millisecond {
				soon++
			}
			break
		}
	}
	cuts := 0
	for _, m := range k.r.Group.Members() {
		cuts += len(m.Cuts())
	}
	n := uint64(len(k.affected))
	own.Count("pixel_affected", "clients that were connected to a gateway when it was killed", n)
	own.Rate("pixel_affected_back", "of these, the ones that had everything again in the end", back, n)
	own.Rate("pixel_affected_back_soon", "of these, the ones that had everything again within 500 ms of the kill", soon, n)
	own.Trend("pixel_affected_recovery_time", "from the kill until such a client had everything again", times)
	own.Count("pixel_unaffected_cut", "connections lost that no kill explains", uint64(max(0, cuts-accounted)))
}
