package replica

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func submitAll(t *testing.T, d *desk, c *clerk, numbers ...uint64) {
	t.Helper()
	for _, n := range numbers {
		if err := c.submit(d.writer, n); err != nil {
			t.Fatal(err)
		}
	}
}

// What comes during an append travels in the next: one batch, no timer.
func TestBatchesGrowWithTheLoad(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		gate := make(chan struct{})
		d.log.set(func() { d.log.gate = gate })
		c := newClerk()
		submitAll(t, d, c, 1)
		synctest.Wait()
		submitAll(t, d, c, 2, 3, 4)
		d.log.set(func() { d.log.gate = nil })
		close(gate)
		expect(t, d)
		if len(d.log.appends) != 2 || !slices.Equal(d.log.appends[1], []uint64{2, 3, 4}) {
			t.Errorf("appends %v", d.log.appends)
		}
	})
}

// A batch whose outcome is unknown is tried again as it was, and what came
// later does not overtake it. Were 2 appended first, 1 would count as a
// duplicate of the session and be lost.
func TestRetryIsNotOvertaken(t *testing.T) {
	for name, lose := range map[string]func(*fakeLog){
		"the call was lost":  func(l *fakeLog) { l.loseCall = 2 },
		"the reply was lost": func(l *fakeLog) { l.loseReply = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, d *desk) {
				d.log.set(func() { lose(d.log) })
				c := newClerk()
				submitAll(t, d, c, 1)
				synctest.Wait()
				submitAll(t, d, c, 2, 3)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				expect(t, d)
				if got := d.log.appends; len(got) < 3 || !slices.Equal(got[0], []uint64{1}) || !slices.Equal(got[1], []uint64{1}) || !slices.Equal(got[2], []uint64{1}) {
					t.Errorf("appends %v", d.log.appends)
				}
				if !slices.Equal(c.appended, []uint64{1, 2, 3}) || d.log.head != 3 {
					t.Errorf("appended %v, head %d", c.appended, d.log.head)
				}
			})
		})
	}
}

// A refusal takes along what waits behind it: were 3 appended, 2 would count
// as a duplicate when it is sent again, and be lost without a word.
func TestRefusalTakesAlongWhatWaits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		gate := make(chan struct{})
		d.log.set(func() { d.log.gate = gate })
		mine, other := newClerk(), newClerk()
		submitAll(t, d, mine, 1)
		synctest.Wait()
		d.log.set(func() { d.log.full = 1 }) // for the first append only
		submitAll(t, d, mine, 2, 3)
		submitAll(t, d, other, 1)
		d.log.set(func() { d.log.gate = nil })
		close(gate)
		synctest.Wait()
		if !slices.Equal(mine.refused, []uint64{1, 2, 3}) {
			t.Errorf("refused %v", mine.refused)
		}
		submitAll(t, d, mine, 1, 2, 3)
		synctest.Wait()
		if !slices.Equal(mine.appended, []uint64{1, 2, 3}) {
			t.Errorf("appended %v", mine.appended)
		}
		expect(t, d)
	})
}

// The session moves to another connection while a refusal goes round: what that
// one submits before it has heard is refused as well.
func TestRefusalReachesANewerOwner(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		heard := false
		newer := &moving{clerk: newClerk()}
		submit := func(n uint64) {
			err := d.writer.Submit(&Submission{Owner: newer, AppendOp: store.AppendOp{
				Session: newer.session, TTL: time.Hour, Op: numbered(n),
			}}, nil)
			if err != nil {
				t.Error(err)
			}
		}
		newer.then = func() {
			if !heard { // it was just submitting the next
				heard = true
				submit(4)
			}
		}
		older := &moving{clerk: newClerk(), then: func() { submit(3) }}
		newer.session = older.session
		d.log.set(func() { d.log.full = 1 })
		err := d.writer.Submit(&Submission{Owner: older, AppendOp: store.AppendOp{
			Session: older.session, TTL: time.Hour, Op: numbered(2),
		}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !slices.Equal(newer.refused, []uint64{3, 4}) || d.log.head != 0 {
			t.Errorf("refused %v, appended %v: operation 2 can no longer be appended", newer.refused, newer.appended)
		}
	})
}

// moving is an owner whose session is taken over at the moment of a refusal.
type moving struct {
	*clerk
	then func()
}

func (m *moving) Refused(s *Submission, err error) {
	m.clerk.Refused(s, err)
	m.then()
}

