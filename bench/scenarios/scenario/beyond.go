package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/bench/scenarios/fanout"
	"github.com/cloud-pixel/playground/bench/scenarios/faults"
	"github.com/cloud-pixel/playground/services/fleet"
)

var spike = Scenario{
	Name:    "spike",
	Summary: "from nobody to 500 clients within 2 s, while the first ones draw",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		most := s.Int("MAX_CLIENTS", 500, 2, maxClients, "Clients in the end.")
		over := s.Time("SPIKE_DURATION", 2*time.Second, time.Hour, "How long they take to come.")
		d := s.Time("TEST_DURATION", 20*time.Second, time.Hour, "How long is drawn; the clients come after a quarter of it.")
		rate := s.Rate("WRITE_RATE", 20, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			const first = 2
			if err := g.Join(ctx, first, 0); err != nil {
				return err
			}
			p := r.spread(rate, d)
			p.Writers = first
			err = r.draw(ctx, p, func(ctx context.Context) error {
				if wait(ctx, d/4) != nil {
					return nil
				}
				r.Say("%d clients come within %v", most-first, over)
				return g.Join(ctx, most-first, over)
			})
			if err != nil {
				return err
			}
			return r.Settle(ctx)
		}
	},
}

var soak = Scenario{
	Name:    "soak",
	Summary: "50 clients, one replaced every second, for ten minutes: nothing may be lost, memory may not grow",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("STEADY_STATE_CLIENTS", 50, 1, maxClients, "Clients.")
		d := s.Time("TEST_DURATION", 10*time.Minute, 24*time.Hour, "How long they draw.")
		churn := s.Rate("CHURN_RATE", 1, 1000, true, "Clients that are replaced every second.")
		rate := s.Rate("WRITE_RATE", 50, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			if err := g.Join(ctx, n, time.Second); err != nil {
				return err
			}
			err = r.draw(ctx, r.spread(rate, d),
				func(ctx context.Context) error {
					if churn > 0 {
						g.Churn(ctx, churn)
					}
					return nil
				},
				func(ctx context.Context) error { return r.followMemory(ctx, d) })
			if err != nil {
				return err
			}
			return r.Settle(ctx)
		}
	},
}

// followMemory compares what the services use in the last quarter of a time
// with what they used in the second one, when everything was warm.
func (r *Run) followMemory(ctx context.Context, d time.Duration) error {
	if r.Memory == nil {
		r.Note("the services' memory cannot be seen from here")
		return nil
	}
	begin := time.Now()
	var warm, late, warms, lates float64
	tick := time.NewTicker(max(d/200, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if warms > 0 && lates > 0 {
				r.Own.Gauge("pixel_memory_growth", "resident memory of all services in the last quarter beside that in the second one", late/lates/(warm/warms))
				r.Own.Gauge("pixel_memory_bytes", "resident memory of all services in the last quarter", late/lates)
			}
			return nil
		case <-tick.C:
		}
		used, err := r.Memory()
		if err != nil {
			continue // one of them is just being started again
		}
		switch gone := time.Since(begin); {
		case gone > d*3/4:
			late, lates = late+float64(used), lates+1
		case gone > d/4 && gone < d/2:
			warm, warms = warm+float64(used), warms+1
		}
	}
}

var thunderingHerd = Scenario{
	Name:    "thundering-herd",
	Summary: "200 clients are all cut off at once, as all gateways are killed: how soon are they back, and is anything lost",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 200, 1, maxClients, "Clients.")
		d := s.Time("TEST_DURATION", 30*time.Second, time.Hour, "How long they draw; the gateways are killed after a third of it.")
		rate := s.Rate("WRITE_RATE", 20, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			if err := r.needInjector(); err != nil {
				return err
			}
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			if err := g.Join(ctx, n, 2*time.Second); err != nil {
				return err
			}
			err = r.draw(ctx, r.spread(rate, d), func(ctx context.Context) error {
				if wait(ctx, d/3) != nil {
					return nil
				}
				pods, err := r.Chaos.Targets(ctx, faults.Gateway)
				if err != nil {
					return err
				}
				r.Say("killing all %d gateways", len(pods))
				errs := make([]error, len(pods))
				var all sync.WaitGroup
				for i, pod := range pods {
					all.Go(func() { errs[i] = r.Chaos.Kill(ctx, faults.Gateway, pod) })
				}
				all.Wait()
				return errors.Join(errs...)
			})
			if err != nil {
				return err
			}
			return r.Settle(ctx)
		}
	},
}

