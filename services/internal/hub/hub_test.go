package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

// stage is a hub with its canvas, run inside a synctest bubble.
type stage struct {
	mu      sync.Mutex
	grid    *canvas.Grid
	at      canvas.Position
	hashes  map[canvas.Position]uint64 // of the canvas at each position
	hub     *Hub
	flusher *Flusher
	metrics *Metrics
	viewers []*viewer
	cancel  context.CancelFunc
	ended   chan struct{}
}

func newStage(spec canvas.Spec, o Options) *stage {
	s := &stage{grid: canvas.NewGrid(spec), at: canvas.Position{Epoch: canvas.Epoch{1}}, ended: make(chan struct{}), hashes: make(map[canvas.Position]uint64)}
	s.metrics = NewMetrics(prometheus.NewRegistry())
	s.flusher = NewFlusher(FlusherOptions{Metrics: s.metrics})
	o.Spec = spec
	o.Freeze = s.freeze
	s.hub = New(s.flusher, o)
	s.hub.Restart(s.at, spec)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.flusher.Run(ctx); close(s.ended) }()
	return s
}

func (s *stage) freeze() (*canvas.Frozen, canvas.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grid.Freeze(), s.at
}

func (s *stage) truth(at canvas.Position) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash, known := s.hashes[at]
	return hash, known
}

// publish appends operations to the canvas and the hub.
func (s *stage) publish(ops ...canvas.Op) {
	s.mu.Lock()
	e := &canvas.Entry{Epoch: s.at.Epoch, First: s.at.Seq + 1, Time: 1700000000000 + int64(s.at.Seq), Ops: ops}
	for i := range ops {
		s.grid.Apply(&ops[i])
		s.at.Seq++
		s.hashes[s.at] = s.grid.Hash()
	}
	s.mu.Unlock()
	s.hub.Publish(e)
}

func (s *stage) join(codec Codec, room int, since *canvas.Position, from *viewer) *viewer {
	v := &viewer{pipe: newPipe(room), codec: codec, reload: s.freeze, truth: s.truth}
	if from != nil {
		v.grid, v.at, v.ahead, v.loaded = from.grid, from.at, from.at, from.loaded
	}
	v.conn = NewConn(v.pipe, codec)
	s.hub.Join(v.conn, since, func(at canvas.Position, _ Resumption) protocol.ServerMessage {
		return protocol.Connected{Position: at, Spec: s.grid.Spec()}
	})
	s.viewers = append(s.viewers, v)
	return v
}

// settle lets everybody read until nothing comes any more.
func (s *stage) settle() {
	for {
		synctest.Wait()
		time.Sleep(time.Millisecond) // of the bubble's clock
		synctest.Wait()
		quiet := true
		for _, v := range s.viewers {
			v.pipe.mu.Lock()
			quiet = quiet && len(v.pipe.buf) == 0
			v.pipe.mu.Unlock()
			v.look()
		}
		if quiet {
			return
		}
	}
}

func (s *stage) close() {
	for _, v := range s.viewers {
		_ = v.pipe.Close()
		s.hub.Leave(v.conn)
	}
	s.cancel()
	<-s.ended
}

func paint(x, y int, c canvas.Color) canvas.Op {
	return canvas.Op{Kind: canvas.Paint, Number: 1, Author: 7, Pixels: []canvas.Pixel{{X: uint16(x), Y: uint16(y), Color: c}}}
}

// check returns what is wrong with any viewer that has read everything.
func (s *stage) check() error {
	for i, v := range s.viewers {
		if len(v.breaches) > 0 {
			return fmt.Errorf("viewer %d (codec %d): %v", i, v.codec, v.breaches)
		}
		if v.closing != 0 {
			continue
		}
		if v.grid == nil {
			return fmt.Errorf("viewer %d (codec %d) has no picture", i, v.codec)
		}
		if v.grid.Hash() != s.grid.Hash() {
			return fmt.Errorf("viewer %d (codec %d) at %d of %d has another picture", i, v.codec, v.at.Seq, s.at.Seq)
		}
		if v.codec != Original && v.at != s.at {
			return fmt.Errorf("viewer %d (codec %d) is at %v, the canvas at %v", i, v.codec, v.at, s.at)
		}
	}
	return nil
}

