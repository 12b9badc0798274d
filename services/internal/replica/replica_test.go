package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

// inBubble runs f with a replica that has caught up, on a clock of its own.
func inBubble(t *testing.T, change func(*fakeLog, *Options), f func(t *testing.T, d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		d := newDesk(l, func(o *Options) {
			if change != nil {
				change(l, o)
			}
		})
		defer d.close()
		synctest.Wait()
		f(t, d)
	})
}

func expect(t *testing.T, d *desk) {
	t.Helper()
	synctest.Wait()
	if what := d.differs(); what != "" {
		t.Error(what)
	}
}

func TestLiveMessagesAreApplied(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.foreign(dot(1, 1, 5), dot(2, 2, 6))
		d.log.foreign(dot(1, 1, 7))
		expect(t, d)
		if n := d.log.reads; n > 1 {
			t.Errorf("%d reads of the log", n)
		}
	})
}

// Who waits for a position goes on when the observer knows of it, not before:
// what the observer passes on must not be older than what he then relies on.
func TestWhoWaitsComesAfterTheObserver(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		now, cancel := context.WithCancel(t.Context())
		cancel()
		early := 0
		d.witness.during = func(e *canvas.Entry) {
			if d.replica.WaitFor(now, canvas.Position{Epoch: e.Epoch, Seq: e.Last()}) == nil {
				early++
			}
		}
		d.log.foreign(dot(1, 1, 5), dot(2, 2, 6))
		expect(t, d)
		if early != 0 {
			t.Error("the position counted as reached before the observer knew of it")
		}
		if err := d.replica.WaitFor(now, d.replica.Position()); err != nil {
			t.Error(err)
		}
	})
}

// A gap is repaired from the log before anything behind it is applied.
func TestGapIsRepaired(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		d.log.foreign(dot(1, 1, 5))
		d.log.foreign(dot(1, 1, 6), dot(1, 2, 6))
		d.log.set(func() { d.log.publish = nil })
		d.log.foreign(dot(1, 1, 7))
		expect(t, d)
		if testutil.ToFloat64(d.metrics.gaps) != 1 || testutil.ToFloat64(d.metrics.repairs) != 4 {
			t.Error("the gap was not counted")
		}
	})
}

func TestRepeatedAndLateMessagesAreDropped(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.foreign(dot(1, 1, 5))
		d.log.foreign(dot(1, 1, 6))
		for _, e := range []int{1, 0, 0, 1} {
			d.log.event(store.Event{Kind: store.Live, Entry: d.log.entries[e]})
		}
		expect(t, d)
		if n := testutil.ToFloat64(d.metrics.duplicates); n != 4 {
			t.Errorf("%v duplicates", n)
		}
	})
}

// A message that begins before the replica's position and ends after it gives
// its newer part.
func TestStraddlingMessage(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() {
			d.log.publish = func(e *canvas.Entry) {
				cut := *e
				cut.Ops = e.Ops[:1]
				d.log.send(&cut)
				d.log.send(e)
			}
		})
		d.log.foreign(dot(1, 1, 5), dot(1, 1, 6), dot(1, 1, 7))
		expect(t, d)
	})
}

// The last message on a quiet canvas is lost: no later one shows the gap. The
// look at the head, each second, finds it.
func TestLastMessageLost(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		d.log.foreign(dot(1, 1, 5))
		time.Sleep(1300 * time.Millisecond)
		synctest.Wait()
		expect(t, d)
	})
}

// After an append of its own process the replica need not wait for the second
// to pass.
func TestOwnAppendWithoutMessage(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		time.Sleep(1300 * time.Millisecond) // well between two looks at the head
		synctest.Wait()
		checks := d.log.counted()
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		c := newClerk()
		if err := c.submit(d.writer, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		expect(t, d)
		if d.log.counted() != checks {
			t.Error("it was the look at the head that found it: the test proves nothing")
		}
	})
}

// Whatever was published while the subscription was away is found when it is
// confirmed again.
func TestConfirmedAgain(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		time.Sleep(1300 * time.Millisecond)
		synctest.Wait()
		d.log.event(store.Event{Kind: store.Lost})
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		d.log.foreign(dot(1, 1, 5))
		d.log.event(store.Event{Kind: store.Confirmed})
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		expect(t, d)
	})
}

