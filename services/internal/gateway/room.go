package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/tracing"
	"github.com/cloud-pixel/playground/services/protocol"
	"golang.org/x/sync/singleflight"
)

// room is a canvas with the connections to it: the replica's observer, which
// passes on to the hub what happens.
type room struct {
	gateway *Gateway
	canvas  *replica.Canvas
	hub     *hub.Hub

	extending singleflight.Group
	pointers  *pointers
	state     sync.Mutex // orders tellState

	stopped context.Context // ends with the replica
	stop    context.CancelFunc
	running sync.WaitGroup // of verify

	mu        sync.Mutex
	conns     map[*conn]struct{}
	sessions  map[protocol.Session]*conn
	noted     time.Time // when the canvas was last noted as active
	verifying bool
	ended     map[canvas.Epoch]struct{} // see hasEnded
}

func newRoom(g *Gateway, c *replica.Canvas) *room {
	r := &room{gateway: g, canvas: c, conns: make(map[*conn]struct{}), sessions: make(map[protocol.Session]*conn), ended: make(map[canvas.Epoch]struct{}), pointers: newPointers()}
	r.stopped, r.stop = context.WithCancel(context.Background())
	r.hub = hub.New(g.flusher, hub.Options{
		HistoryOps: g.o.HistoryOps,
		Freeze: func() (*canvas.Frozen, canvas.Position) {
			f, at, _ := c.Replica.Freeze()
			return f, at
		},
	})
	return r
}

// Restarted implements [replica.Observer].
func (r *room) Restarted(at canvas.Position, spec canvas.Spec, recent []*canvas.Entry) {
	r.hub.Restart(at, spec)
	r.hub.Extend(at.Epoch, recent)
}

// Applied implements [replica.Observer].
func (r *room) Applied(e *canvas.Entry, span *tracing.Span) {
	r.hub.Trace(e.Last(), span)
	r.hub.Publish(e)
}

// Reachable implements [replica.Observer].
func (r *room) Reachable(bool) { r.tellState() }

// Stopped implements [replica.Observer]. When the canvas must not be served
// any more by this process, its connections go elsewhere.
func (r *room) Stopped(err error) {
	r.mu.Lock() // verify begins no more from here on
	r.stop()
	r.mu.Unlock()
	r.running.Wait()
	r.hub.Close()
	if errors.Is(err, replica.ErrStopped) {
		return // nobody holds the canvas, or the whole gateway ends
	}
	for _, c := range r.list() {
		c.close(protocol.CloseUnavailable, "this gateway cannot serve the canvas")
	}
}

// tellState tells the connections how the service is. What was read first must
// not be told last.
func (r *room) tellState() {
	r.state.Lock()
	defer r.state.Unlock()
	switch {
	case r.gateway.draining.Load():
		r.hub.SetState(protocol.Draining)
	case !r.canvas.Replica.Reachable():
		r.hub.SetState(protocol.Degraded)
	default:
		r.hub.SetState(protocol.Live)
	}
}

// maxExtend is how far behind its memory a gateway reads the log for clients
// that resume, in operations. Beyond, a whole picture is less work.
const maxExtend = 20_000

// maxExtendPixels bounds the memory that such a read takes.
const maxExtendPixels = 200_000

var errTooMuch = errors.New("gateway: a picture is less work than what the log has")

// prepare sees to it that a client which claims to hold the position since can
// be given what it missed, where that is possible; how tells which way. What
// cannot be judged here is left to the join, which knows the hub's position of
// that moment. All clients that come back at the same time share the reads of
// Redis this takes.
func (r *room) prepare(ctx context.Context, since canvas.Position) (how hub.Resumption) {
	at := r.hub.Position()
	if since.Epoch != at.Epoch && !r.hasEnded(since.Epoch) || since.Epoch == at.Epoch && since.Seq > at.Seq {
		// It has seen more through another gateway, or what this one does not
		// know yet to have begun; or it is of the past, or wrong. The log knows.
		// When it cannot be asked now, join has that done later.
		if !r.canvas.Replica.Reachable() || r.canvas.Replica.Sync(ctx) != nil {
			return hub.FromMemory
		}
		if at = r.hub.Position(); since.Epoch == at.Epoch && since.Seq > at.Seq {
			return hub.FromScratch
		}
		if since.Epoch != at.Epoch {
			r.noteEnded(since.Epoch)
		}
	}
	if since.Epoch != at.Epoch {
		return hub.FromScratch
	}
	oldest := r.hub.Oldest()
	if since.Seq >= oldest {
		return hub.FromMemory
	}
	if at.Seq-since.Seq > maxExtend {
		return hub.FromScratch
	}
	// Others share the read: it must not end with the client that came first.
	_, err, _ := r.extending.Do("", func() (any, error) {
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.gateway.o.HandshakeTimeout)
		defer cancel()
		return nil, r.extend(shared, at.Seq)
	})
	if err != nil || since.Seq < r.hub.Oldest() {
		return hub.FromScratch
	}
	return hub.FromLog
}

