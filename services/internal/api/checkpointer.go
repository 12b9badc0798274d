package api

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/tracing"
)

// checkpointer keeps checkpoints of canvases near the head of their logs, and
// the logs short. It follows the canvases of the configuration and those that
// are active; of all apis, the one that holds a canvas's lease writes.
//
// Nothing depends on it being in time, except for the length of the log and of
// the next load: the log has everything. Nor does anything depend on the
// lease: a holder that was paused and writes late does no harm, for the store
// refuses a checkpoint that is not ahead of the stored one.
type checkpointer struct {
	store   *store.Store
	pool    *replica.Pool
	metrics *metrics
	log     *slog.Logger
	tracer  *tracing.Tracer
	o       checkpointerOptions

	saving chan struct{} // held by who writes: encoding must not take all processors

	mu        sync.Mutex
	followers map[string]*follower
}

type checkpointerOptions struct {
	owner      string // of leases: no two processes may share it
	permanent  map[string]canvas.Spec
	interval   time.Duration
	operations uint64
}

// activeFor is how long a canvas is followed after it was noted as active; it
// is noted once a minute.
const activeFor = 10 * time.Minute

// callTimeout bounds each call of the store.
const callTimeout = 5 * time.Second

func (o checkpointerOptions) tick() time.Duration {
	return min(max(o.interval/5, 10*time.Millisecond), time.Second)
}

// leaseTTL is what a canvas goes without checkpoints at most when its holder
// dies.
func (o checkpointerOptions) leaseTTL() time.Duration {
	return max(2*o.interval, 500*time.Millisecond)
}

// lookEvery is the time between looks at the list of active canvases.
func (o checkpointerOptions) lookEvery() time.Duration {
	return min(max(2*o.interval, 100*time.Millisecond), 10*time.Second)
}

func newCheckpointer(s *store.Store, p *replica.Pool, m *metrics, log *slog.Logger, tracer *tracing.Tracer, o checkpointerOptions) *checkpointer {
	return &checkpointer{
		store: s, pool: p, metrics: m, log: log, tracer: tracer, o: o,
		saving: make(chan struct{}, 1), followers: make(map[string]*follower),
	}
}

// run follows canvases until the context ends. Then it writes the checkpoints
// that it holds the lease for once more, gives the leases up, and returns.
func (c *checkpointer) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		c.follow(ctx, &all)
		timer.Reset(c.o.lookEvery())
	}
}

// follow begins to follow what is active and is not followed yet, and leaves
// what is active no more.
func (c *checkpointer) follow(ctx context.Context, all *sync.WaitGroup) {
	wanted := make(map[string]bool)
	for id := range c.o.permanent {
		wanted[id] = true
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	active, err := c.store.Active(call, activeFor)
	cancel()
	for _, id := range active {
		wanted[id] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, f := range c.followers {
		if !wanted[id] && err == nil {
			f.cancel()
		}
	}
	for id := range wanted {
		if c.followers[id] != nil {
			continue
		}
		f := &follower{c: c, id: id, log: c.log.With("canvas", id)}
		followed, cancel := context.WithCancel(ctx)
		f.cancel = cancel
		c.followers[id] = f
		all.Go(func() {
			defer cancel()
			f.run(followed)
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.followers, id)
		})
	}
}

// other is the label of all canvases that are not of the configuration: their
// names are strangers' words.
const other = "other"

var (
	lagOperations = prometheus.NewDesc("pixel_checkpoint_lag_operations", "Operations that the stored checkpoint is behind. Canvases that are not of the configuration are one series, of the one that is worst.", []string{"canvas"}, nil)
	lagSeconds    = prometheus.NewDesc("pixel_checkpoint_lag_seconds", "Time since the oldest operation that the stored checkpoint does not have.", []string{"canvas"}, nil)
	leaseHeld     = prometheus.NewDesc("pixel_checkpoint_leases_held", "Leases that this process holds, for one canvas or all the others.", []string{"canvas"}, nil)
	logEntries    = prometheus.NewDesc("pixel_log_entries", "Entries in the log when it was last looked at.", []string{"canvas"}, nil)
)

// Describe implements [prometheus.Collector].
func (c *checkpointer) Describe(descs chan<- *prometheus.Desc) {
	descs <- lagOperations
	descs <- lagSeconds
	descs <- leaseHeld
	descs <- logEntries
}

// Collect implements [prometheus.Collector].
func (c *checkpointer) Collect(metrics chan<- prometheus.Metric) {
	c.mu.Lock()
	followers := maps.Clone(c.followers)
	c.mu.Unlock()
	worst := make(map[string]lag)
	now := time.Now()
	for id, f := range followers {
		l, known := f.lag(now)
		if !known {
			continue
		}
		if _, ok := c.o.permanent[id]; !ok {
			id = other
		}
		w := worst[id]
		worst[id] = lag{
			operations: max(w.operations, l.operations), age: max(w.age, l.age),
			leases: w.leases + l.leases, entries: max(w.entries, l.entries),
		}
	}
	for id, l := range worst {
		for desc, value := range map[*prometheus.Desc]float64{
			lagOperations: float64(l.operations), lagSeconds: l.age.Seconds(),
			leaseHeld: float64(l.leases), logEntries: float64(l.entries),
		} {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, id)
		}
	}
}
