package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/protocol"
)

const mainCanvas = config.MainCanvas

// process is a gateway, or what an api keeps of a canvas, on a wire of its own.
type process struct {
	*wire
	name  string
	crash func() // cuts everything at once; what is left ends in the background
	ended chan error
}

// settings of gateways that an example chooses.
type settings struct {
	history   int           // operations that a gateway keeps for those who return
	slow      time.Duration // after which a full socket is given up
	queue     int           // bytes of a connection that may wait
	retention uint64        // operations that the log keeps behind the checkpoint
	spec      canvas.Spec
	patient   bool // losses are found by the processes' own looks at the log's head alone
}

// socketBuffer is small, in bytes, so that a client that does not read is soon
// noticed.
const socketBuffer = 8 << 10

// door is a gateway's listener; it knows the connections.
type door struct {
	net.Listener
	mu    sync.Mutex
	conns []*net.TCPConn
}

func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := c.(*net.TCPConn)
	_ = t.SetWriteBuffer(socketBuffer)
	d.mu.Lock()
	d.conns = append(d.conns, t)
	d.mu.Unlock()
	return t, nil
}

func (d *door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.SetLinger(0) // a reset, as the kernel of a dead machine would send
		_ = c.Close()
	}
}

// gatewayProcess is a whole gateway.
type gatewayProcess struct {
	process
	addr     string
	registry *prometheus.Registry
}

func startGateway(redis string, g *gate, name string, s settings) (*gatewayProcess, error) {
	w, err := newWire(redis, g)
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		"REDIS_URL": w.url(), "POD_NAME": name, "DRAIN_DELAY": "0s", "DRAIN_SPREAD": "0s", "DRAIN_TIMEOUT": "5s",
		"MAX_CONNECTIONS_PER_ADDRESS": "0", "CONNECTION_RATE_PER_ADDRESS": "0", "MESSAGES_PER_SECOND": "0", "PIXELS_PER_SECOND": "0",
		"CANVAS_WIDTH": strconv.Itoa(s.spec.Width), "CANVAS_HEIGHT": strconv.Itoa(s.spec.Height),
	}
	r := config.NewReader(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	o := gateway.OptionsFrom(r)
	if err := r.Err(); err != nil {
		return nil, err
	}
	o.HistoryOps, o.SlowTimeout, o.MaxQueuePerConnection = s.history, s.slow, s.queue
	o.Telemetry = telemetry.New("gateway", name, telemetry.WithLogger(slog.New(slog.DiscardHandler)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &door{Listener: l}
	o.Listener = d
	ctx, cancel := context.WithCancel(context.Background())
	p := &gatewayProcess{process: process{wire: w, name: name, ended: make(chan error, 1)}, addr: l.Addr().String(), registry: o.Telemetry.Registry}
	p.crash = func() {
		w.kill()
		d.cut()
		cancel()
	}
	go func() { p.ended <- gateway.Run(ctx, o) }()
	return p, nil
}

// metric returns the sum of a metric over those of its labels that have a value.
func (p *gatewayProcess) metric(name, label string) (sum float64, err error) {
	families, err := p.registry.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == label }) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		return sum, nil
	}
	return 0, fmt.Errorf("%s has no metric %s", p.name, name)
}

// keeper is what an api keeps of the canvas: a replica that reads are answered
// from, and a writer.
type keeper struct {
	process
	canvas  *replica.Canvas
	store   *store.Store
	session protocol.Session
	mu      sync.Mutex
	number  uint64
	base    *store.Checkpoint // that it saved last
	trims   []chan error      // that are held up
}

func startKeeper(ctx context.Context, redis string, g *gate, name string, s settings) (*keeper, error) {
	w, err := newWire(redis, g)
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	own, err := store.Open(store.Options{URL: w.url(), Retention: s.retention, Logger: quiet})
	if err != nil {
		return nil, err
	}
	pool := replica.NewPool(replica.PoolOptions{
		Replica:   replica.Options{Source: replica.FromStore(own), Metrics: replica.NewMetrics(prometheus.NewRegistry()), Logger: quiet},
		Permanent: map[string]canvas.Spec{mainCanvas: s.spec},
	})
	run, cancel := context.WithCancel(context.Background())
	k := &keeper{process: process{wire: w, name: name, ended: make(chan error, 1)}, store: own, session: protocol.NewSession()}
	k.crash = func() {
		w.kill()
		cancel()
	}
	go func() {
		pool.Run(run)
		k.ended <- own.Close()
	}()
	if k.canvas, err = pool.Get(ctx, mainCanvas); err != nil {
		k.crash()
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), <-k.ended)
	}
	return k, nil
}

// write is an operation on its way to the log, as a REST call waits for it.
type write struct {
	op   canvas.Op
	by   *keeper
	done chan struct{} // closed when the outcome is known
	at   canvas.Position
	err  error
}

func (w *write) Appended(_ *replica.Submission, state store.SessionState, at *store.Appended) {
	w.at = canvas.Position{Epoch: at.Position.Epoch, Seq: state.Seq}
	close(w.done)
}

func (w *write) Refused(_ *replica.Submission, err error) {
	w.err = err
	close(w.done)
}

// submit begins to write an operation.
func (k *keeper) submit(o canvas.Op) (*write, error) {
	o.Author, o.Received = k.session.Author(), time.Now().UnixMicro()
	w := &write{op: o, by: k, done: make(chan struct{})}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &replica.Submission{AppendOp: store.AppendOp{Session: k.session, TTL: time.Hour, Op: o}, Owner: w}
	return w, k.canvas.Writer.Submit(s, func() uint64 { k.number++; return k.number })
}

// picture returns the canvas as a REST read would.
func (k *keeper) picture(ctx context.Context) (*canvas.Frozen, canvas.Position, error) {
	if err := k.canvas.Replica.Sync(ctx); err != nil {
		return nil, canvas.Position{}, err
	}
	f, at, _ := k.canvas.Replica.Freeze()
	return f, at, nil
}
