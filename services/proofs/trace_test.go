package proofs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

// traced is a playground of two gateways and an api, each a process of its own,
// whose spans the test receives. Only what a client asks to be traced is.
type traced struct {
	ctx      context.Context
	redis    *embedded.Server
	fleet    *fleet.Fleet
	state    fleet.State
	received *receiver
	names    map[canvas.Trace]string
}

func startTraced(t *testing.T, otlp string, env ...string) *traced {
	t.Helper()
	ctx := limit(t)
	tr := &traced{ctx: ctx, redis: redisServer(t), names: make(map[canvas.Trace]string)}
	var vars []string
	tr.received, vars = receive(t, otlp)
	vars = append(vars, "OTEL_TRACES_SAMPLER=parentbased_always_off", "CHECKPOINT_INTERVAL=200ms", "DRAIN_DELAY=0s")
	tr.fleet = startFleet(t, ctx, fleet.Options{Gateways: 2, APIs: 1, Redis: tr.redis.URL(), Env: append(vars, env...)})
	tr.state = allReady(t, ctx, tr.fleet)
	// Redis knows the scripts, and the api holds the lease, from here on.
	c := tr.connect(t, "gateway-0")
	tr.draw(t, c, canvas.Trace{})
	soon(t, ctx, "a checkpoint was written", func() bool {
		p, _ := tr.state.Pod("api-0")
		return metric(t, ctx, p, "pixel_checkpoints_total", `result="saved"`) > 0
	})
	_ = c.Close()
	tr.await(t, "gateway-0 has let the connection go", func() bool {
		p, _ := tr.state.Pod("gateway-0")
		return metric(t, ctx, p, "pixel_connections") == 0
	})
	return tr
}

type traceKey struct{}

// connect connects a client to the gateways of these pods.
func (tr *traced) connect(t *testing.T, pods ...string) *client.Client {
	t.Helper()
	var urls []string
	for _, pod := range pods {
		p, ok := tr.state.Pod(pod)
		if !ok {
			t.Fatalf("%s does not run", pod)
		}
		urls = append(urls, "ws://"+p.Addr+"/ws")
	}
	c := connect(t, tr.ctx, client.Options{
		URLs: urls, Rand: func() float64 { return 0 }, // the first of them first
		Trace: func(ctx context.Context) canvas.Trace {
			trace, _ := ctx.Value(traceKey{}).(canvas.Trace)
			return trace
		},
	})
	if err := c.WaitReady(tr.ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// context makes up a sampled context, as a browser does at a click.
func (tr *traced) context(name string) canvas.Trace {
	n := byte(len(tr.names) + 1)
	trace := canvas.Trace{0: 0xC1, 7: n, 15: n, 16: 0xBB, 23: n, 24: 1}
	tr.names[trace] = name
	return trace
}

// submit draws without waiting for the outcome.
func (tr *traced) submit(t *testing.T, c *client.Client, trace canvas.Trace) {
	t.Helper()
	if _, err := c.Draw(context.WithValue(tr.ctx, traceKey{}, trace), canvas.Pixel{X: 1, Y: 1, Color: 0x123456}); err != nil {
		t.Fatal(err)
	}
}

func (tr *traced) draw(t *testing.T, c *client.Client, trace canvas.Trace) {
	t.Helper()
	tr.submit(t, c, trace)
	if err := c.Flush(tr.ctx); err != nil {
		t.Fatal(err)
	}
}

func (tr *traced) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	soon(t, tr.ctx, what, holds)
}

// queued waits until so many operations are on their way from a gateway to the
// log.
func (tr *traced) queued(t *testing.T, pod string, n float64) {
	t.Helper()
	p, _ := tr.state.Pod(pod)
	tr.await(t, fmt.Sprintf("%v operations wait at %s", n, pod), func() bool {
		return metric(t, tr.ctx, p, "pixel_append_queue_operations") == n
	})
}

func (tr *traced) pause(t *testing.T, pause bool) {
	t.Helper()
	do := tr.redis.Resume
	if pause {
		do = tr.redis.Pause
	}
	if err := do(); err != nil {
		t.Fatal(err)
	}
}

// forest returns what was received of the client's traces and what is linked to
// them. The Redis commands of checkpoints are left out: they are no part of any
// promise.
func (tr *traced) forest() *forest {
	all := tr.received.all()
	checkpoints := make(map[ref]bool)
	for _, s := range all {
		if s.name == "checkpoint" {
			checkpoints[ref{s.trace, s.id}] = true
		}
	}
	var spans []*span
	for _, s := range all {
		// On a slow machine an append is tried again: that is as it should be, but
		// when is chance.
		retried := s.name == "evalsha" && s.failed != ""
		if !checkpoints[ref{s.trace, s.parent}] && !retried {
			spans = append(spans, s)
		}
	}
	f := newForest(spans)
	for trace, name := range tr.names {
		f.name(fmt.Sprintf("%x", trace[:16]), fmt.Sprintf("%x", trace[16:24]), name)
	}
	return f
}

// expect waits until the spans are exactly one of these trees.
func (tr *traced) expect(t *testing.T, trees ...string) *forest {
	t.Helper()
	for i := range trees {
		trees[i] = strings.TrimSpace(strings.ReplaceAll(trees[i], "\t", ""))
	}
	deadline, stop := context.WithTimeout(tr.ctx, patience)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		f := tr.forest()
		got := strings.TrimSpace(f.String())
		if slices.Contains(trees, got) {
			for _, wrong := range f.wrong() {
				t.Error(wrong)
			}
			return f
		}
		select {
		case <-deadline.Done():
			t.Fatalf("the spans never were what they should be.\n\nGot:\n%s\n\nWant:\n%s", got, strings.Join(trees, "\n\nor:\n"))
		case <-tick.C:
		}
	}
}

