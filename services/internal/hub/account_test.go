package hub

import (
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// books are the sums of all accounts.
type books struct{ owed, delivered, undelivered, confirmed, unconfirmed float64 }

func (s *stage) books() books {
	return books{
		owed: testutil.ToFloat64(s.metrics.owed), delivered: total(s.metrics.delivered), undelivered: total(s.metrics.undelivered),
		confirmed: testutil.ToFloat64(s.metrics.confirmed), unconfirmed: testutil.ToFloat64(s.metrics.unconfirmed),
	}
}

// checkBooks checks that the books balance when everybody has read everything,
// when all have answered a ping, and when all have left.
func (s *stage) checkBooks() error {
	s.settle()
	if b := s.books(); b.owed != b.delivered+b.undelivered {
		return fmt.Errorf("all have read everything, and still %+v", b)
	}
	s.hub.PingAll()
	s.settle()
	if b := s.books(); b.delivered != b.confirmed+b.unconfirmed {
		return fmt.Errorf("all have answered, and still %+v", b)
	}
	for _, v := range s.viewers {
		_ = v.pipe.Close()
		s.hub.Leave(v.conn)
	}
	b := s.books()
	if b.owed != b.delivered+b.undelivered || b.delivered != b.confirmed+b.unconfirmed {
		return fmt.Errorf("all have left, and still %+v", b)
	}
	s.publish(paint(0, 0, 1)) // owed to nobody
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if after := s.books(); after != b || s.hub.owing != 0 || s.hub.ahead != 0 {
		return fmt.Errorf("nobody is there, and still %+v became %+v; %d are owed something, %d ahead", b, after, s.hub.owing, s.hub.ahead)
	}
	return nil
}

func (s *stage) want(t *testing.T, what string, want books) {
	t.Helper()
	if got := s.books(); got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func accounted(t *testing.T, f func(t *testing.T, s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 10, Height: 10, Background: canvas.White}, Options{})
		defer s.close()
		f(t, s)
		if err := s.checkBooks(); err != nil {
			t.Error(err)
		}
	})
}

// total adds up counters.
func total(all map[string]prometheus.Counter) (sum float64) {
	for _, c := range all {
		sum += testutil.ToFloat64(c)
	}
	return sum
}

// What is delivered is what was owed, to the operation, however it travelled.
func TestDeliveryIsAccounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 10, Height: 10, Background: canvas.White}, Options{})
		defer s.close()
		s.publish(paint(0, 0, 1), paint(1, 1, 1))
		s.join(Binary, 1<<20, nil, nil)
		s.join(JSON, 200, nil, nil)
		for i := range 3000 {
			s.publish(paint(i%10, i%3, canvas.Color(i)))
			if i%10 == 0 {
				synctest.Wait()
			}
		}
		s.settle()
		late := s.at
		late.Seq -= 100
		s.join(Binary, 1<<20, &late, s.viewers[0]) // owed: the 100 that it missed
		s.publish(paint(2, 2, 2))
		s.settle()
		s.hub.PingAll()
		s.settle()
		const want = 3000 + 3000 + 100 + 3
		owed, delivered, confirmed := testutil.ToFloat64(s.metrics.owed), total(s.metrics.delivered), testutil.ToFloat64(s.metrics.confirmed)
		if owed != want || delivered != want || confirmed != want {
			t.Errorf("owed %v, delivered %v, confirmed %v; want %d", owed, delivered, confirmed, want)
		}
	})
}

// A write that fails has delivered nothing.
func TestFailedWriteDeliversNothing(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		v := s.join(Binary, 1<<20, nil, nil)
		s.settle()
		s.publish(paint(0, 0, 1))
		s.settle()
		_ = v.pipe.Close()
		s.publish(paint(0, 0, 2), paint(0, 0, 3))
		synctest.Wait()
		s.want(t, "the socket is closed", books{owed: 3, delivered: 1, undelivered: 2})
		s.publish(paint(0, 0, 4)) // before its reader notices: it is owed nothing more
		s.hub.Leave(v.conn)
		s.want(t, "it has left", books{owed: 3, delivered: 1, undelivered: 2, unconfirmed: 1})
		if n := testutil.ToFloat64(s.metrics.undelivered[missedBroken]); n != 2 {
			t.Errorf("%v are undelivered because the connection broke", n)
		}
	})
}

