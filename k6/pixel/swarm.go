package pixel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/grafana/sobek"

	"github.com/cloud-pixel/playground/k6/fanout"
	"github.com/cloud-pixel/playground/k6/metrics"
)

// writeBuffers are lent for the duration of one message.
var writeBuffers sync.Pool

// swarm is many clients in one virtual user, held in Go: a client costs two
// goroutines, and no runtime of JavaScript. Its methods that take time return
// promises; see index.d.ts.
type swarm struct {
	i        *instance
	group    *fanout.Group
	recorder *recorder

	stop     context.CancelFunc // of what goes on beside the script
	beside   sync.WaitGroup
	closing  sync.Once
	painting sync.Mutex

	mu   sync.Mutex
	rest context.CancelFunc // ends what is being painted
}

type swarmOptions struct {
	connectOptions
	URLs  urls `json:"urls"`
	Names bool
}

// newSwarm is the script's swarm(options).
func (i *instance) newSwarm(options sobek.Value) *swarm {
	i.running("swarm()")
	var o swarmOptions
	if err := decode(options, &o); err != nil {
		i.throw(err)
	}
	f, err := i.fanout(o.URLs, &o.connectOptions)
	if err != nil {
		i.throw(err)
	}
	if o.Name != "" {
		f.Name = func(int) string { return o.Name }
	} else if o.Names {
		f.Name = func(n int) string { return fmt.Sprintf("load %d", n) }
	}
	s := &swarm{i: i, recorder: i.newRecorder(f.Codec.String())}
	f.Observe = s.recorder
	if s.group, err = fanout.New(f); err != nil {
		i.throw(err)
	}
	ctx, stop := context.WithCancel(i.vu.Context())
	s.stop = stop
	s.beside.Go(func() { s.recorder.follow(ctx, s.group) })
	// Whatever becomes of the script, no client stays behind.
	context.AfterFunc(ctx, s.group.Close)
	return s
}

// Join adds clients over a time.
func (s *swarm) Join(n int, options sobek.Value) *sobek.Promise {
	var o struct{ Over duration }
	err := decode(options, &o)
	if err == nil && (n < 0 || n > maxClients) {
		err = fmt.Errorf("%d clients cannot join: a swarm has up to %d", n, maxClients)
	}
	return s.i.async(func(ctx context.Context) (any, error) {
		if err != nil {
			return nil, err
		}
		return nil, s.group.Join(ctx, n, time.Duration(o.Over))
	})
}

// maxClients is what the files of a process and its ports allow.
const maxClients = 50_000

// Leave lets the oldest clients go.
func (s *swarm) Leave(n int) *sobek.Promise {
	return s.i.async(func(ctx context.Context) (any, error) { s.group.Leave(ctx, n); return nil, nil })
}

// Churn replaces the oldest clients until the function that it returns is
// called.
func (s *swarm) Churn(perSecond float64) func() *sobek.Promise {
	if perSecond <= 0 {
		s.i.throw(fmt.Errorf("churn of %v clients per second", perSecond))
	}
	ctx, stop := context.WithCancel(s.i.vu.Context())
	done := make(chan struct{})
	s.beside.Go(func() { defer close(done); s.group.Churn(ctx, perSecond) })
	return func() *sobek.Promise {
		stop()
		return s.i.async(func(context.Context) (any, error) { <-done; return nil, nil })
	}
}

// paintOptions say what is drawn; see [fanout.Plan].
type paintOptions struct {
	Rate     float64
	Duration duration
	Writes   int
	Writers  int
	Volley   int
	Targets  int
}

// Paint draws by a plan.
func (s *swarm) Paint(options sobek.Value) *sobek.Promise {
	var o paintOptions
	err := decode(options, &o)
	if err == nil && o.Duration == 0 && o.Writes == 0 {
		err = errors.New("paint needs a duration or a number of writes")
	}
	return s.i.async(func(ctx context.Context) (any, error) {
		if err != nil {
			return nil, err
		}
		if !s.painting.TryLock() {
			return nil, errors.New("the swarm is painting already")
		}
		defer s.painting.Unlock()
		plan, err := s.plan(&o)
		if err != nil {
			return nil, err
		}
		painting, rest := context.WithCancel(ctx)
		defer rest()
		s.mu.Lock()
		s.rest = rest
		s.mu.Unlock()
		if err := s.group.Paint(painting, plan); err != nil {
			return nil, err
		}
		return nil, ctx.Err()
	})
}

