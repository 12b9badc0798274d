package gateway

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/prometheus/client_golang/prometheus"
)

// Where others point. It is not part of the log: the latest place counts, and
// nothing here is kept, repeated or waited for. Each gateway tells the others,
// on a channel of its own beside the log, what has changed among its
// connections, and tells its connections what has changed in their view.
//
// Everything is bounded: a place is passed on at most ten times a second, a
// client gets at most maxShown of them, and a gateway's work for them has a
// budget beyond which clients get them less often.
const (
	// cursorsEvery is the time between two tellings.
	cursorsEvery = 100 * time.Millisecond
	// maxPublished bounds what a gateway tells the others of a canvas each
	// time; the rest goes next time.
	maxPublished = 512
	// maxPointers bounds the places that a gateway holds of a canvas.
	maxPointers = 2048
	// maxShown bounds the places that one client is shown at a time.
	maxShown = 64
	// pointerLives is how long a place holds without news of it.
	pointerLives = 10 * time.Second
	// maxLooks bounds the work of one telling: looks at a place for a client.
	maxLooks = 200_000
)

// pointer is where somebody points, as the channel told it.
type pointer struct {
	at      protocol.CursorAt
	gone    bool
	heard   time.Time
	version uint64
}

// pointers are the places on one canvas.
type pointers struct {
	mu sync.Mutex
	// pending are the places of this gateway's connections that the others
	// have not been told, by author.
	pending map[uint32]protocol.CursorAt
	left    map[uint32]struct{} // who is gone, alike

	all      map[uint32]*pointer
	version  uint64
	watchers []*watcher
	next     int // the watcher to begin with
}

// watcher is a connection that is told of others' places. Its fields are
// guarded by the lock of pointers.
type watcher struct {
	// offer hands a message to the client, unless it is still busy with what it
	// was handed before.
	offer func(protocol.ServerMessage) bool
	index int
	view  protocol.View
	// seen is the version up to which everything was told.
	seen uint64
	// shown are the authors whose place the client has.
	shown map[uint32]struct{}
	// author is under which its own place was told, 0 for never.
	author uint32
}

func newPointers() *pointers {
	return &pointers{
		pending: make(map[uint32]protocol.CursorAt),
		left:    make(map[uint32]struct{}),
		all:     make(map[uint32]*pointer),
	}
}

// watch makes c a watcher of the whole canvas unless it is one. Called with the
// lock held, by c's reader.
func (p *pointers) watch(c *conn) *watcher {
	if c.watcher == nil {
		c.watcher = &watcher{
			offer: c.out.Offer, index: len(p.watchers), shown: make(map[uint32]struct{}),
			view: protocol.View{Width: uint16(c.spec.Width), Height: uint16(c.spec.Height)},
		}
		p.watchers = append(p.watchers, c.watcher)
	}
	return c.watcher
}

// point notes where c points.
func (p *pointers) point(c *conn, m protocol.Cursor) {
	name, author := c.user()
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.watch(c)
	if tag := uint32(author); w.author != tag {
		p.leave(w) // it has said hello since
		w.author = tag
	}
	if m.Gone {
		p.leave(w)
		return
	}
	delete(p.left, w.author)
	p.pending[w.author] = protocol.CursorAt{Author: w.author, X: m.X, Y: m.Y, Name: name}
}

// leave has the others told that w points nowhere. Called with the lock held.
func (p *pointers) leave(w *watcher) {
	if w.author == 0 {
		return
	}
	delete(p.pending, w.author)
	p.left[w.author] = struct{}{}
	w.author = 0
}

// look notes what c sees of the canvas.
func (p *pointers) look(c *conn, v protocol.View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.watch(c)
	w.view, w.seen = v, 0 // what is in view now may have moved long ago
}

// remove forgets a connection.
func (p *pointers) remove(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := c.watcher
	if w == nil {
		return
	}
	p.leave(w)
	last := len(p.watchers) - 1
	p.watchers[w.index] = p.watchers[last]
	p.watchers[w.index].index = w.index
	p.watchers[last] = nil
	p.watchers = p.watchers[:last]
}

// take returns what the others are to be told now.
func (p *pointers) take() (m protocol.Cursors) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for author, at := range p.pending {
		if len(m.Here) == maxPublished {
			break
		}
		m.Here = append(m.Here, at)
		delete(p.pending, author)
	}
	for author := range p.left {
		if len(m.Gone) == maxPublished {
			break
		}
		m.Gone = append(m.Gone, author)
		delete(p.left, author)
	}
	return m
}

// merge takes what a gateway, perhaps this one, has told.
func (p *pointers) merge(m protocol.Cursors, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range m.Here {
		known := p.all[at.Author]
		if known == nil {
			if len(p.all) >= maxPointers {
				continue
			}
			known = new(pointer)
			p.all[at.Author] = known
		}
		p.version++
		*known = pointer{at: at, heard: now, version: p.version}
	}
	for _, author := range m.Gone {
		if known := p.all[author]; known != nil && !known.gone {
			p.version++
			known.gone, known.heard, known.version = true, now, p.version
		}
	}
}

// expire lets go of places without news: first they are told to be gone, then
// they are forgotten.
func (p *pointers) expire(now time.Time) {
	for author, known := range p.all {
		switch silent := now.Sub(known.heard); {
		case silent < pointerLives:
		case !known.gone:
			p.version++
			known.gone, known.heard, known.version = true, now, p.version
		default:
			delete(p.all, author)
		}
	}
}

