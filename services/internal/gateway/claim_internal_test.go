package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/replica"
	"github.com/cloud-pixel/playground/services/internal/replica/replicatest"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// claimPatience bounds what these tests wait for; nothing is expected to take it.
const claimPatience = 30 * time.Second

// heldSource is the store behind a network that the test holds up: no live
// message arrives, and each look at the head waits for the test once hold is set.
type heldSource struct {
	replicatest.Deaf
	mu    sync.Mutex
	hold  bool
	looks chan *look
}

// look is a look at the head that has been answered; the answer arrives when
// the test says so.
type look struct {
	err    error // in place of the answer
	arrive chan struct{}
}

func (s *heldSource) holds(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = is
}

func (s *heldSource) Check(ctx context.Context, id string, at canvas.Position) (canvas.Position, error) {
	head, err := s.Source.Check(ctx, id, at)
	s.mu.Lock()
	held := s.hold
	s.mu.Unlock()
	if !held {
		return head, err
	}
	l := &look{arrive: make(chan struct{})}
	select {
	case s.looks <- l:
		<-l.arrive
	case <-ctx.Done():
		return head, ctx.Err()
	}
	if l.err != nil {
		return canvas.Position{}, l.err
	}
	return head, err
}

// next returns the next look, which has its answer by then.
func (s *heldSource) next(t *testing.T) *look {
	t.Helper()
	select {
	case l := <-s.looks:
		return l
	case <-time.After(claimPatience):
		t.Fatal("nobody looks at the head")
		return nil
	}
}

// claimStage is a room whose replica follows a real Redis through a heldSource.
type claimStage struct {
	*room
	source *heldSource
	store  *store.Store
	redis  *redis.Options
}

func newClaimStage(t *testing.T) *claimStage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), claimPatience)
	defer cancel()
	server, err := embedded.StartRedis(ctx, embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("these tests need redis-server: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	st, err := store.Open(store.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	address, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	s := &claimStage{store: st, redis: address, source: &heldSource{Deaf: replicatest.Deaf{Source: replica.FromStore(st)}, looks: make(chan *look)}}
	registry := prometheus.NewRegistry()
	g := &Gateway{flusher: hub.NewFlusher(hub.FlusherOptions{Metrics: hub.NewMetrics(registry)}), store: st}
	g.o.HandshakeTimeout, g.o.HistoryOps = claimPatience, 2
	g.pool = replica.NewPool(replica.PoolOptions{
		Replica: replica.Options{
			Source: s.source, Metrics: replica.NewMetrics(registry),
			CheckEvery: time.Hour, CallTimeout: claimPatience, BehindAfter: time.Hour,
		},
		Permanent: map[string]canvas.Spec{"main": {Width: 20, Height: 20, Background: canvas.White}},
		Observe: func(c *replica.Canvas) replica.Observer {
			r := newRoom(g, c)
			c.Attached = r
			return r
		},
	})
	work, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { g.pool.Run(work) })
	parts.Go(func() { g.flusher.Run(work) })
	t.Cleanup(func() { stop(); parts.Wait() })
	c, err := g.pool.Get(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Release)
	s.room = c.Attached.(*room)
	return s
}