// Messages that come while the replica loads are not lost: they are in the log
// or behind what was read.
func TestMessagesDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.foreign(dot(0, 0, 1))
		n := 0
		l.afterRead = func() { // somebody writes after each read
			if n++; n < 5 {
				l.foreign(dot(n, n, 9))
			}
		}
		d := newDesk(l, func(o *Options) { o.ReadLimit = 1 })
		defer d.close()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		expect(t, d)
	})
}

// What is written before the subscription is confirmed is published to nobody
// here: the load has to come after the confirmation, or it would be missed.
func TestLoadWaitsForTheConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.slow = true
		d := newDesk(l, nil)
		defer d.close()
		synctest.Wait()
		l.foreign(dot(1, 1, 5))
		l.set(func() { l.slow = false })
		l.event(store.Event{Kind: store.Confirmed})
		expect(t, d)
	})
}

// A read waits for a fetch of the head that began after it came, never for one
// that was under way: that one may not know of a write that the reader has
// seen acknowledged.
func TestSyncUsesALaterFetch(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		time.Sleep(1300 * time.Millisecond)
		synctest.Wait()
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} }) // only a fetch can tell
		checks := d.log.counted()
		gate := make(chan struct{})
		d.log.set(func() { d.log.gate = gate })
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- d.replica.Sync(context.Background()) }()
		synctest.Wait()             // its fetch is under way, held at the gate
		d.log.foreign(dot(1, 1, 5)) // somebody writes, hears that it is done, and reads
		go func() {
			err := d.replica.Sync(context.Background())
			if at := d.replica.Position(); at.Seq != 1 {
				err = errors.Join(err, fmt.Errorf("the second read is answered at %d, after a write at 1", at.Seq))
			}
			second <- err
		}()
		synctest.Wait()
		d.log.set(func() { d.log.gate = nil })
		gate <- struct{}{} // the first fetch answers: nothing new
		synctest.Wait()
		if got := d.log.counted() - checks; got != 2 {
			t.Fatalf("%d fetches for two reads of which the second came during the first", got)
		}
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		// Many that wait share one.
		checks = d.log.counted()
		gate = make(chan struct{})
		d.log.set(func() { d.log.gate = gate })
		results := make(chan error, 100)
		for range 100 {
			go func() { results <- d.replica.Sync(context.Background()) }()
		}
		synctest.Wait()
		d.log.set(func() { d.log.gate = nil })
		close(gate)
		for range 100 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if got := d.log.counted() - checks; got > 2 {
			t.Errorf("%d fetches for 100 reads at once", got)
		}
	})
}

// The history that a read found is over before the replica has it: what it has
// then is newer than the read, and the read does not wait for what never comes.
func TestSyncOutlivesItsHistory(t *testing.T) {
	for _, found := range []string{"another epoch", "a later position"} {
		inBubble(t, nil, func(t *testing.T, d *desk) {
			d.log.foreign(dot(1, 1, 5))
			synctest.Wait()
			gate := make(chan struct{})
			d.log.set(func() {
				d.log.publish = func(*canvas.Entry) {} // only a fetch can tell
				d.log.gate = gate
				if found == "another epoch" {
					d.log.epoch = canvas.NewEpoch()
				}
			})
			d.log.foreign(dot(2, 2, 6))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			read := make(chan error, 1)
			go func() { read <- d.replica.Sync(ctx) }()
			gate <- struct{}{} // the fetch is answered; what it makes the replica do is held
			synctest.Wait()
			d.log.set(func() {
				d.log.epoch, d.log.head, d.log.entries, d.log.gate = canvas.NewEpoch(), 0, nil, nil
			})
			close(gate)
			if err := <-read; err != nil {
				t.Errorf("%s: %v", found, err)
			}
			expect(t, d)
		})
	}
}