// Whatever happens (slow readers, resumption, resets, operations that the
// canvas cannot hold, bursts, a new history), each client gets everything in
// order, or a range or picture of the same effect, and ends with the canvas.
func TestEveryViewerConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		small := rapid.Bool().Draw(rt, "little memory")
		side := rapid.IntRange(1, 60).Draw(rt, "side")
		actions := rapid.SliceOfN(rapid.IntRange(0, 99), 1, 120).Draw(rt, "actions")
		var failure error
		synctest.Test(t, func(*testing.T) { failure = play(seed, small, side, actions) })
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

func play(seed uint64, small bool, side int, actions []int) error {
	random := rand.New(rand.NewPCG(seed, 1))
	o := Options{}
	if small {
		o.HistoryOps = 40
	}
	s := newStage(canvas.Spec{Width: side, Height: side, Background: canvas.White}, o)
	defer s.close()
	room := func() int { return []int{1 << 20, 1 << 20, 1000, 9000}[random.IntN(4)] }
	for codec := range codecs {
		s.join(codec, room(), nil, nil)
	}
	for _, a := range actions {
		switch {
		case a < 50:
			var ops []canvas.Op
			for range 1 + random.IntN(5) {
				o := paint(random.IntN(side+1), random.IntN(side), canvas.Color(random.IntN(1<<24))) // some impossible
				o.Pixels = append(o.Pixels, paint(random.IntN(side), random.IntN(side), canvas.Color(random.IntN(1<<24))).Pixels...)
				ops = append(ops, o)
			}
			s.publish(ops...)
		case a < 53:
			s.publish(canvas.Op{Kind: canvas.Reset, Color: canvas.Color(random.IntN(1 << 24))})
		case a < 58: // a burst
			for range random.IntN(300) {
				s.publish(paint(random.IntN(side), random.IntN(side), canvas.Color(random.IntN(1<<24))))
			}
		case a < 62: // a large stroke
			stroke := canvas.Op{Kind: canvas.Paint}
			for range 1 + random.IntN(900) {
				stroke.Pixels = append(stroke.Pixels, paint(random.IntN(side), random.IntN(side), canvas.Color(random.IntN(1<<24))).Pixels...)
			}
			s.publish(stroke)
		case a < 80: // somebody reads
			s.viewers[random.IntN(len(s.viewers))].look()
		case a < 90: // everybody gets his turn
			synctest.Wait()
			time.Sleep(30 * time.Millisecond)
		case a < 93:
			s.join(Codec(random.IntN(int(codecs))), room(), nil, nil)
		case a < 97: // one goes away and comes back
			i := random.IntN(len(s.viewers))
			v := s.viewers[i]
			v.look()
			_ = v.pipe.Close()
			s.hub.Leave(v.conn)
			s.viewers = append(s.viewers[:i], s.viewers[i+1:]...)
			if v.codec == Original || !v.loaded {
				s.join(v.codec, room(), nil, nil) // it cannot say where it is
				continue
			}
			since := v.at
			if v.codec == JSON {
				since.Seq = v.whole
			}
			since.Seq -= min(since.Seq, uint64(random.IntN(3))) // inside an entry, perhaps
			s.join(v.codec, room(), &since, v)
			if len(v.breaches) > 0 {
				return fmt.Errorf("before it left: %v", v.breaches)
			}
		case a < 98:
			s.hub.PingAll()
		default: // the log begins anew
			s.mu.Lock()
			s.at = canvas.Position{Epoch: canvas.NewEpoch(), Seq: uint64(random.IntN(10))}
			s.grid = canvas.NewGrid(s.grid.Spec())
			s.mu.Unlock()
			s.hub.Restart(s.at, s.grid.Spec())
		}
	}
	s.settle()
	if err := s.check(); err != nil {
		return err
	}
	return s.checkBooks()
}

