package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// PoolOptions of a pool. Zero values mean the defaults.
type PoolOptions struct {
	// Replica has what all replicas share; ID, Observer and Recreate are the
	// pool's to set.
	Replica Options
	Writer  WriterOptions
	// Permanent canvases are created when Redis does not have them, loaded at
	// once and never unloaded.
	Permanent map[string]canvas.Spec
	// Observe returns the observer of a canvas that is about to be loaded. It
	// is called once for each load.
	Observe func(c *Canvas) Observer
	// IdleAfter is how long a canvas that nobody holds stays loaded (10 min).
	IdleAfter time.Duration
	// MaxLoaded bounds the canvases held at once (256).
	MaxLoaded int
}

// ErrPoolFull means that as many canvases are loaded as may be, and all are in use.
var ErrPoolFull = errors.New("replica: too many canvases are in use")

// Canvas is a canvas that is loaded, or being loaded, in this process.
type Canvas struct {
	ID      string
	Replica *Replica
	Writer  *Writer
	// Attached is for the owner of the pool: set in PoolOptions.Observe.
	Attached any

	pool      *Pool
	cancel    context.CancelFunc
	users     int       // guarded by the pool's lock
	idleSince time.Time // when users became 0
	permanent bool
}

// Release gives back what Get returned.
func (c *Canvas) Release() {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.users--
	if c.users == 0 {
		c.idleSince = time.Now()
	}
}

// Pool holds the canvases of a process. Its methods may be called by any
// goroutine while Run runs.
type Pool struct {
	o       PoolOptions
	started chan struct{}

	mu       sync.Mutex
	ctx      context.Context // of Run
	canvases map[string]*Canvas
	running  sync.WaitGroup
}

// NewPool returns a pool that loads nothing until Run.
func NewPool(o PoolOptions) *Pool {
	if o.IdleAfter == 0 {
		o.IdleAfter = 10 * time.Minute
	}
	if o.MaxLoaded == 0 {
		o.MaxLoaded = 256
	}
	return &Pool{o: o, started: make(chan struct{}), canvases: make(map[string]*Canvas)}
}

// Run loads the permanent canvases and serves until the context ends; then it
// ends all replicas and writers and waits for them.
func (p *Pool) Run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	for id, spec := range p.o.Permanent {
		p.start(id, spec, true)
	}
	p.mu.Unlock()
	close(p.started)
	sweep := time.NewTicker(min(p.o.IdleAfter/4, 30*time.Second))
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			p.running.Wait()
			return
		case now := <-sweep.C:
			p.unload(now)
		}
	}
}

// Get returns a canvas that has caught up with its log. It waits for that
// until the context ends: [ErrBehind]. [store.ErrNotFound] means that there is
// no such canvas. The caller must Release what it got.
func (p *Pool) Get(ctx context.Context, id string) (*Canvas, error) {
	if canvas.CheckID(id) != nil {
		return nil, store.ErrNotFound
	}
	select {
	case <-p.started:
	case <-ctx.Done():
		return nil, ErrBehind
	}
	c, err := p.hold(ctx, id)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.Replica.Loaded():
		if err := c.Replica.Err(); err != nil {
			c.Release()
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		c.Release()
		return nil, ErrBehind
	}
}

// hold finds or starts a canvas and counts one more user.
func (p *Pool) hold(ctx context.Context, id string) (*Canvas, error) {
	p.mu.Lock()
	c := p.canvases[id]
	if c == nil {
		p.mu.Unlock()
		meta, err := p.o.Replica.Source.Meta(ctx, id)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		if c = p.canvases[id]; c == nil {
			if len(p.canvases) >= p.o.MaxLoaded {
				p.mu.Unlock()
				return nil, ErrPoolFull
			}
			c = p.start(id, meta.Spec, false)
		}
	}
	c.users++
	p.mu.Unlock()
	return c, nil
}

// start begins to follow a canvas. Called with the lock held.
func (p *Pool) start(id string, spec canvas.Spec, permanent bool) *Canvas {
	ctx, cancel := context.WithCancel(p.ctx)
	c := &Canvas{ID: id, pool: p, cancel: cancel, idleSince: time.Now(), permanent: permanent}
	o := p.o.Replica
	o.ID, o.Recreate, o.Series = id, &spec, permanent
	c.Replica = New(o)
	c.Writer = NewWriter(c.Replica, p.o.Writer)
	if p.o.Observe != nil {
		c.Replica.o.Observer = p.o.Observe(c)
	}
	p.canvases[id] = c
	p.running.Add(1)
	p.o.Replica.Metrics.loaded.Inc()
	go func() {
		defer p.running.Done()
		defer p.o.Replica.Metrics.loaded.Dec()
		var both sync.WaitGroup
		both.Go(func() { c.Writer.Run(ctx) })
		both.Go(func() { c.Replica.Run(ctx) })
		both.Wait()
		cancel()
		p.mu.Lock()
		if p.canvases[id] == c {
			delete(p.canvases, id)
		}
		p.mu.Unlock()
	}()
	return c
}

// unload ends canvases that nobody has used for long.
func (p *Pool) unload(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, c := range p.canvases {
		broken := c.Replica.Err() != nil
		if c.users == 0 && !c.permanent && (broken || now.Sub(c.idleSince) >= p.o.IdleAfter) && c.Writer.Idle() {
			delete(p.canvases, id)
			c.cancel()
		}
	}
}

// Loaded returns the canvases of this moment, being loaded ones included.
func (p *Pool) Loaded() []*Canvas {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Canvas, 0, len(p.canvases))
	for _, c := range p.canvases {
		all = append(all, c)
	}
	return all
}

// Ready returns nil when every permanent canvas has caught up once and still
// applies; else why not. That Redis is away later does not count.
func (p *Pool) Ready() error {
	select {
	case <-p.started:
	default:
		return ErrBehind
	}
	for _, c := range p.Loaded() {
		if !c.permanent {
			continue
		}
		select {
		case <-c.Replica.Loaded():
			if err := c.Replica.Err(); err != nil {
				return err
			}
		default:
			return ErrBehind
		}
	}
	return nil
}
