package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/internal/config"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/gateway"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	dto "github.com/prometheus/client_model/go"
)

// patience bounds every wait of these tests; nothing is expected to take it.
const patience = 30 * time.Second

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// redis starts a real redis-server for one test.
func redis(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := embedded.StartRedis(deadline(t), o)
	if err != nil {
		t.Fatalf("these tests need redis-server: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("redis-server: %v", err)
		}
	})
	return s
}

// running is a gateway in this process.
type running struct {
	addr, debug string
	telemetry   *telemetry.Telemetry
	logs        *lines
	cancel      context.CancelFunc
	done        chan error
	once        sync.Once
}

// lines collects what a gateway logs.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a gateway on the given Redis until the test ends. change may
// alter its options.
func start(t *testing.T, redisURL, pod string, change func(*gateway.Options)) *running {
	t.Helper()
	env := map[string]string{
		"REDIS_URL": redisURL, "POD_NAME": pod, "DRAIN_DELAY": "0s", "DRAIN_SPREAD": "100ms", "DRAIN_TIMEOUT": "10s",
		"MAX_CONNECTIONS_PER_ADDRESS": "0", "CONNECTION_RATE_PER_ADDRESS": "0", "MESSAGES_PER_SECOND": "0", "PIXELS_PER_SECOND": "0",
	}
	r := config.NewReader(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	o := gateway.OptionsFrom(r)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	g := &running{logs: &lines{}, done: make(chan error, 1)}
	o.Telemetry = telemetry.New("gateway", pod, telemetry.WithLogger(telemetry.NewLogger(-4, "text", g.logs)))
	g.telemetry = o.Telemetry
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Listener = listener
	ready := make(chan struct{})
	o.OnReady = func(addr, debug net.Addr) {
		g.addr = addr.String()
		if debug != nil {
			g.debug = debug.String()
		}
		close(ready)
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	go func() { g.done <- gateway.Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-g.done:
		t.Fatalf("gateway: %v", err)
	}
	t.Cleanup(func() { g.stop(t) })
	return g
}

// stop ends the gateway as SIGTERM does and waits for it.
func (g *running) stop(t *testing.T) {
	t.Helper()
	g.once.Do(func() {
		g.cancel()
		select {
		case err := <-g.done:
			if err != nil {
				t.Errorf("gateway: %v\n%s", err, g.logs)
			}
		case <-time.After(patience):
			t.Errorf("gateway does not stop\n%s", g.logs)
		}
	})
}

// connect dials the gateways with the project's client.
func connect(t *testing.T, o client.Options, gateways ...*running) *client.Client {
	t.Helper()
	for _, g := range gateways {
		o.URLs = append(o.URLs, "ws://"+g.addr+"/ws")
	}
	c, err := client.Dial(deadline(t), o)
	if err != nil {
		t.Fatalf("connect: %v\n%s", err, gateways[0].logs)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// openStore opens the store beside the gateways, to look at the log.
func openStore(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// readLog returns the whole log and the picture that it makes.
func readLog(t *testing.T, s *store.Store, id string) ([]*canvas.Entry, *canvas.Frozen, uint64) {
	t.Helper()
	ctx := deadline(t)
	meta, err := s.Meta(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	grid := canvas.NewGrid(meta.Spec)
	var all []*canvas.Entry
	var since uint64
	for {
		entries, head, err := s.Read(ctx, id, since, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			for i := range e.Ops {
				grid.Apply(&e.Ops[i])
			}
			since = e.Last()
		}
		all = append(all, entries...)
		if since >= head {
			return all, grid.Freeze(), head
		}
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// metric returns a metric of the gateway, summed over its labels that contain
// the given text.
func (g *running) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			text := fmt.Sprint(m.GetLabel())
			fits := true
			for _, l := range labels {
				fits = fits && strings.Contains(text, l)
			}
			if fits {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// histogram returns the first histogram of a name whose labels contain the
// text.
func (g *running) histogram(t *testing.T, name, label string) *dto.Histogram {
	t.Helper()
	families, err := g.telemetry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && strings.Contains(fmt.Sprint(m.GetLabel()), label) {
				return m.GetHistogram()
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, label)
	return nil
}