// A history is being loaded that is over by the time when somebody asks: it
// does not answer him.
func TestSyncIsNotAnsweredByAnEarlierLoad(t *testing.T) {
	for _, loaded := range []string{"all but its name", "all, but the observer does not know"} {
		inBubble(t, nil, func(t *testing.T, d *desk) {
			d.log.foreign(dot(1, 1, 5))
			synctest.Wait()
			anew := func() {
				d.log.set(func() { d.log.epoch, d.log.head, d.log.entries = canvas.NewEpoch(), 0, nil })
			}
			read, asked, gate := make(chan error, 1), make(chan struct{}), make(chan struct{})
			var written canvas.Epoch
			ask := sync.OnceFunc(func() {
				anew()
				d.log.foreign(dot(3, 3, 7)) // acknowledged
				written = d.log.epoch
				go func() { read <- d.replica.Sync(t.Context()) }()
				synctest.Wait()
				d.log.set(func() { d.log.gate = gate }) // what is loaded next takes its time
				close(asked)
			})
			anew()
			if loaded == "all but its name" {
				d.log.set(func() { d.log.afterLook = ask })
			} else {
				d.witness.mu.Lock()
				d.witness.beginning = ask
				d.witness.mu.Unlock()
			}
			d.replica.Refresh()
			<-asked
			synctest.Wait()
			select {
			case err := <-read:
				t.Errorf("%s: answered at %v, %v", loaded, d.replica.Position(), err)
			default:
			}
			d.log.set(func() { d.log.gate = nil })
			close(gate)
			synctest.Wait()
			if at := d.replica.Position(); at.Epoch != written || at.Seq != 1 {
				t.Errorf("%s: the replica is at %v", loaded, at)
			}
			select {
			case err := <-read:
				if err != nil {
					t.Errorf("%s: %v", loaded, err)
				}
			default:
				t.Errorf("%s: not answered", loaded)
			}
			expect(t, d)
		})
	}
}

// A canvas is loaded anew while the log has lost its end, of which nobody knows
// yet: that is a new history.
func TestReloadNoticesALostEnd(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		for i := range 5 {
			d.log.foreign(dot(i, i, 5))
		}
		synctest.Wait()
		before := d.replica.Position()
		d.log.set(func() { d.log.entries, d.log.head = d.log.entries[:2], 2 })
		d.replica.Suspect()
		synctest.Wait()
		if at := d.replica.Position(); at.Epoch == before.Epoch || at.Seq != 2 {
			t.Errorf("at %v, before the loss at %v", at, before)
		}
		expect(t, d)
	})
}

// Read after write: what was acknowledged before the read is in the picture
// when Sync returns, though no live message came.
func TestSyncWaitsForThePicture(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		for i := range 20 {
			d.log.foreign(dot(i%8, 1, canvas.Color(i+1)))
			if err := d.replica.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
			if c, _ := d.replica.At(i%8, 1); c != canvas.Color(i+1) {
				t.Fatalf("read %v after write %d", c, i+1)
			}
		}
	})
}

func TestSyncIsBounded(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.down = true })
		if err := d.replica.Sync(context.Background()); !errors.Is(err, ErrBehind) {
			t.Errorf("Redis away: %v", err)
		}
		gate := make(chan struct{})
		d.log.set(func() { d.log.down, d.log.gate = false, gate })
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if err := d.replica.Sync(ctx); !errors.Is(err, ErrBehind) {
			t.Errorf("Redis hangs: %v", err)
		}
		close(gate)
	})
}

// The observer hears that the log is away, and that it is back only when the
// replica has caught up with it.
func TestReachable(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.down = true })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		d.log.foreign(dot(1, 1, 5))
		d.log.set(func() { d.log.down = false })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		expect(t, d)
		if got := fmt.Sprint(d.witness.reachable); got != "[true false true]" {
			t.Errorf("reachable %v", got)
		}
	})
}

// Redis was restarted with another history: everything is loaded again, and
// nothing of the two is mixed.
func TestNewEpoch(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		for i := range 5 {
			d.log.foreign(dot(i, i, 5))
		}
		synctest.Wait()
		d.log.mu.Lock() // rolled back to 2, then somebody noticed and went on
		d.log.entries, d.log.head, d.log.epoch = d.log.entries[:2], 2, canvas.NewEpoch()
		d.log.mu.Unlock()
		d.log.foreign(dot(7, 7, 9))
		time.Sleep(time.Millisecond)
		synctest.Wait()
		expect(t, d)
		if d.witness.restarts != 2 {
			t.Errorf("%d restarts", d.witness.restarts)
		}
	})
}

// The next number of another epoch is not the next operation: between the two
// histories everything may differ.
func TestForeignMessagesAreNotApplied(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.foreign(dot(1, 1, 5))
		synctest.Wait()
		d.log.set(func() { // the same length, with something else in it
			d.log.epoch = canvas.NewEpoch()
			d.log.entries[0] = &canvas.Entry{Epoch: d.log.epoch, First: 1, Ops: []canvas.Op{dot(2, 2, 6)}}
		})
		d.log.foreign(dot(3, 3, 7))
		time.Sleep(time.Millisecond)
		expect(t, d)
		if d.witness.restarts != 2 || testutil.ToFloat64(d.metrics.foreign) != 1 {
			t.Errorf("%d restarts", d.witness.restarts)
		}
	})
}

