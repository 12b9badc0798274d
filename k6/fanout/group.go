package fanout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/k6/metrics"
	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// Options of a group. Only URLs is required.
type Options struct {
	// URLs of gateways, ws:// or wss://.
	URLs []string
	// API is the base URL of the REST service. A JSON client needs it to have
	// a picture.
	API    string
	Codec  client.Codec
	Canvas string // empty: the default
	// Name of member i; nil: anonymous.
	Name func(i int) string
	// NoResume: who was cut off comes back as a new client would.
	NoResume bool
	// Witness: clients count what is missing and stay, instead of repairing it
	// (client.Options.StepOverGaps).
	Witness bool
	// NoGrid: no member keeps a picture, for thousands of them.
	NoGrid bool
	// Trace sends a trace context, sampled, with every write.
	Trace   bool
	Backoff client.Backoff
	// JoinTimeout is how long a client may take to be there; default 10 s.
	JoinTimeout time.Duration
	// LeaveTimeout is how long one that leaves on purpose waits for what it is
	// owed; default 5 s.
	LeaveTimeout time.Duration
	// Dialer of connections; nil means the client's own. HTTPClient loads
	// pictures by REST; nil means one of the group's own.
	Dialer     *websocket.Dialer
	HTTPClient *http.Client
	// Free is for clients that draw what they like instead of plans: see
	// [Group.Draw]. Writes are then known by author and number, in JSON, which
	// tells neither, by cell and colour.
	Free bool
	// Observe, unless nil, is told of what is measured.
	Observe Observer
}

// Observer is told of each time when it is measured. It is called from many
// goroutines with locks held, so it must be quick and call nothing of the
// group.
type Observer interface {
	// Time tells that something took so long until a moment. metric is a name
	// that [Group.Measure] uses, pod the gateway, empty when none is concerned.
	Time(metric, pod string, took time.Duration, at time.Time)
}

type nobody struct{}

func (nobody) Time(string, string, time.Duration, time.Time) {}

// client returns the options that all clients of the group share.
func (o *Options) client() client.Options {
	c := client.Options{
		URLs: o.URLs, API: o.API, Codec: o.Codec, Canvas: o.Canvas, NoResume: o.NoResume, StepOverGaps: o.Witness,
		NoGrid: o.NoGrid, Backoff: o.Backoff, MaxOutbox: 1 << 14, Dialer: o.Dialer,
	}
	if o.Trace {
		c.Trace = func(context.Context) (t canvas.Trace) {
			_, _ = rand.Read(t[:24]) // never fails: see crypto/rand
			t[24] = 1                // sampled
			return t
		}
	}
	return c
}

// pictures tells whether clients get a picture when they join.
func (o *Options) pictures() bool {
	return o.Codec == client.Binary || o.API != "" && !o.NoGrid
}

// unset is a position that is not known yet.
const unset = math.MaxUint64

// times is a histogram that many goroutines write to.
type times struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

// Note records how long something took.
func (t *times) Note(took time.Duration) {
	t.mu.Lock()
	metrics.Note(t.h, took)
	t.mu.Unlock()
}

// Group is a number of clients on one canvas. Its methods may be called from
// any goroutine, unless they say otherwise.
type Group struct {
	opts    Options
	observe Observer
	book    *book
	series  *series
	http    *http.Client

	connects, back times // first connections; later ones
	ackTimes, late times

	entered    atomic.Int64
	joinFailed atomic.Uint64
	drawFailed atomic.Uint64
	untimed    atomic.Uint64 // deliveries in ranges whose write is not known

	mu          sync.Mutex
	members     []*Member // all there ever were
	slots       []*Member // those that are there
	pods        map[string]*record
	podNames    []string // as writes name them; the first stands for unknown
	disconnects map[int]uint64
	resumes     map[client.RecoveryKind]uint64
	ranges      []ranged
	numbers     map[author]int // of writes that wait for their acknowledgement
	writing     time.Duration  // for how long writes were due
	diverged    []string
	compared    int
	affected    []affected
	perPod      map[string]*tally
	painted     time.Time // when the first plan began
}

// author names an operation.
type author struct {
	member int
	op     uint64
}

// ranged is an update that stood for several writes.
type ranged struct {
	member    *Member
	record    *record
	since     time.Time
	prev, seq uint64
	arrived   time.Time
}

// New returns a group of nobody.
func New(o Options) (*Group, error) {
	if o.JoinTimeout == 0 {
		o.JoinTimeout = 10 * time.Second
	}
	if o.LeaveTimeout == 0 {
		o.LeaveTimeout = 5 * time.Second
	}
	c := o.client()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.Observe == nil {
		o.Observe = nobody{}
	}
	if o.HTTPClient == nil {
		// One connection for each load: no client is favoured by another's.
		o.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	}
	g := &Group{
		opts: o, observe: o.Observe, book: &book{begin: time.Now()}, series: newSeries(), http: o.HTTPClient, perPod: map[string]*tally{},
		connects: times{h: metrics.NewTimes()}, back: times{h: metrics.NewTimes()},
		ackTimes: times{h: metrics.NewTimes()}, late: times{h: metrics.NewTimes()},
		pods: map[string]*record{}, podNames: []string{""}, disconnects: map[int]uint64{}, resumes: map[client.RecoveryKind]uint64{}, numbers: map[author]int{},
	}
	g.book.base.Store(unset)
	if o.Free {
		g.book.index = map[identity]int{}
	}
	return g, nil
}

// joiners is how many clients join at a time.
const joiners = 64