// Rest ends what is being painted before its time.
func (s *swarm) Rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest != nil {
		s.rest()
	}
}

func (s *swarm) plan(o *paintOptions) (fanout.Plan, error) {
	spec := s.group.Spec()
	p := fanout.Plan{Rate: o.Rate, For: time.Duration(o.Duration), Writes: o.Writes, Writers: o.Writers, Volley: o.Volley}
	if spec.Cells() == 0 {
		return p, errors.New("nobody has joined, so there is nobody to paint")
	}
	p.Cell = fanout.Spread(spec.Width, spec.Height)
	if o.Targets > 0 {
		if o.Targets > spec.Cells() {
			return p, fmt.Errorf("%d targets, but the canvas has %d cells", o.Targets, spec.Cells())
		}
		// Who paints which cell is drawn by lot, always the same.
		lot, spread := rand.New(rand.NewPCG(1, 2)), p.Cell
		p.Cell = func(int) (uint16, uint16) { return spread(lot.IntN(o.Targets)) }
	}
	return p, nil
}

// Pods tells how many clients are connected to each gateway.
func (s *swarm) Pods() map[string]int { return s.group.Pods() }

// Connected tells how many clients are connected.
func (s *swarm) Connected() int { return s.group.Connected() }

// Mark notes that a gateway is about to be broken.
func (s *swarm) Mark(pod string) int { return s.group.Mark(pod) }

// settleTime is how long a swarm may take to have everything, unless said
// otherwise.
const settleTime = 30 * time.Second

// Settle waits until everybody has everything; what is missing then counts as
// lost. It tells who, instead of failing.
func (s *swarm) Settle(timeout sobek.Value) *sobek.Promise {
	limit, err := period(timeout)
	if limit == 0 {
		limit = settleTime
	}
	return s.i.async(func(ctx context.Context) (any, error) {
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if err := s.group.Settle(ctx); err != nil {
			s.i.module.note("not everybody came to rest: " + err.Error())
			return false, nil //nolint:nilerr // what is missing shows in the figures
		}
		return true, nil
	})
}

// Compare compares the pictures of all clients and the given apis.
func (s *swarm) Compare(apis []string) *sobek.Promise {
	return s.i.async(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		if err := s.group.Compare(ctx, apis); err != nil {
			return nil, err
		}
		diverged := s.group.Diverged()
		for _, who := range diverged {
			s.i.module.note("another picture than the api's: " + who)
		}
		return diverged, nil
	})
}

// Races counts writes to one cell that could not know of each other.
func (s *swarm) Races(within sobek.Value) map[string]any {
	d, err := period(within)
	if err != nil {
		s.i.throw(err)
	}
	overlapping, nearby := s.group.Races(d)
	return map[string]any{"overlapping": overlapping, "nearby": nearby}
}

// LastWrites tells the last write of each cell, as clients saw the log.
func (s *swarm) LastWrites() map[string]any {
	last, unseen := s.group.LastWrites()
	cells := make([]map[string]any, 0, len(last))
	for _, w := range last {
		cells = append(cells, map[string]any{"x": w.X, "y": w.Y, "color": w.Color.String(), "seq": w.Seq})
	}
	return map[string]any{"cells": cells, "unseen": unseen}
}

// Close ends all clients and hands their last figures to k6.
func (s *swarm) Close() *sobek.Promise {
	return s.i.async(func(context.Context) (any, error) {
		s.closing.Do(s.finish)
		return nil, nil
	})
}

func (s *swarm) finish() {
	var set metrics.Set
	s.group.Measure(&set)
	s.stop() // closes the clients, too
	s.group.Close()
	s.beside.Wait()
	s.recorder.finish(&set)
	if late, err := set.Get("pixel_generator_late").Ask("p(99)"); err == nil && late > lateMillis {
		// It is in every latency, so it cannot make them look better: a remark,
		// not a threshold.
		s.i.module.note(fmt.Sprintf("1 %% of the writes were drawn more than %.0f ms after they were due: the machine had no time to spare, and that is part of all latencies", late))
	}
	m := s.i.module
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results.set, m.results.points, m.results.painted = &set, s.group.Points(), s.group.PaintedFrom()
}

// lateMillis is how late a generator may be without a word.
const lateMillis = 20