// maxEnded bounds the epochs that are remembered to have ended.
const maxEnded = 64

// hasEnded tells whether an epoch is known to have ended: a client came with it,
// and a look at the log after that found another. Epochs never come back.
func (r *room) hasEnded(e canvas.Epoch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ended := r.ended[e]
	return ended
}

func (r *room) noteEnded(e canvas.Epoch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ended) >= maxEnded {
		clear(r.ended)
	}
	r.ended[e] = struct{}{}
}

// join adds a connection to the hub; see [hub.Hub.Join].
func (r *room) join(c *hub.Conn, since *canvas.Position, greet func(at canvas.Position, how hub.Resumption) protocol.ServerMessage) hub.Resumption {
	how := r.hub.Join(c, since, greet)
	if how != hub.FromMemory || !r.hub.IsAhead(c) {
		return how
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.verifying && r.stopped.Err() == nil {
		r.verifying = true
		r.running.Go(r.verify)
	}
	return how
}

// verifyEvery is how often the log is asked about claims as long as it cannot
// be reached.
const verifyEvery = 250 * time.Millisecond

// verify asks the log about the claims of clients to have seen more than this
// gateway, which could not be checked when they came. Those that are true wait
// for what follows. A look at the head that began before a client claimed
// proves nothing against it: what it has seen may be newer than that.
func (r *room) verify() {
	for {
		r.mu.Lock()
		ahead := r.hub.Ahead()
		if len(ahead) == 0 || r.stopped.Err() != nil {
			r.verifying = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(r.stopped, r.gateway.o.HandshakeTimeout)
		err := r.canvas.Replica.Sync(ctx)
		cancel()
		if err != nil {
			wait(r.stopped, verifyEvery)
			continue
		}
		r.hub.Disprove(ahead)
	}
}

// extend reads the log as far back from head as clients may resume from.
func (r *room) extend(ctx context.Context, head uint64) error {
	since := head - min(head, maxExtend)
	// The oldest entries may be trimmed: start where the log does.
	_, oldest, err := r.gateway.store.LogInfo(ctx, r.canvas.ID)
	if err != nil {
		return err
	}
	if oldest > 0 {
		since = max(since, oldest-1)
	}
	epoch, until := r.hub.Position().Epoch, r.hub.Oldest()
	var older []*canvas.Entry
	pixels := 0
	for since < until {
		entries, _, err := r.gateway.store.Read(ctx, r.canvas.ID, since, 512)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		older = append(older, entries...)
		for _, e := range entries {
			for i := range e.Ops {
				pixels += len(e.Ops[i].Pixels)
			}
		}
		if pixels > maxExtendPixels {
			return errTooMuch
		}
		since = entries[len(entries)-1].Last()
	}
	// That was the log of this history only if the epoch is still the same now
	// that all is read; the entries do not tell, since a log goes on where an
	// epoch begins. Should it be another, the hub has begun anew by then and
	// takes nothing.
	if err := r.canvas.Replica.Sync(ctx); err != nil {
		return err
	}
	r.hub.Extend(epoch, older)
	return nil
}

// add puts a connection on the list; the hub has its own.
func (r *room) add(c *conn) {
	r.mu.Lock()
	r.conns[c] = struct{}{}
	r.mu.Unlock()
	r.gateway.presence.changed()
}

func (r *room) remove(c *conn) {
	r.mu.Lock()
	delete(r.conns, c)
	if s := c.session(); r.sessions[s] == c {
		delete(r.sessions, s)
	}
	r.mu.Unlock()
	r.pointers.remove(c)
	r.gateway.presence.changed()
}

// claim makes c the owner of a session; an older connection of the same
// session is closed: its client has come back. Which one is older is told by
// when they were opened, not by whose hello is read first: that of a connection
// which broke right behind it may still be on its way when its client is back.
func (r *room) claim(s protocol.Session, c *conn) {
	r.mu.Lock()
	older, newer := r.sessions[s], c
	if older != nil && older.socket.opened.After(c.socket.opened) {
		older, newer = c, older
	}
	r.sessions[s] = newer
	r.mu.Unlock()
	if older != nil && older != newer {
		older.close(protocol.CloseReplaced, "a newer connection has this session")
	}
}

func (r *room) list() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*conn, 0, len(r.conns))
	for c := range r.conns {
		all = append(all, c)
	}
	return all
}

// noteActive tells the checkpointers, at most once a minute, that this canvas
// is in use.
func (r *room) noteActive(ctx context.Context) error {
	r.mu.Lock()
	due := time.Since(r.noted) >= time.Minute && len(r.conns) > 0
	if due {
		r.noted = time.Now()
	}
	r.mu.Unlock()
	if !due {
		return nil
	}
	return r.gateway.store.NoteActive(ctx, r.canvas.ID)
}
