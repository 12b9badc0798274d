package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/httpkit"
	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/gorilla/websocket"
)

// Gateway is a running WebSocket service.
type Gateway struct {
	o            Options
	logger       *slog.Logger
	tracer       *tracing.Tracer
	lifecycle    *telemetry.Storm // of connections
	metrics      *metrics
	store        *store.Store
	pool         *replica.Pool
	flusher      *hub.Flusher
	presence     *presence
	balance      *balance
	cursors      *cursors
	rate         *httpkit.RateLimiter
	perAddress   *httpkit.CountLimiter
	writeBuffers websocket.BufferPool

	open     atomic.Int64
	places   atomic.Int64 // taken by connections and handshakes
	draining atomic.Bool  // told to stop
	usable   atomic.Bool  // Redis was reached and is configured right

	entering sync.Mutex     // orders enter and the closing
	closed   atomic.Bool    // accepts no more
	reading  sync.WaitGroup // handshakes and connections
}

// Run serves until the context ends, then drains. It returns nil after a stop
// that went well.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Telemetry == nil {
		o.Telemetry, err = telemetry.Start(ctx, "gateway", o.Pod, o.Export, telemetry.NewLogger(o.Log.Level, o.Log.Format, os.Stderr))
		if err != nil {
			return err
		}
		defer o.Telemetry.Close(ctx)
	}
	g := &Gateway{o: o, logger: o.Telemetry.Logger, tracer: o.Telemetry.Tracer, writeBuffers: &sync.Pool{}}
	g.lifecycle = telemetry.NewStorm(g.logger, 10, 50)
	registry := o.Telemetry.Registry
	g.metrics = newMetrics(registry)
	if o.RatePerAddress > 0 {
		g.rate = httpkit.NewRateLimiter(o.RatePerAddress, int(max(10, 2*o.RatePerAddress)))
	}
	if o.MaxPerAddress > 0 {
		g.perAddress = httpkit.NewCountLimiter(o.MaxPerAddress)
	}
	g.store, err = store.Open(store.Options{
		URL: o.Redis.URL, Username: o.Redis.Username, Password: o.Redis.Password,
		DialTimeout: o.Redis.DialTimeout, ReadTimeout: o.Redis.Timeout, WriteTimeout: o.Redis.Timeout,
		LogCap: o.MaxLog, Logger: g.logger, Registerer: registry, TracerProvider: o.Telemetry.Provider(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.store.Close()) }()

	g.flusher = hub.NewFlusher(hub.FlusherOptions{SlowTimeout: o.SlowTimeout, Metrics: hub.NewMetrics(registry)})
	g.presence, g.balance, g.cursors = newPresence(g), &balance{gateway: g}, newCursors(g, registry)
	permanent := make(map[string]canvas.Spec)
	for _, c := range o.Canvases.AtStart {
		permanent[c.ID] = c.Spec
	}
	g.pool = replica.NewPool(replica.PoolOptions{
		Replica:   replica.Options{Source: replica.FromStore(g.store), Metrics: replica.NewMetrics(registry), Logger: g.logger, Tracer: g.tracer},
		Writer:    replica.WriterOptions{MaxQueue: o.MaxQueue},
		Permanent: permanent,
		Observe: func(c *replica.Canvas) replica.Observer {
			r := newRoom(g, c)
			c.Attached = r
			return r
		},
	})

	// The parts outlive the context: they work until the drain is over.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop()
	for _, part := range []func(context.Context){g.flusher.Run, g.pool.Run, g.presence.run, g.cursors.run, g.heartbeat, g.awaitRedis} {
		parts.Go(func() { part(work) })
	}

	mux := http.NewServeMux()
	httpkit.HandleHealth(mux, g.ready, g.health)
	httpkit.ReadyGauge(registry, g.ready)
	mux.Handle("/", g)
	routes := httpkit.Routes(mux)
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Clients connect at whatever path they were configured with. The mux
		// would redirect the odd ones (//ws), which no WebSocket follows.
		if _, pattern := mux.Handler(r); pattern == "/" && websocket.IsWebSocketUpgrade(r) {
			r.Pattern = pattern // for the metrics
			g.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
	requests := httpkit.NewMetrics(registry)
	return httpkit.Serve(ctx, httpkit.Server{
		Addr: o.Addr, Listener: o.Listener, MetricsAddr: o.MetricsAddr, DebugAddr: o.DebugAddr,
		Handler:  httpkit.Trace(o.Telemetry.Provider(), requests.Wrap(requests.Recover(g.logger, all))),
		Gatherer: registry, State: g.state, OnReady: o.OnReady,
		Drain: []func(context.Context) error{g.announce, g.disperse}, DrainTimeout: o.DrainTimeout,
		Log: g.logger,
	})
}

// ready returns nil when the gateway may get new connections.
func (g *Gateway) ready() error {
	switch {
	case g.draining.Load():
		return errors.New("draining")
	case !g.usable.Load():
		return errors.New("Redis has not been reached yet, or is not usable")
	}
	if err := g.pool.Ready(); err != nil {
		return fmt.Errorf("a canvas is not ready: %w", err)
	}
	return nil
}

// awaitRedis asks Redis until it answers that it can be used.
func (g *Gateway) awaitRedis(ctx context.Context) {
	told := ""
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := g.store.Ping(call)
		cancel()
		if err == nil {
			g.usable.Store(true)
			return
		}
		if ctx.Err() == nil && err.Error() != told { // once for each reason
			told = err.Error()
			g.logger.Warn("Redis cannot be used yet", "redis", g.o.Redis, "error", err)
		}
		wait(ctx, 500*time.Millisecond)
	}
}