var rollout = Scenario{
	Name:    "rollout",
	Summary: "every gateway and api is stopped in an orderly way and replaced, one after the other, while 50 clients draw",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 50, 1, maxClients, "Clients.")
		rate := s.Rate("WRITE_RATE", 50, 10_000, false, "Writes per second of all together.")
		pause := s.Time("ROLLOUT_PAUSE", 2*time.Second, time.Hour, "Time between two.")
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
			drawing, done := context.WithCancel(ctx)
			defer done()
			err = r.draw(drawing, r.spread(rate, time.Hour), func(ctx context.Context) error {
				defer done()
				for _, service := range []string{faults.Gateway, faults.API} {
					pods, err := r.Chaos.Targets(ctx, service)
					if err != nil {
						return err
					}
					for _, pod := range pods {
						if wait(ctx, pause) != nil {
							return nil
						}
						r.Say("restarting %s", pod)
						if err := r.Chaos.Stop(ctx, service, pod); err != nil {
							return err
						}
					}
				}
				return wait(ctx, pause)
			})
			if err != nil {
				return err
			}
			return r.Settle(ctx)
		}
	},
}

var redisOutage = Scenario{
	Name:    "redis-outage",
	Summary: "Redis stands still for 5 s and is then killed, while 20 clients draw: nobody is cut off, nothing is lost",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 20, 1, maxClients, "Clients.")
		d := s.Time("TEST_DURATION", 30*time.Second, time.Hour, "How long they draw.")
		outage := s.Time("OUTAGE_DURATION", 5*time.Second, time.Minute, "How long Redis stands still, after a quarter of it; 0: not at all.")
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
			err = r.draw(ctx, r.spread(rate, d), func(ctx context.Context) error {
				if wait(ctx, d/4) != nil {
					return nil
				}
				pods, err := r.Chaos.Targets(ctx, faults.Redis)
				if err == nil && len(pods) == 0 {
					err = errors.New("there is no Redis to break")
				}
				if err != nil {
					return err
				}
				if outage > 0 {
					r.Say("pausing Redis for %v", outage)
					if err := r.Chaos.Pause(ctx, pods[0], outage); errors.Is(err, faults.ErrUnsupported) {
						r.Note("Redis was only killed: %v", err)
					} else if err != nil {
						return err
					}
				}
				if wait(ctx, d/4) != nil {
					return nil
				}
				r.Say("killing Redis")
				return r.Chaos.Kill(ctx, faults.Redis, pods[0])
			})
			if err != nil {
				return err
			}
			return r.Settle(ctx)
		}
	},
}

var crowd = Scenario{
	Name:    "crowd",
	Summary: "5,000 clients of one process receive 20 pixels/s, straight from the gateways: what the clients themselves cost",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 5000, 1, maxClients, "Clients. Each takes an open file here and one at its gateway.")
		over := s.Time("JOIN_DURATION", 15*time.Second, time.Hour, "How long they take to join.")
		d := s.Time("TEST_DURATION", 20*time.Second, time.Hour, "How long is drawn.")
		rate := s.Rate("WRITE_RATE", 20, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			g, err := r.NewGroup(func(o *fanout.Options) {
				o.NoGrid, o.JoinTimeout, o.Name = true, 30*time.Second, nil
				if len(r.Gateways) > 0 {
					o.URLs = r.Gateways
				} else {
					r.Note("the clients went through one port, whose proxy takes two open files for each")
				}
			})
			if err != nil {
				return err
			}
			r.Say("%d clients join", n)
			if err := g.Join(ctx, n, over); err != nil {
				return err
			}
			before, err := fleet.UsageOf(os.Getpid())
			if err != nil {
				return fmt.Errorf("what this process uses is not known: %w", err)
			}
			begin := time.Now()
			var most int64
			p := r.spread(rate, d)
			p.Writers = 20
			err = r.draw(ctx, p, func(ctx context.Context) error {
				for wait(ctx, time.Second) == nil {
					if u, err := fleet.UsageOf(os.Getpid()); err == nil {
						most = max(most, u.Memory)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			after, err := fleet.UsageOf(os.Getpid())
			if err != nil {
				return err
			}
			r.Own.Gauge("pixel_generator_cores", "processors that the clients' process used while it received", (after.CPU-before.CPU).Seconds()/time.Since(begin).Seconds())
			r.Own.Gauge("pixel_generator_memory_mb", "its greatest resident memory, in MB (10⁶ bytes)", float64(max(most, after.Memory))/1e6)
			return r.Settle(ctx)
		}
	},
}

// wait waits for a time or the end of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