// What waits for a full socket is delivered when the socket has taken all of
// it, and never when the client does not read.
func TestFullSocketIsNoDelivery(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		reads, stops := s.join(Binary, 600, nil, nil), s.join(Binary, 600, nil, nil)
		s.settle()
		for range 50 {
			s.publish(paint(1, 1, 5), paint(2, 2, 6))
		}
		synctest.Wait()
		before := s.books()
		if before.owed != 200 || before.delivered > 150 {
			t.Fatalf("the sockets were not full: %+v", before)
		}
		reads.look()
		synctest.Wait()
		for range 100 {
			reads.look()
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if now := s.books(); now.delivered <= before.delivered || now.delivered >= 200 {
			t.Errorf("after one of two has read: %+v, before %+v", now, before)
		}
		time.Sleep(time.Minute) // the other one is given up
		synctest.Wait()
		if n := testutil.ToFloat64(s.metrics.undelivered[missedSlow]); n == 0 || n > 100 {
			t.Errorf("%v are undelivered to a client that does not read", n)
		}
		s.hub.Leave(stops.conn)
	})
}

// A full socket that breaks is no slow client.
func TestBrokenWhileFull(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		v := s.join(Binary, 300, nil, nil)
		s.settle()
		for range 50 {
			s.publish(paint(1, 1, 5), paint(2, 2, 6))
		}
		synctest.Wait()
		_ = v.pipe.Close()
		synctest.Wait()
		if n := testutil.ToFloat64(s.metrics.undelivered[missedBroken]); n == 0 {
			t.Error("nothing is undelivered because the connection broke")
		}
		if n := testutil.ToFloat64(s.metrics.slow); n != 0 {
			t.Errorf("%v slow clients", n)
		}
		s.hub.Leave(v.conn)
	})
}

// What was owed when the history ended is written off, and the next one begins
// with clean books; a pong from before proves nothing of it.
func TestNewHistoryWritesOff(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		s.join(Binary, 1<<20, nil, nil)
		behind := s.join(Binary, 300, nil, nil)
		s.settle()
		s.publish(paint(1, 1, 1))
		synctest.Wait()
		s.hub.PingAll()
		s.settle()
		for range 40 {
			s.publish(paint(1, 1, 5), paint(2, 2, 6))
		}
		synctest.Wait()
		before := s.books()
		s.mu.Lock()
		s.at = canvas.Position{Epoch: canvas.Epoch{2}, Seq: 5}
		s.grid = canvas.NewGrid(s.grid.Spec())
		s.mu.Unlock()
		s.hub.Restart(s.at, s.grid.Spec())
		b := s.books()
		if missed := testutil.ToFloat64(s.metrics.undelivered[missedEpoch]); missed != before.owed-before.delivered || missed == 0 {
			t.Errorf("%v are written off, of %+v", missed, before)
		}
		if b.owed != b.delivered+b.undelivered || b.delivered != b.confirmed+b.unconfirmed {
			t.Errorf("the old books do not balance: %+v", b)
		}
		s.settle() // the rest of a write of the old history comes to an end now
		if now := s.books(); now != b {
			t.Errorf("a picture of the new history changed the books: %+v, then %+v", b, now)
		}
		var old [pingSize]byte
		old[7] = 5 // position 5, era 0
		behind.conn.Received(old[:])
		s.publish(paint(3, 3, 3))
		s.settle()
		if now := s.books(); now.owed != b.owed+2 || now.delivered != b.delivered+2 || now.confirmed != b.confirmed {
			t.Errorf("one operation for two: %+v, before %+v", now, b)
		}
	})
}

// Who has seen more at another gateway is not owed it here.
func TestAheadIsNotOwedWhatItHolds(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		s.publish(paint(0, 0, 1))
		other := s.join(Binary, 1<<20, nil, nil)
		s.settle()
		since := s.at
		since.Seq += 3
		v := s.join(Binary, 1<<20, &since, other)
		v.grid = canvas.NewGrid(s.grid.Spec())
		s.publish(paint(0, 0, 2), paint(0, 0, 3)) // of these it holds both
		s.publish(paint(0, 0, 4), paint(0, 0, 5)) // of these one
		s.settle()
		s.want(t, "four operations", books{owed: 4 + 1, delivered: 4 + 1})
		v.breaches = nil // its picture is not that of the position, here
	})
}