// Join adds clients at a constant rate over some time, and returns when each
// is there or was given up after JoinTimeout. It fails when ctx ends, or when
// nobody could join.
func (g *Group) Join(ctx context.Context, n int, over time.Duration) error {
	var joining sync.WaitGroup
	room := make(chan struct{}, joiners)
	var mu sync.Mutex
	var last error
	failed := 0
	begin := time.Now()
	for i := range n {
		if sleepUntil(ctx, begin.Add(over/time.Duration(n)*time.Duration(i))) != nil {
			break
		}
		m, err := g.enter(ctx, nil)
		if err != nil {
			return err
		}
		room <- struct{}{}
		joining.Go(func() {
			defer func() { <-room }()
			if err := g.await(ctx, m); err != nil {
				mu.Lock()
				failed, last = failed+1, err
				mu.Unlock()
			}
		})
	}
	joining.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if failed == n && n > 0 {
		return fmt.Errorf("fanout: none of %d clients could join: %w", n, last)
	}
	return nil
}

// enter starts one more client, which tells h, unless nil, what happens.
func (g *Group) enter(ctx context.Context, h *Handlers) (*Member, error) {
	m := &Member{g: g, id: int(g.entered.Add(1)) - 1, handlers: h}
	m.begun.Store(unset)
	m.until.Store(unset)
	o := m.options()
	o.HTTPClient = g.http
	if g.opts.Name != nil {
		o.Name = g.opts.Name(m.id)
	}
	c, err := client.New(o)
	if err != nil {
		return nil, err
	}
	m.Client = c
	// The group ends its clients one by one; the end of a scenario's time must
	// not.
	c.Start(context.WithoutCancel(ctx))
	g.mu.Lock()
	g.members = append(g.members, m)
	g.mu.Unlock()
	return m, nil
}

// await waits until a client that has entered is there; then it is one of
// those who draw. It gives up one that takes too long.
func (g *Group) await(ctx context.Context, m *Member) error {
	ctx, cancel := context.WithTimeout(ctx, g.opts.JoinTimeout)
	defer cancel()
	err := m.WaitReady(ctx)
	if err != nil {
		g.joinFailed.Add(1)
		err = fmt.Errorf("client %d: %w (last: %w)", m.id, err, orNone(m.LastError()))
		_ = m.Close()
		return err
	}
	g.mu.Lock()
	g.slots = append(g.slots, m)
	g.mu.Unlock()
	return nil
}

var errNone = errors.New("nothing was told")

func orNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// Members returns the clients that are there now, in the order in which they
// came.
func (g *Group) Members() []*Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.slots)
}

// Spec returns the canvas, zero while no client has heard of it.
func (g *Group) Spec() canvas.Spec {
	for _, m := range g.Members() {
		if s := m.Client.Spec(); s.Cells() > 0 {
			return s
		}
	}
	return canvas.Spec{}
}

// Codec returns the codec of the group's clients.
func (g *Group) Codec() client.Codec { return g.opts.Codec }

// Connected returns how many clients have a connection now.
func (g *Group) Connected() int {
	n := 0
	for _, m := range g.Members() {
		if s := m.State(); s != client.Offline && s != client.Connecting {
			n++
		}
	}
	return n
}

// Pods returns how many clients are connected to each gateway now.
func (g *Group) Pods() map[string]int {
	pods := map[string]int{}
	for _, m := range g.Members() {
		if s := m.State(); s != client.Offline && s != client.Connecting {
			pods[m.Pod()]++
		}
	}
	return pods
}

// podNumber returns the number by which writes name a gateway. The caller
// holds mu.
func (g *Group) podNumber(pod string) uint8 {
	for i, name := range g.podNames {
		if name == pod {
			return uint8(i)
		}
	}
	if len(g.podNames) == 256 {
		return 0
	}
	g.podNames = append(g.podNames, pod)
	return uint8(len(g.podNames) - 1)
}

// On returns the clients that are connected to a gateway now.
func (g *Group) On(pod string) []*Member {
	return slices.DeleteFunc(g.Members(), func(m *Member) bool { return m.Pod() != pod || m.State() == client.Offline })
}

// Head returns the greatest position that any client was told of.
func (g *Group) Head() uint64 { return g.book.head.Load() }

// Leave lets the oldest n clients go, all at once; see Member.leave.
func (g *Group) Leave(ctx context.Context, n int) {
	g.mu.Lock()
	n = min(n, len(g.slots))
	leaving := slices.Clone(g.slots[:n])
	g.slots = slices.Clone(g.slots[n:])
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opts.LeaveTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, m := range leaving {
		all.Go(func() { m.leave(ctx) })
	}
	all.Wait()
}

// Churn replaces the oldest clients by new ones at a constant rate, until ctx
// ends. It returns when those who were leaving have left.
func (g *Group) Churn(ctx context.Context, perSecond float64) {
	var all sync.WaitGroup
	defer all.Wait()
	begin := time.Now()
	for i := 1; ; i++ {
		if sleepUntil(ctx, begin.Add(time.Duration(float64(i)/perSecond*float64(time.Second)))) != nil {
			return
		}
		m, err := g.enter(ctx, nil)
		if err != nil {
			return // it was valid before
		}
		all.Go(func() {
			if g.await(context.WithoutCancel(ctx), m) == nil { // else it is counted
				g.Leave(ctx, 1)
			}
		})
	}
}

// Close ends all clients at once.
func (g *Group) Close() {
	var all sync.WaitGroup
	g.mu.Lock()
	members := slices.Clone(g.members)
	g.mu.Unlock()
	for _, m := range members {
		all.Go(func() { _ = m.Close() })
	}
	all.Wait()
	g.http.CloseIdleConnections()
}

// sleepUntil waits for a moment or the end of ctx.
func sleepUntil(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