// An operation that is in the log already is a success, also in a batch that
// the log has no room for.
func TestRepeatedInARefusedBatch(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		c := newClerk()
		submitAll(t, d, c, 1)
		synctest.Wait()
		gate := make(chan struct{})
		d.log.set(func() { d.log.gate, d.log.full = gate, 1 })
		other := newClerk()
		submitAll(t, d, other, 1) // its append is under way: the next two share one
		synctest.Wait()
		d.log.set(func() { d.log.gate, d.log.full = nil, 2 })
		submitAll(t, d, c, 1, 2)
		close(gate)
		synctest.Wait()
		if !slices.Equal(c.appended, []uint64{1, 1}) || !slices.Equal(c.refused, []uint64{2}) {
			t.Errorf("appended %v, refused %v", c.appended, c.refused)
		}
	})
}

// "Refused" is only said of what certainly was not appended: once the outcome
// of a try was unknown, a later try that is turned away proves nothing.
func TestUncertainIsNotRefused(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.loseReply = 1 })
		c := newClerk()
		submitAll(t, d, c, 1)
		synctest.Wait()
		d.log.set(func() { d.log.rejects = true })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(c.refused) > 0 {
			t.Fatal("refused, though it is in the log")
		}
		d.log.set(func() { d.log.rejects = false })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !slices.Equal(c.appended, []uint64{1}) || d.log.head != 1 {
			t.Errorf("appended %v, head %d", c.appended, d.log.head)
		}
	})
}

func TestRejectedIsRefused(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.rejects = true })
		c := newClerk()
		submitAll(t, d, c, 1, 2)
		synctest.Wait()
		if !slices.Equal(c.refused, []uint64{1, 2}) || !d.writer.Idle() {
			t.Errorf("refused %v", c.refused)
		}
	})
}

// An append in an epoch that has ended appends nothing; it is done again when
// the replica has the new one.
func TestAppendAcrossAnEpoch(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		c := newClerk()
		submitAll(t, d, c, 1, 2)
		synctest.Wait()
		d.log.mu.Lock()
		d.log.entries, d.log.head = nil, 0
		clear(d.log.sessions)
		d.log.mu.Unlock()
		submitAll(t, d, c, 3)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		expect(t, d)
		if !slices.Equal(c.appended, []uint64{1, 2, 3}) || d.log.head != 1 {
			t.Errorf("appended %v, head %d", c.appended, d.log.head)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		d := newDesk(l, nil)
		defer d.close()
		synctest.Wait()
		d.writer.mu.Lock()
		d.writer.o.MaxQueue = 10_000
		d.writer.mu.Unlock()
		l.set(func() { l.down = true })
		c := newClerk()
		n := uint64(0)
		for {
			n++
			if err := c.submit(d.writer, n); err != nil {
				if !errors.Is(err, ErrQueueFull) {
					t.Fatal(err)
				}
				break
			}
			if n > 10_000 {
				t.Fatal("the queue has no bound")
			}
		}
		l.set(func() { l.down = false })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		expect(t, d)
		if c.acked != n-1 {
			t.Errorf("acknowledged up to %d of %d", c.acked, n-1)
		}
		if b := testutil.ToFloat64(d.metrics.queueBytes); b != 0 {
			t.Errorf("%v bytes left in the queue", b)
		}
	})
}

// What still waits when the writer ends is refused: it certainly was not
// appended.
func TestCloseRefusesWhatWaits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.gate = make(chan struct{}) })
		c := newClerk()
		submitAll(t, d, c, 1)
		synctest.Wait()
		submitAll(t, d, c, 2, 3)
		d.close()
		if !slices.Equal(c.refused, []uint64{2, 3}) || len(c.appended) != 0 {
			t.Errorf("refused %v, appended %v", c.refused, c.appended)
		}
		if err := c.submit(d.writer, 4); !errors.Is(err, ErrClosed) {
			t.Errorf("submit after the end: %v", err)
		}
	})
}

// Batches keep to what one append may carry.
func TestBatchLimits(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		gate := make(chan struct{})
		d.log.set(func() { d.log.gate = gate })
		c := newClerk()
		for n := range uint64(2*store.MaxBatchOps + 10) {
			submitAll(t, d, c, n+1)
		}
		d.log.set(func() { d.log.gate = nil })
		close(gate)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, batch := range d.log.appends {
			if len(batch) > store.MaxBatchOps {
				t.Errorf("%d operations in a batch", len(batch))
			}
		}
		expect(t, d)
	})
}