// Who has seen more at another gateway waits for what follows: neither an outage
// that ends nor a picture that is loaded anew takes it back, as long as the log
// does not say that its claim is wrong.
func TestAheadIsNotTakenBack(t *testing.T) {
	for _, codec := range []Codec{Binary, JSON} {
		accounted(t, func(t *testing.T, s *stage) {
			s.publish(paint(0, 0, 1))
			other := s.join(codec, 1<<20, nil, nil)
			s.settle()
			other.grid = canvas.NewGrid(s.grid.Spec())
			since := s.at
			since.Seq += 2
			right := s.join(codec, 1<<20, &since, other)
			since.Seq++
			wrong := s.join(codec, 1<<20, &since, other)
			s.settle()
			right.at.Seq = s.at.Seq + 2
			before := s.books()
			if ahead := s.hub.Ahead(); len(ahead) != 2 {
				t.Fatalf("%d are ahead", len(ahead))
			}
			frames := right.frames
			s.hub.SetState(protocol.Degraded)
			s.hub.SetState(protocol.Live)
			s.settle()
			s.hub.Restart(s.at, s.grid.Spec()) // loaded anew: the same history
			s.settle()
			if came := right.frames - frames; came != 1 || right.pictures != 0 || right.at.Seq != s.at.Seq+2 {
				t.Errorf("%d frames, %d pictures, at %d", came, right.pictures, right.at.Seq) // one frame: the state
			}
			ahead := s.hub.Ahead()
			s.publish(paint(0, 0, 2), paint(0, 0, 3))
			s.hub.Disprove(ahead)
			s.settle()
			if right.conn.Written() != s.at.Seq || right.pictures != 0 || len(s.hub.Ahead()) != 0 {
				t.Errorf("%d pictures, at %d", right.pictures, right.conn.Written())
			}
			if wrong.conn.Written() != s.at.Seq || codec == Binary && (wrong.pictures != 1 || wrong.at != s.at) {
				t.Errorf("a wrong claim: %d pictures, at %v of %v", wrong.pictures, wrong.at, s.at)
			}
			b := s.books()
			if b.owed-before.owed != 2 || b.delivered-before.delivered != 2 { // the first one's
				t.Errorf("%+v, before %+v", b, before)
			}
			s.publish(paint(0, 0, 4))
			s.settle()
			if now := s.books(); now.owed-b.owed != 3 || now.delivered-b.delivered != 3 {
				t.Errorf("%+v after one for all, before %+v", now, b)
			}
			right.breaches, wrong.breaches = nil, nil // their pictures are not those of the positions, here
		})
	}
}

// Only a claim makes a connection ahead: neither a picture that is newer than
// what was published, nor positions that the log has lost.
func TestOnlyAClaimIsAhead(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		s.publish(paint(0, 0, 1), paint(0, 0, 2))
		v := s.join(Binary, 1<<20, nil, nil)
		s.settle()
		v.conn.cursor.Store(s.at.Seq + 1) // after a picture that was frozen before its last entry is published
		s.hub.Disprove([]*Conn{v.conn})
		s.settle()
		if s.hub.IsAhead(v.conn) || v.pictures != 1 || s.hub.ahead != 0 {
			t.Errorf("ahead: %v, %d pictures, %d ahead", s.hub.IsAhead(v.conn), v.pictures, s.hub.ahead)
		}
		v.conn.cursor.Store(s.at.Seq)
		s.mu.Lock()
		s.at.Seq--
		s.mu.Unlock()
		s.hub.Restart(s.at, s.grid.Spec())
		s.settle()
		if v.pictures != 2 {
			t.Errorf("%d pictures after the log has lost what the connection was given", v.pictures)
		}
		v.breaches = nil // the picture is that of two operations, here
	})
}

