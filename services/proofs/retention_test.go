package proofs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/archive"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// keeper looks at what Redis keeps of the main canvas, past all services, and
// remembers what the log made of it when parts of that log are gone: it has to
// look again before more operations came than the log retains.
type keeper struct {
	*store.Store
	raw *redis.Client
	*truth
}

const checkpointKey = "{canvas:main}:checkpoint"

func newKeeper(t *testing.T, server *embedded.Server) *keeper {
	t.Helper()
	s, err := store.Open(store.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{Store: s, raw: redis.NewClient(&redis.Options{Addr: server.Addr(), DisableIdentity: true})}
	t.Cleanup(func() {
		_ = s.Close()
		_ = k.raw.Close()
	})
	return k
}

// look reads what was appended since the last look.
func (k *keeper) look(t *testing.T, ctx context.Context) {
	t.Helper()
	meta, err := k.Meta(ctx, mainCanvas)
	if err != nil {
		t.Fatal(err)
	}
	if k.truth == nil {
		k.truth = &truth{epoch: meta.Epoch, picture: canvas.NewGrid(meta.Spec).Freeze()}
	}
	if meta.Epoch != k.epoch {
		t.Fatalf("the canvas has another epoch")
	}
	grid := k.picture.Thaw()
	for {
		entries, head, err := k.Read(ctx, mainCanvas, k.head, 500)
		if err != nil {
			t.Fatalf("reading the log after %d: %v", k.head, err)
		}
		for _, e := range entries {
			for i := range e.Ops {
				grid.Apply(&e.Ops[i])
			}
			k.head = e.Last()
		}
		if k.head >= head {
			k.picture = grid.Freeze()
			return
		}
	}
}

// stored returns the position of the stored checkpoint, 0 when there is none.
func (k *keeper) stored(t *testing.T, ctx context.Context) uint64 {
	t.Helper()
	mark, err := k.CheckpointMark(ctx, mainCanvas)
	if err != nil {
		t.Fatal(err)
	}
	if mark == nil {
		return 0
	}
	return mark.Position.Seq
}

// oldest returns the first operation that the log has.
func (k *keeper) oldest(t *testing.T, ctx context.Context) uint64 {
	t.Helper()
	_, oldest, err := k.LogInfo(ctx, mainCanvas)
	if err != nil {
		t.Fatal(err)
	}
	return oldest
}

// whole checks that what is stored makes the picture that all operations made,
// and that nothing is wrong with any part of it.
func (k *keeper) whole(t *testing.T, ctx context.Context, when string) {
	t.Helper()
	r, err := archive.Audit(ctx, k, mainCanvas, nil)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for _, f := range r.Faults() {
		t.Errorf("%s: %s: %s", when, f.Subject, f.Text)
	}
	if r.View == nil {
		t.Fatalf("%s: what is stored makes no picture", when)
	}
	if r.View.Position.Seq != k.head || r.View.Picture.Hash() != k.picture.Hash() {
		t.Errorf("%s: what is stored makes another picture at %v than all operations made at %d", when, r.View.Position, k.head)
	}
}

// settled waits until the stored checkpoint has everything and the log is as
// short as it may be.
func (k *keeper) settled(t *testing.T, ctx context.Context, retention uint64) {
	t.Helper()
	eventually(t, ctx, "the checkpoint has everything and the log is trimmed", func() bool {
		// An entry on both sides of the bound stays.
		_, oldest, err := k.LogInfo(ctx, mainCanvas)
		return err == nil && k.stored(t, ctx) == k.head && oldest > 1 && oldest+retention+maxEntry > k.head
	})
}

// maxEntry is more operations than an entry has here.
const maxEntry = 32

// brush draws numbered operations, each with a colour of its own.
type brush struct {
	*client.Client
	n    uint64
	grid *canvas.Grid // what it has drawn
}

// follow takes what a brush drew, all of which was acknowledged, for the truth:
// where nobody else draws no log is needed to know it.
func (k *keeper) follow(t *testing.T, ctx context.Context, b *brush) {
	t.Helper()
	meta, err := k.Meta(ctx, mainCanvas)
	if err != nil {
		t.Fatal(err)
	}
	k.truth = &truth{epoch: meta.Epoch, head: b.n, picture: b.grid.Freeze()}
}

func (b *brush) paint(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	if err := b.strokes(ctx, n); err != nil {
		t.Fatal(err)
	}
}

// strokes draws n operations and waits until they are acknowledged.
func (b *brush) strokes(ctx context.Context, n int) error {
	spec := b.Spec()
	if b.grid == nil {
		b.grid = canvas.NewGrid(spec)
	}
	for range n {
		b.n++
		if b.n%maxEntry == 0 { // so that no entry becomes long
			if err := b.Flush(ctx); err != nil {
				return err
			}
		}
		cell := int(b.n*7) % spec.Cells()
		p := canvas.Pixel{
			X: uint16(cell % spec.Width), Y: uint16(cell / spec.Width), Color: canvas.Color(b.n*0x10101+uint64(b.Author())) & 0xFFFFFF,
		}
		if _, err := b.Draw(ctx, p); err != nil {
			return err
		}
		b.grid.Set(int(p.X), int(p.Y), p.Color)
	}
	return b.Flush(ctx)
}

// often are settings with which checkpoints come all the time. The lease then
// lives for half a second.
func often(retention int) []string {
	return []string{"CHECKPOINT_INTERVAL=50ms", "CHECKPOINT_OPERATIONS=5", fmt.Sprintf("LOG_RETENTION=%d", retention)}
}

// killed kills processes with -9 and waits until others in their place are
// ready, or only listen.
func killed(t *testing.T, ctx context.Context, f *fleet.Fleet, ready bool, pods ...string) {
	t.Helper()
	before, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if err := f.Signal(pod, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for _, pod := range pods {
		was, _ := before.Pod(pod)
		replaced(t, ctx, f, ready, was)
	}
}

// replaced waits until another process is in the place of one that was killed.
func replaced(t *testing.T, ctx context.Context, f *fleet.Fleet, ready bool, was fleet.Process) {
	t.Helper()
	s, err := f.Await(ctx, was.Pod+" is back", func(s fleet.State) bool {
		p, up := s.Pod(was.Pod)
		return up && p.PID != was.PID
	})
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := s.Pod(was.Pod); ready {
		eventually(t, ctx, was.Pod+" is ready again", func() bool { return statusOf(ctx, "http://"+p.Addr+"/readyz") == http.StatusOK })
	}
}

// statusOf returns the status of an answer, 0 when there is none.
func statusOf(ctx context.Context, url string) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := fresh.Do(r)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close() // the status is all
	return resp.StatusCode
}

// everywhere checks that a fresh client, and every api, has the picture.
func (k *keeper) everywhere(t *testing.T, ctx context.Context, f *fleet.Fleet) {
	t.Helper()
	k.checkAPIs(t, ctx, f)
	c := connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})
	k.checkClient(t, ctx, "a fresh client", c)
	_ = c.Close()
}

