package gateway

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/internal/telemetry"
	"github.com/cloud-pixel/playground/services/protocol"
)

// discard is an exporter that takes everything.
type discard struct{}

func (discard) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error { return nil }
func (discard) Shutdown(context.Context) error                             { return nil }

// BenchmarkHotPath is the whole way of operations through a gateway, without
// Redis and sockets, which would cover what tracing costs: frame, checks, queue,
// append, live message, picture, hub, writes to 50 connections, acknowledgement.
// One iteration is 64 operations of one pixel each.
//
//	sampled=off   no endpoint is set
//	sampled=1%    parentbased_traceidratio, 0.01
//	sampled=100%  parentbased_always_on; spans go to the SDK's batch processor and
//	              an exporter that drops them
func BenchmarkHotPath(b *testing.B) {
	for _, c := range []struct {
		name    string
		sampler sdktrace.Sampler
	}{
		{"off", nil},
		{"1%", sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))},
		{"100%", sdktrace.ParentBased(sdktrace.AlwaysSample())},
	} {
		b.Run("sampled="+c.name, func(b *testing.B) { hotPath(b, c.sampler) })
	}
}

const (
	benchOps   = 64
	benchConns = 50
)

func hotPath(b *testing.B, sampler sdktrace.Sampler) {
	options := []telemetry.Option{telemetry.WithLogger(slog.New(slog.DiscardHandler))}
	if sampler != nil {
		options = append(options, telemetry.WithTracing(sampler, sdktrace.WithBatcher(discard{})))
	}
	t := telemetry.New("gateway", "g", options...)
	defer t.Close(b.Context())
	registry := prometheus.NewRegistry()
	g := &Gateway{
		o:      Options{MaxQueuePerConnection: 1 << 20, Pod: "g"},
		logger: t.Logger, tracer: t.Tracer, metrics: newMetrics(registry),
		flusher: hub.NewFlusher(hub.FlusherOptions{Metrics: hub.NewMetrics(registry), MaxPause: -1}),
	}
	g.presence = newPresence(g)
	log := &memoryLog{epoch: canvas.Epoch{1}, events: make(chan store.Event, 2*benchOps), gate: make(chan struct{}, benchOps)}
	spec := canvas.Spec{Width: 50, Height: 50, Background: canvas.White}
	log.events <- store.Event{Kind: store.Confirmed}
	pool := replica.NewPool(replica.PoolOptions{
		Replica: replica.Options{
			Source: log, Metrics: replica.NewMetrics(registry), Logger: t.Logger, Tracer: t.Tracer,
			LagAfter: time.Hour, CheckEvery: time.Hour, AuditEvery: time.Hour,
		},
		Permanent: map[string]canvas.Spec{"main": spec},
		Observe: func(c *replica.Canvas) replica.Observer {
			r := newRoom(g, c)
			c.Attached = r
			return r
		},
	})
	g.pool = pool
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { g.flusher.Run(ctx) })
	parts.Go(func() { pool.Run(ctx) })
	defer parts.Wait()
	defer stop()
	held, err := pool.Get(ctx, "main")
	if err != nil {
		b.Fatal(err)
	}
	defer held.Release()
	room := held.Attached.(*room)
	at := held.Replica.Position()
	greet := func(at canvas.Position, _ hub.Resumption) protocol.ServerMessage {
		return protocol.Connected{Position: at, Spec: spec}
	}
	var viewers []*hub.Conn
	for range benchConns {
		out := hub.NewConn(sink{}, hub.Binary)
		room.hub.Join(out, &at, greet)
		viewers = append(viewers, out)
	}
	c := newConn(g, room, nil, &socket{}, viewers[0], true, "client")
	frame := make([]byte, 0, 64)
	number := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		for range benchOps {
			number++
			frame = frame[:0]
			frame, err = protocol.AppendClientBinary(frame, protocol.Draw{Number: number, Pixels: []canvas.Pixel{{X: uint16(number % 50), Y: 7, Color: canvas.Color(number & 0xFFFFFF)}}})
			if err != nil {
				b.Fatal(err)
			}
			c.handle(true, frame)
		}
		for range benchOps {
			log.gate <- struct{}{} // the append, or the appends, of these
		}
		for {
			if waiting, _ := c.pending(); waiting == 0 && viewers[benchConns-1].Written() == number {
				break
			}
			runtime.Gosched()
		}
		for len(log.gate) > 0 {
			<-log.gate
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchOps, "ns/operation")
}

// sink is a socket that takes everything.
type sink struct{}

func (sink) TryWrite(p []byte) (int, error)                  { return len(p), nil }
func (sink) WriteAll(p []byte, _ time.Duration) (int, error) { return len(p), nil }
func (sink) Close() error                                    { return nil }

// memoryLog is a log that keeps nothing but its head, and tells each entry as
// Redis would.
type memoryLog struct {
	replica.Source // what is not called
	epoch          canvas.Epoch
	mu             sync.Mutex
	head           uint64
	events         chan store.Event
	gate           chan struct{}
}

func (l *memoryLog) at() canvas.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return canvas.Position{Epoch: l.epoch, Seq: l.head}
}

func (l *memoryLog) Meta(context.Context, string) (store.Meta, error) {
	return store.Meta{Spec: canvas.Spec{Width: 50, Height: 50, Background: canvas.White}, Epoch: l.epoch}, nil
}

func (l *memoryLog) Check(context.Context, string, canvas.Position) (canvas.Position, error) {
	return l.at(), nil
}

func (l *memoryLog) Read(context.Context, string, uint64, int) ([]*canvas.Entry, uint64, error) {
	return nil, l.at().Seq, nil
}

func (l *memoryLog) LoadCheckpoint(context.Context, string) (*store.Checkpoint, error) {
	return nil, nil //nolint:nilnil // as the store: there is none
}

func (l *memoryLog) Append(ctx context.Context, _ string, _ canvas.Position, ops []store.AppendOp) (*store.Appended, error) {
	for range ops {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	e := &canvas.Entry{Epoch: l.epoch, Time: 1, Ops: make([]canvas.Op, len(ops))}
	for i := range ops {
		e.Ops[i] = ops[i].Op
	}
	l.mu.Lock()
	e.First = l.head + 1
	l.head = e.Last()
	l.mu.Unlock()
	done := &store.Appended{
		Position: canvas.Position{Epoch: l.epoch, Seq: e.Last()}, First: e.First, Count: len(ops), Time: 1,
		Sessions: map[protocol.Session]store.SessionState{ops[0].Session: {Number: ops[len(ops)-1].Op.Number, Seq: e.Last()}},
	}
	l.events <- store.Event{Kind: store.Live, Entry: e, At: time.Now()}
	return done, nil
}

func (l *memoryLog) Subscribe(context.Context, string) replica.Subscription { return l }
func (l *memoryLog) Events() <-chan store.Event                             { return l.events }
func (l *memoryLog) Close() error                                           { return nil }