// A new epoch counts, whether its token is smaller or greater than the one
// before.
func TestEpochsHaveNoOrder(t *testing.T) {
	for _, next := range []canvas.Epoch{{15: 1}, {0: 255, 1: 255, 2: 255, 3: 255}} {
		t.Run(next.String(), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, d *desk) {
				d.log.foreign(dot(1, 1, 5))
				synctest.Wait()
				d.log.set(func() { d.log.epoch, d.log.head, d.log.entries = next, 0, nil })
				time.Sleep(3 * time.Second)
				expect(t, d)
			})
		})
	}
}

// A log that is shorter than what this replica has seen is another history,
// though nobody else noticed.
func TestRolledBack(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		for i := range 5 {
			d.log.foreign(dot(i, i, 5))
		}
		synctest.Wait()
		d.log.mu.Lock()
		d.log.entries, d.log.head = d.log.entries[:2], 2
		before := d.log.epoch
		d.log.mu.Unlock()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		expect(t, d)
		if d.log.epoch == before {
			t.Error("the epoch is the same")
		}
	})
}

// The epoch changes in the middle of a load: entries of the new history must
// not be applied to a picture of the old one.
func TestEpochChangesDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		for i := range 6 {
			l.foreign(dot(i, 0, 1))
		}
		reads := 0
		l.afterRead = func() {
			if reads++; reads == 3 {
				l.mu.Lock()
				l.entries, l.head, l.epoch = nil, 0, canvas.NewEpoch()
				l.mu.Unlock()
				for i := range 8 {
					l.foreign(dot(i, 1, 2))
				}
			}
		}
		d := newDesk(l, func(o *Options) { o.ReadLimit = 1 })
		defer d.close()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		expect(t, d)
	})
}

// A repair that reads entries of another history stops and looks again.
func TestRepairMeetsAnotherHistory(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.foreign(dot(1, 1, 5))
		synctest.Wait()
		at := d.replica.Position()
		d.log.mu.Lock()
		d.log.entries, d.log.head, d.log.epoch = nil, 0, canvas.NewEpoch()
		d.log.publish = func(*canvas.Entry) {}
		d.log.mu.Unlock()
		for i := range 4 {
			d.log.foreign(dot(i, 3, 9))
		}
		at.Seq = 3 // what an append in the old epoch would have promised
		d.replica.Expect(at)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		expect(t, d)
	})
}

// No live message comes, and appends never pause: the repair must not be put
// off by each of them anew.
func TestRepairUnderSteadyAppends(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		c := newClerk()
		for n := range uint64(200) {
			submitAll(t, d, c, n+1)
			time.Sleep(20 * time.Millisecond)
			synctest.Wait()
			if held := d.replica.Position().Seq; n > 10 && held+10 < n {
				t.Fatalf("at %d of %d", held, n+1)
			}
		}
	})
}

// Redis tells the head but the log cannot be read: the clients must know that
// their picture grows old.
func TestUnreadableLogIsDegraded(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.set(func() {
			d.log.publish = func(*canvas.Entry) {}
			d.log.readFails = true
		})
		d.log.foreign(dot(1, 1, 5))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if d.replica.Reachable() {
			t.Error("it says that all is well")
		}
		d.log.set(func() { d.log.readFails = false })
		time.Sleep(3 * time.Second)
		expect(t, d)
		if !d.replica.Reachable() {
			t.Error("it does not recover")
		}
	})
}

// Another process noticed first that everything was lost and began the canvas
// anew: the last picture is handed over all the same.
func TestRescueWhenSomebodyElseRecreated(t *testing.T) {
	var rescued *canvas.Frozen
	spec := canvas.Spec{Width: 8, Height: 8, Background: canvas.White}
	inBubble(t, func(_ *fakeLog, o *Options) {
		o.Recreate = &spec
		o.Rescue = func(_ string, _ canvas.Position, f *canvas.Frozen) { rescued = f }
	}, func(t *testing.T, d *desk) {
		d.log.foreign(dot(3, 3, 0xABCDEF))
		synctest.Wait()
		d.log.set(func() { d.log.missing = true })
		if _, _, err := d.log.Create(context.Background(), "main", spec, 0); err != nil {
			t.Fatal(err)
		}
		// And others draw: the new history is longer than the old one was.
		for i := range 3 {
			d.log.foreign(dot(i, 0, 1))
		}
		time.Sleep(3 * time.Second)
		expect(t, d)
		if rescued == nil || rescued.At(3, 3) != 0xABCDEF {
			t.Error("the picture is gone")
		}
	})
}