// A client that stops reading costs little, is given a conflated range when it
// reads again, and the others notice nothing.
func TestSlowClientIsConflated(t *testing.T) {
	for codec := range codecs {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(canvas.Spec{Width: 30, Height: 30, Background: canvas.White}, Options{})
				defer s.close()
				slow, quick := s.join(codec, 4096, nil, nil), s.join(codec, 1<<30, nil, nil)
				s.settle()
				for i := range 6000 {
					s.publish(paint(i%20, i%7, canvas.Color(i)))
					quick.look()
					if i%100 == 0 {
						synctest.Wait()
					}
				}
				slow.pipe.mu.Lock()
				held := cap(slow.pipe.buf)
				slow.pipe.mu.Unlock()
				if held > 8192 {
					t.Fatalf("the test's own buffer grew to %d", held)
				}
				if n := testutil.ToFloat64(s.metrics.blocked); n == 0 {
					t.Error("the socket was never full: nothing was tested")
				}
				s.settle()
				if err := s.check(); err != nil {
					t.Error(err)
				}
				if codec == Binary && slow.ranges == 0 {
					t.Error("no conflated range")
				}
				if n := testutil.ToFloat64(s.metrics.ranges); n < 1 || n > 50 {
					t.Errorf("%v ranges for one slow client", n)
				}
			})
		})
	}
}

// Who has left is held by nothing, and gets nothing more.
func TestWhoLeftIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 4, Height: 4, Background: canvas.White}, Options{})
		defer s.close()
		first, gone, last := s.join(Binary, 1<<20, nil, nil), s.join(Binary, 1<<20, nil, nil), s.join(JSON, 1<<20, nil, nil)
		s.settle()
		for range 2 { // a second time it is no news
			s.hub.Leave(gone.conn)
		}
		if all := s.hub.Conns(); s.hub.Len() != 2 || len(all) != 2 || all[0] != first.conn || all[1] != last.conn {
			t.Errorf("%d of 2 connections are left", s.hub.Len())
		}
		s.publish(paint(1, 1, 1))
		s.viewers = []*viewer{first, last}
		s.settle()
		if err := s.check(); err != nil {
			t.Error(err)
		}
		gone.look()
		if gone.at == s.at {
			t.Error("who has left gets updates")
		}
	})
}

// A socket that is full holds up nobody else: the others have everything before
// any time has passed.
func TestFullSocketHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 4, Height: 4, Background: canvas.White}, Options{})
		defer s.close()
		full, quick := s.join(Binary, 10, nil, nil), s.join(Binary, 1<<20, nil, nil)
		for i := range 10 {
			s.publish(paint(i%4, i%3, canvas.Color(i)))
			synctest.Wait()
			quick.look()
		}
		if quick.at != s.at {
			t.Errorf("a client is at %d of %d behind one whose socket is full", quick.at.Seq, s.at.Seq)
		}
		if full.at == s.at || testutil.ToFloat64(s.metrics.blocked) == 0 {
			t.Error("no socket was full: nothing was tested")
		}
		s.settle()
		if err := s.check(); err != nil {
			t.Error(err)
		}
	})
}

// A picture that was made for somebody else is given to one more connection
// only while the history goes on from it: else that connection would be behind
// the history at once, and get the same picture again and again.
func TestPictureMeetsTheHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 4, Height: 4, Background: canvas.White}, Options{HistoryOps: 4})
		defer s.close()
		first := s.join(Binary, 1<<20, nil, nil)
		s.settle()
		_ = first.pipe.Close()
		s.hub.Leave(first.conn)
		s.viewers = nil
		for i := range 10 {
			s.publish(paint(i%4, i%3, canvas.Color(i)))
		}
		late := s.join(Binary, 4096, nil, nil)
		synctest.Wait()
		late.look()
		if late.pictures != 1 {
			t.Fatalf("%d pictures", late.pictures)
		}
		s.settle()
		if err := s.check(); err != nil {
			t.Error(err)
		}
	})
}

// A client that never reads is closed after the time-out, with the code for
// it when its socket takes that much.
func TestSlowClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 10, Height: 10, Background: canvas.White}, Options{})
		defer s.close()
		v := s.join(JSON, 300, nil, nil)
		for i := range 100 {
			s.publish(paint(i%10, 0, canvas.Color(i)))
		}
		time.Sleep(14 * time.Second)
		synctest.Wait()
		select {
		case <-v.pipe.closed:
			t.Fatal("closed before the time-out")
		default:
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for range 200 { // it begins to read: too late, but it learns why
			v.look()
			synctest.Wait()
		}
		select {
		case <-v.pipe.closed:
		default:
			t.Error("still open")
		}
		if v.closing != protocol.CloseSlow || len(v.breaches) > 0 {
			t.Errorf("close code %d, breaches %v", v.closing, v.breaches)
		}
		if n := testutil.ToFloat64(s.metrics.slow); n != 1 {
			t.Errorf("%v slow consumers counted", n)
		}
	})
}