// tell offers each watcher what has changed in its view. It returns how many
// places were told and how much of the budget of looks is left.
func (p *pointers) tell(now time.Time, looks int) (told, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire(now)
	if len(p.watchers) == 0 || len(p.all) == 0 {
		return 0, looks
	}
	newest := make([]*pointer, 0, len(p.all))
	for _, known := range p.all {
		newest = append(newest, known)
	}
	slices.SortFunc(newest, func(a, b *pointer) int { return cmp.Compare(b.version, a.version) })
	for range p.watchers {
		if looks <= 0 {
			break // the others are first next time
		}
		p.next = (p.next + 1) % len(p.watchers)
		n, looked := p.watchers[p.next].tell(newest, p.version)
		told += n
		looks -= looked
	}
	return told, looks
}

// tell offers w what has changed since it was told last; newest are all
// places, the newest first. Nothing is lost when the client does not take it:
// it gets what holds then, next time.
func (w *watcher) tell(newest []*pointer, version uint64) (told, looked int) {
	if w.seen == version {
		return 0, 1
	}
	var m protocol.Cursors
	room := maxShown - len(w.shown)
	for _, known := range newest {
		if known.version <= w.seen {
			break
		}
		looked++
		_, shown := w.shown[known.at.Author]
		switch at := known.at; {
		case at.Author == w.author:
		case !known.gone && w.sees(at):
			if !shown {
				if room == 0 {
					continue // until another one goes
				}
				room--
			}
			m.Here = append(m.Here, at)
		case shown:
			m.Gone = append(m.Gone, at.Author)
			room++
		}
	}
	if len(m.Here)+len(m.Gone) > 0 && !w.offer(m) {
		return 0, looked
	}
	for _, at := range m.Here {
		w.shown[at.Author] = struct{}{}
	}
	for _, author := range m.Gone {
		delete(w.shown, author)
	}
	w.seen = version
	return len(m.Here), looked
}

func (w *watcher) sees(at protocol.CursorAt) bool {
	v := w.view
	return at.X >= v.X && at.Y >= v.Y && at.X-v.X < v.Width && at.Y-v.Y < v.Height
}

func (p *pointers) watched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.watchers) > 0
}

// cursors tells and follows the places on all canvases.
type cursors struct {
	gateway *Gateway
	metrics *cursorMetrics
	feeds   map[*room]*feed // owned by run
}

// feed follows the channel of one canvas, while somebody here wants to know.
type feed struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (f *feed) stop() {
	f.cancel()
	f.done.Wait()
}

type cursorMetrics struct {
	received, published, delivered prometheus.Counter
}

func newCursors(g *Gateway, r prometheus.Registerer) *cursors {
	m := &cursorMetrics{
		received:  prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_cursors_received_total", Help: "Places where clients of this gateway pointed, as they told."}),
		published: prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_cursors_published_total", Help: "Places that were told to the other gateways; fewer than received where a client pointed somewhere else meanwhile."}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{Name: "pixel_cursors_delivered_total", Help: "Places of others that were handed to clients."}),
	}
	r.MustRegister(m.received, m.published, m.delivered)
	return &cursors{gateway: g, metrics: m, feeds: make(map[*room]*feed)}
}

// run serves until the context ends.
func (s *cursors) run(ctx context.Context) {
	defer func() {
		for _, f := range s.feeds {
			f.stop()
		}
	}()
	tick := time.NewTicker(cursorsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.round(ctx, now)
		}
	}
}

func (s *cursors) round(ctx context.Context, now time.Time) {
	loaded := make(map[*room]bool)
	looks := maxLooks
	for _, c := range s.gateway.pool.Loaded() {
		r, ok := c.Attached.(*room)
		if !ok {
			continue
		}
		loaded[r] = true
		if r.pointers.watched() && s.feeds[r] == nil {
			s.follow(ctx, r)
		}
		s.publish(ctx, r)
		var told int
		told, looks = r.pointers.tell(now, looks)
		s.metrics.delivered.Add(float64(told))
	}
	for r, f := range s.feeds {
		if !loaded[r] || !r.pointers.watched() {
			f.stop()
			delete(s.feeds, r)
		}
	}
}

func (s *cursors) follow(ctx context.Context, r *room) {
	ctx, cancel := context.WithCancel(ctx)
	f := &feed{cancel: cancel}
	s.feeds[r] = f
	f.done.Go(func() {
		s.gateway.store.FollowCursors(ctx, r.canvas.ID, func(m protocol.Cursors) { r.pointers.merge(m, time.Now()) })
	})
}

// publish tells the others what has changed here. While Redis is away it is
// dropped: when Redis is back, people point somewhere else.
func (s *cursors) publish(ctx context.Context, r *room) {
	m := r.pointers.take()
	if len(m.Here)+len(m.Gone) == 0 || !r.canvas.Replica.Reachable() {
		return
	}
	call, cancel := context.WithTimeout(ctx, cursorsEvery)
	defer cancel()
	if err := s.gateway.store.PublishCursors(call, r.canvas.ID, m); err == nil {
		s.metrics.published.Add(float64(len(m.Here)))
	}
}