// One pixel is one trace over every hop, whichever way the spans are exported:
// the client's span, the gateway that took the operation, the append and its
// Redis command, and every process that the live message reached.
func TestTraceOfOnePixel(t *testing.T) {
	for _, otlp := range []string{"grpc", "http/protobuf"} {
		t.Run(strings.ReplaceAll(otlp, "/", " "), func(t *testing.T) {
			tr := startTraced(t, otlp)
			author := tr.connect(t, "gateway-0")
			tr.connect(t, "gateway-1")
			tr.connect(t, "gateway-1")
			tr.draw(t, author, tr.context("A"))
			f := tr.expect(t, `
				client A
				  gateway-0 draw [server] canvas=main operation.number=1 pixels=1 seq.acknowledged=2
				    api-0 process pixel-updates [consumer] canvas=main seq.first=2 seq.last=2 source=live -> draw A
				    gateway-0 process pixel-updates [consumer] canvas=main recipients=1 seq.first=2 seq.last=2 source=live -> draw A
				    gateway-0 send pixel-updates [producer] appended=1 canvas=main seq.first=2 seq.last=2 -> draw A
				      gateway-0 evalsha [client]
				    gateway-1 process pixel-updates [consumer] canvas=main recipients=2 seq.first=2 seq.last=2 source=live -> draw A
				api-0 checkpoint [internal] canvas=main operations=1 seq.first=2 seq.last=2 -> draw A
			`)
			t.Logf("begin and duration in ms:\n%s", f.timed())
		})
	}
}