// doorman lets clients dial only while the door is open.
type doorman struct{ closed atomic.Bool }

var errDoor = errors.New("the door is closed")

func (d *doorman) dialer(w *wires) *websocket.Dialer {
	dialer := w.dialer()
	dial := dialer.NetDialContext
	dialer.NetDialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if d.closed.Load() {
			return nil, errDoor
		}
		return dial(ctx, network, addr)
	}
	return dialer
}

// Clients return after the log was trimmed behind their position and no gateway
// remembers it: they get a picture, the right one, and what they drew meanwhile
// gets through. Where the log still reaches back they go on from where they
// were.
func TestReturnAfterTrim(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	const retention = 20
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 2, APIs: 2, Redis: server.URL(), Canvas: "30x20", Env: often(retention),
	})
	k := newKeeper(t, server)
	var door doorman
	network := &wires{}
	away := map[string]*brush{
		"binary": {Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}, Dialer: door.dialer(network)})},
		"JSON":   {Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}, Dialer: door.dialer(network), Codec: client.JSON, API: baseURL(t, f)})},
	}
	here := &brush{Client: connect(t, ctx, client.Options{URLs: []string{wsURL(t, f)}})}

	for round := range pick(2, 20) {
		trimmed := round%2 == 0
		here.paint(t, ctx, 10)
		k.look(t, ctx)
		for name, c := range away {
			k.checkClient(t, ctx, name, c.Client)
		}
		left := k.head
		door.closed.Store(true)
		network.cut()
		for _, c := range away {
			for range 3 {
				c.n++
				if _, err := c.Draw(ctx, canvas.Pixel{X: uint16(c.n % 30), Y: 19, Color: canvas.Color(c.n)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if trimmed {
			for range 10 {
				here.paint(t, ctx, 10)
				k.look(t, ctx)
			}
			k.settled(t, ctx, retention)
			if k.oldest(t, ctx) <= left+1 {
				t.Fatalf("the log still begins at %d, the clients left at %d", k.oldest(t, ctx), left)
			}
		} else {
			here.paint(t, ctx, 3)
		}
		killed(t, ctx, f, true, "gateway-0", "gateway-1")
		before := map[string]client.Stats{}
		for name, c := range away {
			before[name] = c.Stats()
		}
		door.closed.Store(false)
		for name, c := range away {
			if err := errors.Join(c.WaitReady(ctx), c.Flush(ctx)); err != nil {
				t.Fatalf("%s: %v (last error: %v)", name, err, c.LastError())
			}
		}
		k.look(t, ctx)
		if want := here.n + away["binary"].n + away["JSON"].n; k.head != want {
			t.Errorf("the log has %d operations, %d were drawn", k.head, want)
		}
		for name, c := range away {
			k.checkClient(t, ctx, name, c.Client)
			kind, count := "went on", client.Stats.WentOn
			if trimmed {
				picture := map[string]client.RecoveryKind{"binary": client.Snapshot, "JSON": client.Reloaded}[name]
				kind, count = picture.String(), func(s client.Stats) uint64 { return s.Recoveries[picture] }
			}
			if s := c.Stats(); count(s) != count(before[name])+1 {
				t.Errorf("the %s client came back in another way than %v: %v, before %v", name, kind, s.Recoveries, before[name].Recoveries)
			}
		}
		k.everywhere(t, ctx, f)
	}
}