// The log is trimmed while it is read from before the checkpoint: what is
// remembered for those who resume has no hole.
func TestTrimmedDuringLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		for i := range 12 {
			l.foreign(dot(i%8, 0, canvas.Color(i)))
		}
		grid, at := l.truth()
		l.checkpoint = &store.Checkpoint{Position: at, Grid: grid.Freeze()}
		l.foreign(dot(1, 1, 77))
		reads := 0
		l.afterRead = func() {
			if reads++; reads == 2 {
				l.set(func() { l.entries = l.entries[6:] })
			}
		}
		d := newDesk(l, func(o *Options) { o.ReadLimit = 2 })
		defer d.close()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(d.witness.breaches) > 0 || len(d.witness.recent) < 5 {
			t.Errorf("%v, %d recent entries", d.witness.breaches, len(d.witness.recent))
		}
	})
}

// Redis lost everything: the canvas begins anew, blank, after its last picture
// was handed over.
func TestLostCanvasIsRescued(t *testing.T) {
	var rescued *canvas.Frozen
	var at canvas.Position
	spec := canvas.Spec{Width: 8, Height: 8, Background: canvas.White}
	inBubble(t, func(_ *fakeLog, o *Options) {
		o.Recreate = &spec
		o.Rescue = func(_ string, p canvas.Position, f *canvas.Frozen) { at, rescued = p, f }
	}, func(t *testing.T, d *desk) {
		d.log.foreign(dot(3, 3, 0xABCDEF))
		synctest.Wait()
		held := d.replica.Position()
		d.log.mu.Lock()
		d.log.missing = true
		d.log.mu.Unlock()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		expect(t, d)
		if rescued == nil || rescued.At(3, 3) != 0xABCDEF || at != held {
			t.Errorf("rescued %v at %v", rescued, at)
		}
	})
}

// Behind a trimmed log only the checkpoint helps.
func TestTrimmedBehindTheReplica(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.foreign(dot(0, 0, 1))
		synctest.Wait()
		d.log.set(func() { d.log.publish = func(*canvas.Entry) {} })
		for i := range 6 {
			d.log.foreign(dot(i, i, 5))
		}
		grid, at := d.log.truth()
		d.log.mu.Lock()
		d.log.checkpoint = &store.Checkpoint{Position: at, Grid: grid.Freeze()}
		all := d.log.entries
		d.log.entries = all[6:]
		d.log.mu.Unlock()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		d.log.set(func() { d.log.entries = all }) // for the comparison
		expect(t, d)
	})
}

// At the start entries before the checkpoint are read for those who resume,
// but not applied.
func TestRecentEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		for i := range 10 {
			l.foreign(dot(i%8, 0, canvas.Color(i)), dot(i%8, 1, canvas.Color(i)))
		}
		grid, at := l.truth()
		l.checkpoint = &store.Checkpoint{Position: at, Grid: grid.Freeze()}
		l.foreign(dot(1, 1, 77))
		d := newDesk(l, func(o *Options) { o.Recent = 6 })
		defer d.close()
		expect(t, d)
		if n := len(d.witness.recent); n < 3 || n > 5 {
			t.Errorf("%d recent entries", n)
		}
	})
}

// A record of another release is never skipped: the replica stops.
func TestUnknownVersionStops(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.event(store.Event{Kind: store.Unreadable, Err: fmt.Errorf("%w: 9", store.ErrVersion)})
		synctest.Wait()
		at := d.replica.Position()
		d.log.foreign(dot(1, 1, 5))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if d.replica.Position() != at || !errors.Is(d.replica.Err(), store.ErrVersion) {
			t.Errorf("at %v, error %v", d.replica.Position(), d.replica.Err())
		}
		if err := d.replica.Sync(context.Background()); err == nil {
			t.Error("a stopped replica says that it is up to date")
		}
		if len(d.witness.stopped) != 1 || !errors.Is(d.witness.stopped[0], store.ErrVersion) {
			t.Errorf("the observer heard %v", d.witness.stopped)
		}
		// Nothing is appended that this process could not show, also when the
		// epoch is another by now.
		d.log.set(func() { d.log.epoch = canvas.NewEpoch() })
		c := newClerk()
		submitAll(t, d, c, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(c.refused) != 1 || len(d.log.appends) > 3 {
			t.Errorf("refused %v after %d calls", c.refused, len(d.log.appends))
		}
	})
}