// heartbeat pings all connections.
func (g *Gateway) heartbeat(ctx context.Context) {
	tick := time.NewTicker(g.o.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, c := range g.pool.Loaded() {
				if room, ok := c.Attached.(*room); ok {
					room.hub.PingAll()
				}
			}
		}
	}
}

// conns returns the connections to all canvases.
func (g *Gateway) conns() []*conn {
	var all []*conn
	for _, c := range g.pool.Loaded() {
		if room, ok := c.Attached.(*room); ok {
			all = append(all, room.list()...)
		}
	}
	return all
}

// reachable tells whether the log of every canvas could be reached lately.
func (g *Gateway) reachable() bool {
	for _, c := range g.pool.Loaded() {
		if !c.Replica.Reachable() {
			return false
		}
	}
	return g.usable.Load()
}

// health answers as the original's gateway did, with all keys that any of its
// versions showed.
func (g *Gateway) health(w http.ResponseWriter, _ *http.Request) {
	names := g.names()
	redis := "connected"
	if !g.reachable() {
		redis = "disconnected"
	}
	httpkit.WriteJSON(w, http.StatusOK, struct {
		Status            string   `json:"status"`
		Connections       int64    `json:"connections"`
		Users             []string `json:"users"`
		Timestamp         string   `json:"timestamp"`
		Redis             string   `json:"redis"`
		ActiveConnections int64    `json:"activeConnections"`
		ActiveUsers       int      `json:"activeUsers"`
		Pod               string   `json:"pod"`
	}{"ok", g.open.Load(), names, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), redis, g.open.Load(), len(names), g.o.Pod})
}

// shownCursors is how many of the slowest connections to each canvas the debug
// address shows.
const shownCursors = 10

// state is what the debug address shows.
func (g *Gateway) state() any {
	type roomState struct {
		hub.Counters
		Reachable  bool `json:"reachable"`
		QueueBytes int  `json:"queueBytes"` // of operations that wait for the log
	}
	rooms := make(map[string]roomState)
	for _, c := range g.pool.Loaded() {
		if room, ok := c.Attached.(*room); ok {
			rooms[c.ID] = roomState{room.hub.Counters(shownCursors), c.Replica.Reachable(), c.Writer.Queued()}
		}
	}
	return map[string]any{"pod": g.o.Pod, "connections": g.open.Load(), "draining": g.draining.Load(), "canvases": rooms}
}