// Everything that is pending goes out in one write, and connections at the
// same position share what is encoded.
func TestPendingTravelsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 10, Height: 10, Background: canvas.White}, Options{})
		defer s.close()
		for range 50 {
			s.join(Binary, 1<<20, nil, nil)
		}
		s.settle()
		s.cancel() // from here on the test does the flusher's rounds
		<-s.ended
		before := testutil.ToFloat64(s.metrics.writes)
		for i := range 20 {
			s.publish(paint(i%10, 1, canvas.Color(i)))
		}
		s.hub.chunks = nil
		s.flusher.round(s.hub)
		if n := testutil.ToFloat64(s.metrics.writes) - before; n != 50 {
			t.Errorf("%v writes for 20 entries to 50 connections", n)
		}
		if n := len(s.hub.chunks); n != 1 {
			t.Errorf("%d chunks were put together", n)
		}
		for _, v := range s.viewers {
			v.look()
		}
		if err := s.check(); err != nil {
			t.Error(err)
		}
	})
}

func TestStateReachesAllAndLatecomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 2, Height: 2, Background: canvas.White}, Options{})
		defer s.close()
		early := s.join(Binary, 1<<20, nil, nil)
		s.settle()
		s.hub.SetState(protocol.Degraded)
		late := s.join(JSON, 1<<20, nil, nil)
		s.settle()
		s.hub.SetState(protocol.Live)
		s.settle()
		if want := "[degraded live]"; fmt.Sprint(early.states) != want || fmt.Sprint(late.states) != want {
			t.Errorf("states %v and %v", early.states, late.states)
		}
	})
}

func TestCloseIsTheLastFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 2, Height: 2, Background: canvas.White}, Options{})
		defer s.close()
		v := s.join(JSON, 1<<20, nil, nil)
		s.settle()
		v.conn.Send(protocol.Ack{Number: 1, Seq: 1})
		v.conn.Close(protocol.CloseRestart, "retry=5")
		v.conn.Send(protocol.Ack{Number: 2, Seq: 2})
		s.publish(paint(0, 0, 1))
		s.settle()
		<-v.conn.Done()
		if v.closing != protocol.CloseRestart || len(v.acks) != 1 || len(v.breaches) > 0 {
			t.Errorf("close %d, acks %v, %v", v.closing, v.acks, v.breaches)
		}
	})
}

// Whoever is closed before it was told the state of the service hears it with
// the close frame.
func TestCloseTellsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 2, Height: 2, Background: canvas.White}, Options{})
		defer s.close()
		v := s.join(JSON, 1<<20, nil, nil)
		s.settle()
		v.conn.blocked.Store(true) // the flusher does not get to it
		s.hub.SetState(protocol.Draining)
		synctest.Wait()
		v.conn.Close(protocol.CloseRestart, "retry=5")
		v.conn.blocked.Store(false)
		s.hub.markDirty(v.conn)
		s.settle()
		if want := "[draining]"; fmt.Sprint(v.states) != want || v.closing != protocol.CloseRestart || len(v.breaches) > 0 {
			t.Errorf("states %v, close %d, %v", v.states, v.closing, v.breaches)
		}
	})
}

// A connection that reads nothing while much is sent to it alone (it floods
// the gateway with rubbish, say) is ended, not fed.
func TestControlQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 2, Height: 2, Background: canvas.White}, Options{})
		defer s.close()
		v := s.join(JSON, 10, nil, nil)
		synctest.Wait()
		for range 10_000 {
			v.conn.Send(protocol.Error{Code: protocol.CodeInvalidPixel, Message: "Invalid pixel data"})
		}
		select {
		case <-v.pipe.closed:
		default:
			t.Error("still open")
		}
	})
}

func TestExtendOnlyFillsUpToTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 2, Height: 2, Background: canvas.White}, Options{HistoryOps: 4})
		defer s.close()
		var old []*canvas.Entry
		for i := range 10 {
			s.publish(paint(0, 0, canvas.Color(i)))
			old = append(old, &canvas.Entry{Epoch: s.at.Epoch, First: uint64(i + 1), Ops: []canvas.Op{paint(0, 0, canvas.Color(i))}})
		}
		if n := s.hub.Oldest(); n != 6 {
			t.Fatalf("oldest %d", n)
		}
		s.hub.Extend(s.at.Epoch, old[2:4]) // a hole before the oldest held
		if n := s.hub.Oldest(); n != 6 {
			t.Fatalf("oldest %d after a hole", n)
		}
		s.hub.Extend(s.at.Epoch, old[2:8]) // overlaps what is held
		if n := s.hub.Oldest(); n != 2 {
			t.Fatalf("oldest %d", n)
		}
	})
}

// What was read of a history that has ended meanwhile does not get into the
// next one.
func TestExtendOfAnEndedHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := canvas.Spec{Width: 2, Height: 2, Background: canvas.White}
		s := newStage(spec, Options{})
		defer s.close()
		ended, next := s.at.Epoch, canvas.Epoch{2}
		old := []*canvas.Entry{{Epoch: ended, First: 1, Ops: []canvas.Op{paint(0, 0, 1), paint(0, 0, 2)}}}
		s.hub.Restart(canvas.Position{Epoch: next, Seq: 2}, spec)
		s.hub.Extend(ended, old)
		if n := s.hub.Oldest(); n != 2 {
			t.Errorf("the history reaches back to %d", n)
		}
		s.hub.Extend(next, old) // entries from before the epoch began, read in it
		if n := s.hub.Oldest(); n != 0 {
			t.Errorf("the history reaches back to %d", n)
		}
	})
}

// A connection at rest costs little.
func TestMemoryOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 50, Height: 50, Background: canvas.White}, Options{})
		defer s.close()
		const n = 2000
		pipes := make([]*pipe, n)
		for i := range pipes {
			pipes[i] = newPipe(1 << 30)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, p := range pipes {
			c := NewConn(p, Binary)
			s.hub.Join(c, nil, func(at canvas.Position, _ Resumption) protocol.ServerMessage {
				return protocol.Connected{Position: at, Spec: s.grid.Spec()}
			})
			s.viewers = append(s.viewers, &viewer{pipe: p, conn: c, codec: Binary})
		}
		s.settle()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := int64(after.HeapAlloc-before.HeapAlloc) / n; each > 2048 {
			t.Errorf("%d bytes for a connection at rest", each)
		}
	})
}

// Under overload live writes are conflated; their latency counts all the same.
func TestLatencyOfConflatedWrites(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := NewFlusher(FlusherOptions{Metrics: NewMetrics(registry), Now: func() time.Time { return time.Unix(105, 0) }})
	spec := canvas.Spec{Width: 64, Height: 64}
	h := New(f, Options{Spec: spec})
	h.Restart(canvas.Position{Epoch: canvas.Epoch{1}}, spec)
	h.Join(NewConn(&sinkhole{}, JSON), nil, func(at canvas.Position, _ Resumption) protocol.ServerMessage {
		return protocol.Connected{Position: at}
	})
	f.round(h)
	for i := range uint64(2) { // together more than one write carries
		e := &canvas.Entry{Epoch: canvas.Epoch{1}, First: 300*i + 1}
		for j := range 300 {
			o := paint(j%64, j/64, 1)
			o.Received = time.Unix(100+int64(i), 0).UnixMicro() // the oldest: 5 s ago
			e.Ops = append(e.Ops, o)
		}
		h.Publish(e)
	}
	f.round(h)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(f.metrics.ranges); n != 1 {
		t.Fatalf("%v conflated ranges", n)
	}
	for _, family := range families {
		if family.GetName() == "pixel_broadcast_latency_seconds" {
			if m := family.GetMetric()[0].GetHistogram(); m.GetSampleCount() != 1 || m.GetSampleSum() != 5 {
				t.Errorf("%d samples, in all %v s", m.GetSampleCount(), m.GetSampleSum())
			}
		}
	}
}