// Operations that are appended together: each keeps its trace; what is done for
// all of them at once stands in traces of its own, linked to each operation, and
// each operation is linked to the append.
func TestTraceOfABatch(t *testing.T) {
	tr := startTraced(t, "grpc")
	one, two := tr.connect(t, "gateway-0"), tr.connect(t, "gateway-0")
	tr.connect(t, "gateway-1")
	tr.pause(t, true)
	resumed := false
	defer func() {
		if !resumed {
			tr.pause(t, false)
		}
	}()
	tr.submit(t, one, canvas.Trace{}) // under way alone; what comes now waits
	tr.queued(t, "gateway-0", 1)
	tr.submit(t, one, tr.context("A"))
	tr.queued(t, "gateway-0", 2)
	tr.submit(t, two, tr.context("B"))
	tr.queued(t, "gateway-0", 3)
	tr.submit(t, two, canvas.Trace{})
	tr.queued(t, "gateway-0", 4)
	tr.pause(t, false)
	resumed = true
	tr.expect(t, `
		client A
		  gateway-0 draw [server] canvas=main operation.number=2 pixels=1 seq.acknowledged=3 -> send pixel-updates
		client B
		  gateway-0 draw [server] canvas=main operation.number=1 pixels=1 seq.acknowledged=5 -> send pixel-updates
		api-0 checkpoint [internal] canvas=main operations=4 seq.first=2 seq.last=5 -> draw A, draw B
		api-0 process pixel-updates [consumer] batch.message_count=3 canvas=main seq.first=3 seq.last=5 source=live -> draw A, draw B
		gateway-0 process pixel-updates [consumer] batch.message_count=3 canvas=main recipients=2 seq.first=3 seq.last=5 source=live -> draw A, draw B
		gateway-0 send pixel-updates [producer] batch.message_count=3 appended=3 canvas=main seq.first=3 seq.last=5 -> draw A, draw B
		  gateway-0 evalsha [client]
		gateway-1 process pixel-updates [consumer] batch.message_count=3 canvas=main recipients=1 seq.first=3 seq.last=5 source=live -> draw A, draw B
	`)
}