// Closed in an orderly way: what was pending is owed by who resumes, and the
// answer to the close frame proves the rest.
func TestClosedConnection(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		v := s.join(Binary, 1<<20, nil, nil)
		s.publish(paint(0, 0, 1))
		s.settle()
		s.cancel() // from here on the test does the flusher's rounds
		<-s.ended
		s.publish(paint(0, 0, 2))
		v.conn.Close(1012, "retry=0")
		s.flusher.round(s.hub)
		s.publish(paint(0, 0, 3))
		s.want(t, "the close frame is out", books{owed: 2, delivered: 1, undelivered: 1})
		if n := testutil.ToFloat64(s.metrics.undelivered[missedClosed]); n != 1 {
			t.Errorf("%v are undelivered because of the close", n)
		}
		v.conn.Answered()
		s.hub.Leave(v.conn)
		s.want(t, "it is answered", books{owed: 2, delivered: 1, undelivered: 1, confirmed: 1})
	})
}

// A pong says that what was before its ping has arrived, and nothing else.
func TestPongProvesWhatWasBeforeItsPing(t *testing.T) {
	accounted(t, func(t *testing.T, s *stage) {
		v := s.join(Binary, 1<<20, nil, nil)
		s.settle()
		s.publish(paint(0, 0, 1))
		synctest.Wait()
		s.hub.PingAll()
		synctest.Wait()
		s.publish(paint(0, 0, 2)) // behind the ping
		synctest.Wait()
		v.look()
		s.want(t, "the pong is here", books{owed: 2, delivered: 2, confirmed: 1})
		lie := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, 9), s.hub.era) // position 9
		v.conn.Received(lie)
		v.conn.Received(lie[:8])
		s.want(t, "a pong to no ping is here", books{owed: 2, delivered: 2, confirmed: 1})
	})
}

// A ping that is not answered when the next is due is counted.
func TestHeartbeatsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 10, Height: 10, Background: canvas.White}, Options{})
		defer s.close()
		s.join(Binary, 1<<20, nil, nil)
		silent := s.join(Binary, 1<<20, nil, nil)
		s.settle()
		for range 3 {
			s.hub.PingAll()
			synctest.Wait()
			s.viewers[0].look()
		}
		if n := testutil.ToFloat64(s.metrics.missed); n != 2 {
			t.Errorf("%v heartbeats missed, of one client that missed two", n)
		}
		silent.look()
		s.hub.PingAll()
		synctest.Wait()
		if n := testutil.ToFloat64(s.metrics.missed); n != 2 {
			t.Errorf("%v heartbeats missed after it answered", n)
		}
		if n := testutil.ToFloat64(s.metrics.pings); n != 8 {
			t.Errorf("%v pings", n)
		}
	})
}

// Frames are counted as the client counts them.
func TestFramesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 100, Height: 100, Background: canvas.White}, Options{})
		defer s.close()
		for codec := range codecs {
			s.join(codec, 1<<20, nil, nil)
			s.join(codec, 9000, nil, nil)
		}
		for i := range 400 {
			s.publish(paint(i%100, i/100, canvas.Color(i)), paint(i%100, 7, 1))
			if i%50 == 0 {
				s.settle()
			}
		}
		s.hub.PingAll()
		s.settle()
		seen := 0
		for _, v := range s.viewers {
			seen += v.frames
		}
		if n := testutil.ToFloat64(s.metrics.frames); n != float64(seen) || seen < 500 {
			t.Errorf("%v frames counted, %d seen", n, seen)
		}
	})
}

// The debug address shows who lags.
func TestCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 10, Height: 10, Background: canvas.White}, Options{})
		defer s.close()
		s.join(Binary, 1<<20, nil, nil)
		s.join(JSON, 300, nil, nil)
		s.settle()
		for range 100 {
			s.publish(paint(1, 1, 1))
			synctest.Wait()
		}
		s.viewers[0].look()
		synctest.Wait()
		c := s.hub.Counters(1)
		if c.Connections != 2 || c.Codecs["binary"] != 1 || c.Codecs["json"] != 1 || c.Blocked != 1 || len(c.Slowest) != 1 {
			t.Fatalf("%+v", c)
		}
		if k := c.Slowest[0]; k.Codec != "json" || !k.Blocked || k.Lag != c.MaxLag || k.Lag == 0 || k.Written > k.Cursor {
			t.Errorf("%+v", c)
		}
	})
}
