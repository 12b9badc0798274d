package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/protocol"
)

// writeTimeout bounds an answer: long enough for a slow client and the
// greatest picture.
const writeTimeout = 2 * time.Minute

// Run runs an api until the context ends or it cannot go on. A stop that was
// asked for and went well is nil. Redis may be away, at the start as later.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	t := o.Telemetry
	if t == nil {
		t, err = telemetry.Start(ctx, "api", o.Pod, o.Export, telemetry.NewLogger(o.Log.Level, o.Log.Format, os.Stderr))
		if err != nil {
			return err
		}
		defer t.Close(ctx)
	}
	if o.ResetToken == "" {
		t.Logger.Warn("everybody may reset canvases: RESET_TOKEN is not set")
	}
	if o.RescueDir == "" {
		o.RescueDir = filepath.Join(os.TempDir(), "pixel-rescue")
	}

	redis, err := store.Open(store.Options{
		URL: o.Redis.URL, Username: o.Redis.Username, Password: o.Redis.Password,
		LogCap: o.MaxLog, Retention: o.Retention,
		DialTimeout: o.Redis.DialTimeout, ReadTimeout: o.Redis.Timeout, WriteTimeout: o.Redis.Timeout,
		Logger: t.Logger, Registerer: t.Registry, TracerProvider: t.Provider(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()

	m := newMetrics(t.Registry)
	s := &service{
		o: o, store: redis, metrics: m, log: t.Logger, session: protocol.NewSession(),
		heavy: make(chan struct{}, maxHeavy), scans: make(chan struct{}, maxScans),
	}
	s.author = s.session.Author()
	permanent := make(map[string]canvas.Spec)
	for _, c := range o.Canvases.AtStart {
		permanent[c.ID] = c.Spec
	}
	rescue := &rescuer{dir: o.RescueDir, log: t.Logger, metrics: m}
	s.pool = replica.NewPool(replica.PoolOptions{
		Replica: replica.Options{
			Source: replica.FromStore(redis), Rescue: rescue.save,
			Metrics: replica.NewMetrics(t.Registry), Logger: t.Logger, Tracer: t.Tracer,
		},
		Permanent: permanent,
		Observe:   s.observe,
	})
	s.health = &health{ping: redis.Ping, caughtUp: s.pool.Ready, log: t.Logger}
	checkpoints := newCheckpointer(redis, s.pool, m, t.Logger, t.Tracer, checkpointerOptions{
		owner: o.Pod + "/" + rand.Text()[:8], permanent: permanent,
		interval: o.CheckpointInterval, operations: o.CheckpointOperations,
	})
	t.Registry.MustRegister(checkpoints)
	httpkit.ReadyGauge(t.Registry, s.health.ready)

	httpMetrics := httpkit.NewMetrics(t.Registry)
	handler, err := s.handler(httpMetrics)
	if err != nil {
		return err
	}

	// These live on while requests are drained, and end in this order: nothing
	// is written any more when the last checkpoints are.
	defer start(ctx, s.pool.Run)()
	defer start(ctx, s.health.run)()
	defer start(ctx, checkpoints.run)()

	err = httpkit.Serve(ctx, httpkit.Server{
		Addr: o.Addr, Listener: o.Listener, Handler: httpkit.Trace(t.Provider(), handler),
		Gatherer: t.Registry, MetricsAddr: o.MetricsAddr, DebugAddr: o.DebugAddr, State: s.state,
		OnReady: o.OnReady, Drain: []func(context.Context) error{s.drain},
		DrainTimeout: o.DrainTimeout, WriteTimeout: writeTimeout, Log: t.Logger,
	})
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// start runs f, not bound to the end of ctx, and returns what ends it and
// waits.
func start(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// drain makes the process unready, then waits until balancers have noticed.
func (s *service) drain(ctx context.Context) error {
	s.health.draining.Store(true)
	timer := time.NewTimer(s.o.DrainDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// handler returns all routes behind what they share.
func (s *service) handler(m *httpkit.Metrics) (http.Handler, error) {
	e := newEndpoints(s)
	s.addLegacy(e)
	s.addCanvases(e)
	if err := e.serveDocument(); err != nil {
		return nil, err
	}
	routes := httpkit.Routes(e.mux)

	limiter := httpkit.NewRateLimiter(s.o.RequestsPerSecond, s.o.Burst)
	limited := httpkit.LimitRate(limiter, s.o.TrustedProxies, m.Limited.WithLabelValues(httpkit.LimitRequests).Inc)(routes)
	outer := http.NewServeMux()
	httpkit.HandleHealth(outer, s.health.ready, s.health.serve)
	health := httpkit.Routes(outer)
	split := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health", "/livez", "/readyz":
			health.ServeHTTP(w, r) // probes are never limited
		default:
			limited.ServeHTTP(w, r)
		}
	})
	cors := httpkit.CORS(s.o.Origins, "X-Reset-Token")
	return m.Wrap(m.Recover(s.log, cors(split))), nil
}

// state is what the debug address shows.
func (s *service) state() any {
	type canvasNow struct {
		Position  string `json:"position"`
		Reachable bool   `json:"reachable"`
		Error     string `json:"error,omitempty"`
	}
	all := make(map[string]canvasNow)
	for _, c := range s.pool.Loaded() {
		now := canvasNow{Position: c.Replica.Position().String(), Reachable: c.Replica.Reachable()}
		if err := c.Replica.Err(); err != nil {
			now.Error = err.Error()
		}
		all[c.ID] = now
	}
	return struct {
		RedisConnected bool                 `json:"redisConnected"`
		Canvases       map[string]canvasNow `json:"canvases"`
	}{s.health.connected.Load(), all}
}