// A replica whose memory went bad is caught by the checkpoint's hash and made
// anew.
func TestDivergenceIsFoundAndMended(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, d *desk) {
		d.log.foreign(dot(1, 1, 5))
		synctest.Wait()
		d.replica.mu.Lock()
		d.replica.grid.Set(4, 4, 0x123456)
		d.replica.frozen = nil
		d.replica.mu.Unlock()
		d.log.foreign(dot(1, 2, 5))
		synctest.Wait()
		if d.differs() == "" {
			t.Fatal("the replica does not differ")
		}
		grid, at := d.log.truth()
		d.log.mu.Lock()
		d.log.mark = &store.Mark{Position: at, Hash: grid.Hash()}
		d.log.mu.Unlock()
		time.Sleep(11 * time.Second)
		synctest.Wait()
		expect(t, d)
		if n := testutil.ToFloat64(d.metrics.audits.WithLabelValues("different")); n != 1 {
			t.Errorf("%v differences counted", n)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if n := testutil.ToFloat64(d.metrics.audits.WithLabelValues("equal")); n < 1 {
			t.Error("the mended replica was not compared again")
		}
	})
}

// Whatever becomes of the messages (lost, repeated, late), of Redis and of the
// epoch, the observer sees every entry in order, and the replica ends with the
// log's picture.
func TestReplicaFollowsUnderAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		actions := rapid.SliceOfN(rapid.IntRange(0, 99), 1, 150).Draw(rt, "actions")
		var failure string
		synctest.Test(t, func(*testing.T) { failure = follow(seed, actions) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

func follow(seed uint64, actions []int) string {
	random := rand.New(rand.NewPCG(seed, 2))
	l := newFakeLog()
	var held []*canvas.Entry
	fate := rand.New(rand.NewPCG(seed, 3)) // of messages; used under the log's lock
	l.publish = func(e *canvas.Entry) {
		switch fate.IntN(5) {
		case 0: // lost
		case 1: // late
			held = append(held, e)
		case 2: // twice
			l.send(e)
			l.send(e)
		default:
			l.send(e)
		}
	}
	d := newDesk(l, nil)
	defer d.close()
	clerks := []*clerk{newClerk(), newClerk()}
	next := []uint64{1, 1}
	for _, a := range actions {
		switch {
		case a < 40:
			l.foreign(dot(random.IntN(9), random.IntN(8), canvas.Color(random.IntN(1<<24))))
		case a < 60:
			i := random.IntN(2)
			_ = clerks[i].submit(d.writer, next[i])
			next[i]++
		case a < 70: // something late arrives
			l.mu.Lock()
			if len(held) > 0 {
				i := random.IntN(len(held))
				l.send(held[i])
				held = append(held[:i], held[i+1:]...)
			}
			l.mu.Unlock()
		case a < 85:
			time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
			synctest.Wait()
		case a < 88:
			l.mu.Lock()
			l.down = !l.down
			l.mu.Unlock()
		case a < 91:
			l.event(store.Event{Kind: store.Confirmed})
		case a < 94:
			l.mu.Lock()
			l.loseReply++
			l.mu.Unlock()
		case a < 97:
			l.mu.Lock()
			l.loseCall++
			l.mu.Unlock()
		default: // rolled back: what was lost is lost, but all agree
			l.mu.Lock()
			cut := random.IntN(len(l.entries) + 1)
			l.entries = l.entries[:cut:cut]
			l.head = 0
			if cut > 0 {
				l.head = l.entries[cut-1].Last()
			}
			l.epoch = canvas.NewEpoch()
			for s, state := range l.sessions {
				if state.Seq > l.head {
					delete(l.sessions, s)
				}
			}
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	l.down, l.loseCall, l.loseReply = false, 0, 0
	l.mu.Unlock()
	time.Sleep(20 * time.Second)
	synctest.Wait()
	synctest.Wait()
	if what := d.differs(); what != "" {
		return what
	}
	for i, c := range clerks {
		c.mu.Lock()
		if len(c.refused) > 0 || len(c.appended) != int(next[i]-1) {
			return fmt.Sprintf("of %d operations %d were appended and %d refused", next[i]-1, len(c.appended), len(c.refused))
		}
		c.mu.Unlock()
	}
	return ""
}