// An operation that is sent twice is drawn once: the repetition has its own span,
// says so, and reaches nobody.
func TestTraceOfARepetition(t *testing.T) {
	tr := startTraced(t, "http/protobuf")
	p, _ := tr.state.Pod("gateway-1")
	trace := tr.context("A")
	parent := protocol.FormatTraceparent(trace)
	ws, resp, err := websocket.DefaultDialer.DialContext(tr.ctx, "ws://"+p.Addr+"/", http.Header{"traceparent": {parent}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	defer ws.Close()
	say := func(format string, args ...any) {
		t.Helper()
		if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged := func() {
		t.Helper()
		var m struct{ Type string }
		for m.Type != "ack" {
			if err := ws.ReadJSON(&m); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(`{"type":"hello","session":"%s"}`, protocol.NewSession().Hex())
	for range 2 {
		say(`{"type":"pixel_update","x":1,"y":2,"color":"#FF0000","op":1,"traceparent":"%s"}`, parent)
		acknowledged()
	}
	tr.expect(t, `
		client A
		  gateway-1 draw [server] canvas=main duplicate=true operation.number=1 pixels=1 seq.acknowledged=2
		    gateway-1 send pixel-updates [producer] appended=0 canvas=main -> draw A
		      gateway-1 evalsha [client]
		  gateway-1 draw [server] canvas=main operation.number=1 pixels=1 seq.acknowledged=2
		    api-0 process pixel-updates [consumer] canvas=main seq.first=2 seq.last=2 source=live -> draw A
		    gateway-0 process pixel-updates [consumer] canvas=main recipients=0 seq.first=2 seq.last=2 source=live -> draw A
		    gateway-1 process pixel-updates [consumer] canvas=main recipients=1 seq.first=2 seq.last=2 source=live -> draw A
		    gateway-1 send pixel-updates [producer] appended=1 canvas=main seq.first=2 seq.last=2 -> draw A
		      gateway-1 evalsha [client]
		  gateway-1 handshake [server] http.response.status_code=101 canvas=main codec=json outcome=opened resumption=fresh
		api-0 checkpoint [internal] canvas=main operations=1 seq.first=2 seq.last=2 -> draw A
	`)
}

// A REST call draws like anybody else.
func TestTraceOfARequest(t *testing.T) {
	tr := startTraced(t, "grpc")
	p, _ := tr.state.Pod("api-0")
	r, err := http.NewRequestWithContext(tr.ctx, http.MethodPut, "http://"+p.Addr+"/api/pixel",
		strings.NewReader(`{"x":1,"y":1,"color":"#00FF00"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("traceparent", protocol.FormatTraceparent(tr.context("A")))
	resp, err := fresh.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	tr.expect(t, `
		client A
		  api-0 PUT /api/pixel [server] http.response.status_code=200
		    api-0 evalsha [client]
		    api-0 process pixel-updates [consumer] canvas=main seq.first=2 seq.last=2 source=live -> PUT /api/pixel A
		    api-0 send pixel-updates [producer] appended=1 canvas=main seq.first=2 seq.last=2 -> PUT /api/pixel A
		      api-0 evalsha [client]
		    gateway-0 process pixel-updates [consumer] canvas=main recipients=0 seq.first=2 seq.last=2 source=live -> PUT /api/pixel A
		    gateway-1 process pixel-updates [consumer] canvas=main recipients=0 seq.first=2 seq.last=2 source=live -> PUT /api/pixel A
		api-0 checkpoint [internal] canvas=main operations=1 seq.first=2 seq.last=2 -> PUT /api/pixel A
	`) // the first command under the request notes that the canvas is in use
}

// A gateway dies with an operation on its way. Its own spans are gone with it;
// the client's trace still tells what became of the operation: it was drawn
// once, and the gateway to which it was sent again says which of the two did it.
func TestTraceOverAKill(t *testing.T) {
	tr := startTraced(t, "grpc")
	author := tr.connect(t, "gateway-0", "gateway-1")
	if author.Pod() != "gateway-0" {
		t.Fatalf("connected to %s", author.Pod())
	}
	tr.pause(t, true)
	tr.submit(t, author, tr.context("A"))
	tr.queued(t, "gateway-0", 1)
	if err := tr.fleet.Signal("gateway-0", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tr.await(t, "gateway-0 has ended", func() bool {
		s, err := tr.fleet.State()
		if err != nil {
			t.Fatal(err)
		}
		now, up := s.Pod("gateway-0")
		was, _ := tr.state.Pod("gateway-0")
		return !up || now.PID != was.PID
	})
	tr.pause(t, false)
	if err := author.Flush(tr.ctx); err != nil {
		t.Fatal(err)
	}
	// The first: Redis had the append in its socket and made it. The second: it
	// had not.
	tr.expect(t, `
		(a span that was not received) A
		  api-0 process pixel-updates [consumer] canvas=main seq.first=2 seq.last=2 source=live -> unknown A
		  gateway-1 process pixel-updates [consumer] canvas=main recipients=1 seq.first=2 seq.last=2 source=live -> unknown A
		client A
		  gateway-1 draw [server] canvas=main duplicate=true operation.number=1 pixels=1 seq.acknowledged=2
		    gateway-1 send pixel-updates [producer] appended=0 canvas=main -> draw A
		      gateway-1 evalsha [client]
		api-0 checkpoint [internal] canvas=main operations=1 seq.first=2 seq.last=2 -> unknown A
	`, `
		client A
		  gateway-1 draw [server] canvas=main operation.number=1 pixels=1 seq.acknowledged=2
		    api-0 process pixel-updates [consumer] canvas=main seq.first=2 seq.last=2 source=live -> draw A
		    gateway-1 process pixel-updates [consumer] canvas=main recipients=1 seq.first=2 seq.last=2 source=live -> draw A
		    gateway-1 send pixel-updates [producer] appended=1 canvas=main seq.first=2 seq.last=2 -> draw A
		      gateway-1 evalsha [client]
		api-0 checkpoint [internal] canvas=main operations=1 seq.first=2 seq.last=2 -> draw A
	`)
}