// draw appends operations of one pixel each past the gateway, and returns the
// position of the last.
func (s *claimStage) draw(t *testing.T, n int) canvas.Position {
	t.Helper()
	meta, err := s.store.Meta(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	session := protocol.NewSession()
	batch := make([]store.AppendOp, n)
	for i := range batch {
		op := canvas.Op{Kind: canvas.Paint, Author: session.Author(), Number: uint64(i + 1), Pixels: []canvas.Pixel{{X: uint16(i), Color: canvas.Color(i)}}}
		batch[i] = store.AppendOp{Session: session, TTL: time.Hour, Op: op}
	}
	appended, err := s.store.Append(t.Context(), "main", canvas.Position{Epoch: meta.Epoch}, batch)
	if err != nil {
		t.Fatal(err)
	}
	return appended.Position
}

// breaks has one look at the head fail.
func (s *claimStage) breaks(t *testing.T) {
	t.Helper()
	s.source.holds(true)
	s.canvas.Replica.Refresh()
	l := s.source.next(t)
	l.err = errors.New("held up for too long")
	close(l.arrive)
	s.await(t, "the gateway says that Redis is away", func() bool { return s.hub.State() == protocol.Degraded })
}

func (s *claimStage) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(claimPatience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// claims connects a client that claims to hold a position, as the handshake
// does; between is what happens in the middle of that.
func (s *claimStage) claims(t *testing.T, since canvas.Position, between ...func()) *claimant {
	t.Helper()
	claim := &since
	if s.prepare(t.Context(), since) == hub.FromScratch {
		claim = &canvas.Position{}
	}
	for _, f := range between {
		f()
	}
	c := &claimant{}
	conn := hub.NewConn(c, hub.Binary)
	s.join(conn, claim, func(at canvas.Position, _ hub.Resumption) protocol.ServerMessage {
		return protocol.Connected{ClientID: "client", Pod: "pod", Canvas: "main", Spec: s.canvas.Replica.Spec(), Position: at}
	})
	t.Cleanup(func() { s.hub.Leave(conn) })
	return c
}

// claimant is what a client is sent.
type claimant struct {
	mu   sync.Mutex
	sent []byte
}

func (c *claimant) TryWrite(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, b...)
	return len(b), nil
}

func (c *claimant) WriteAll(b []byte, _ time.Duration) (int, error) { return c.TryWrite(b) }
func (c *claimant) Close() error                                    { return nil }

// positions tells at which positions the client was, one after another, and
// which of them a picture brought.
func (c *claimant) positions(t *testing.T) (all []string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := c.sent; len(rest) > 0; {
		header, size := 2, int(rest[1])
		if size == 126 {
			header, size = 4, int(binary.BigEndian.Uint16(rest[2:]))
		}
		if err := protocol.DecodeServerBinary(rest[header:header+size], func(m protocol.ServerMessage) error {
			switch m := m.(type) {
			case protocol.Connected:
				all = append(all, fmt.Sprintf("connected %d", m.Position.Seq))
			case protocol.SnapshotBegin:
				all = append(all, fmt.Sprintf("picture %d", m.Position.Seq))
			case protocol.Updates:
				all = append(all, fmt.Sprintf("operations %d to %d", m.First, m.First+uint64(len(m.Ops))-1))
			case protocol.Range:
				all = append(all, fmt.Sprintf("range %d to %d", m.Prev+1, m.Seq))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		rest = rest[header+size:]
	}
	return all
}

func (c *claimant) got(t *testing.T, want string) bool {
	t.Helper()
	return fmt.Sprint(c.positions(t)) == want
}

// A client has seen more at another gateway than this one, whose answers from
// Redis are held up. The one that arrives first tells how the log stood before
// the client came: that proves nothing against it.
func TestClaimIsNotJudgedByAnOlderLook(t *testing.T) {
	s := newClaimStage(t)
	s.breaks(t)
	s.canvas.Replica.Refresh()
	older := s.source.next(t)
	at := s.draw(t, 7)
	c := s.claims(t, at)
	close(older.arrive)
	s.await(t, "the gateway says that Redis is back", func() bool { return s.hub.State() == protocol.Live })
	later := s.source.next(t)
	s.source.holds(false)
	close(later.arrive)
	s.await(t, "the gateway has what the client has seen", func() bool { return s.hub.Position() == at && len(s.hub.Ahead()) == 0 })
	s.draw(t, 1)
	s.canvas.Replica.Refresh()
	const want = "[connected 7 operations 8 to 8]"
	s.await(t, "the client gets the next", func() bool { return c.got(t, "[connected 7 operations 8 to 8]") || len(c.positions(t)) > 2 })
	if !c.got(t, want) {
		t.Errorf("the client was at %v, want %s", c.positions(t), want)
	}
}

// What could not be asked when a client came is asked when it can be: one that
// is wrong gets the picture as it is.
func TestWrongClaimGetsThePicture(t *testing.T) {
	s := newClaimStage(t)
	at := s.draw(t, 3)
	s.breaks(t)
	at.Seq = 1000
	c := s.claims(t, at)
	l := s.source.next(t)
	l.err = errors.New("still held up")
	close(l.arrive)
	s.source.holds(false)
	s.await(t, "it gets a picture", func() bool { return len(c.positions(t)) > 1 })
	if want := "[connected 1000 picture 3]"; !c.got(t, want) {
		t.Errorf("the client was at %v, want %s", c.positions(t), want)
	}
}

// begins has the canvas begin anew, of which the gateway is not told.
func (s *claimStage) begins(t *testing.T) {
	t.Helper()
	c := redis.NewClient(s.redis)
	defer c.Close()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.store.Create(t.Context(), "main", canvas.Spec{Width: 20, Height: 20, Background: canvas.White}, 0); err != nil {
		t.Fatal(err)
	}
}

// follow has the gateway read what was drawn.
func (s *claimStage) follow(t *testing.T, at canvas.Position) {
	t.Helper()
	s.canvas.Replica.Refresh()
	s.await(t, "the gateway has it", func() bool { return s.hub.Position() == at })
}

// A client knows that another history has begun before its gateway does: that
// one looks, and does not show what has ended.
func TestNewerEpochIsLookedFor(t *testing.T) {
	s := newClaimStage(t)
	s.follow(t, s.draw(t, 3))
	s.begins(t)
	at := s.draw(t, 2)
	c := s.claims(t, at)
	if s.hub.Position() != at {
		t.Errorf("the gateway is at %v, the log at %v", s.hub.Position(), at)
	}
	s.await(t, "the client is greeted", func() bool { return len(c.positions(t)) > 0 })
	if !c.got(t, "[connected 2]") {
		t.Errorf("the client was at %v", c.positions(t))
	}
}

// A gateway cannot look whether the canvas has begun anew, as a client says, and
// learns it before the client is connected: the client goes on from where it was.
func TestWhatCannotBeJudgedIsLeftToTheJoin(t *testing.T) {
	s := newClaimStage(t)
	s.follow(t, s.draw(t, 3))
	s.breaks(t)
	s.begins(t)
	at := s.draw(t, 2)
	at.Seq = 1
	c := s.claims(t, at, func() {
		s.source.holds(false)
		s.follow(t, canvas.Position{Epoch: at.Epoch, Seq: 2})
		s.await(t, "the gateway remembers what led there", func() bool { return s.hub.Oldest() == 0 })
	})
	s.await(t, "it has what it missed", func() bool { return len(c.positions(t)) > 1 })
	if !c.got(t, "[connected 1 range 2 to 2]") { // one of the two that were drawn at once
		t.Errorf("the client was at %v", c.positions(t))
	}
}

// What a client missed is read from the log, which is that of another history
// by then: nothing of it may reach the client as if it followed what he has.
func TestLogOfAnotherHistoryIsNotGivenOut(t *testing.T) {
	s := newClaimStage(t)
	var at canvas.Position
	for range 5 {
		at = s.draw(t, 1)
		s.follow(t, at)
	}
	if oldest := s.hub.Oldest(); oldest < 2 {
		t.Fatalf("the gateway remembers all from %d on", oldest)
	}
	s.begins(t)
	for range 5 {
		s.draw(t, 1)
	}
	at.Seq = 1
	c := s.claims(t, at)
	s.await(t, "the client has a picture", func() bool { return len(c.positions(t)) > 1 })
	if !c.got(t, "[connected 5 picture 5]") {
		t.Errorf("the client was at %v", c.positions(t))
	}
}
