package model

import (
	"context"
	"fmt"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/internal/store"
)

func liveMessages(t *rapid.T) step {
	to := aProcess(t)
	are := rapid.SampledFrom([]weather{losing, patchy, waiting, doubled, calm}).Draw(t, "live messages are")
	return func(w *world) {
		p := w.process(to)
		w.note("live messages to %s from now on: %s", p.name, are)
		p.setWeather(are)
	}
}

func lateMessages(t *rapid.T) step {
	to := aProcess(t)
	order := rapid.SampledFrom([]string{"in order", "backwards", "in disorder"}).Draw(t, "late messages come")
	return func(w *world) {
		p := w.process(to)
		n := p.bringLate(func(n int) int {
			switch order {
			case "backwards":
				return n - 1
			case "in disorder":
				return (n*7 + 3) % n
			}
			return 0
		})
		w.note("%d late messages come to %s %s", n, p.name, order)
	}
}

func armFault(t *rapid.T) step {
	of := aProcess(t)
	f := rapid.SampledFrom([]fate{answerLost, vanishes, held, answerHeld}).Draw(t, "fate")
	on := appending
	if f == held || f == answerHeld {
		on = rapid.SampledFrom([]command{appending, reading}).Draw(t, "command")
	}
	return func(w *world) {
		p := w.process(of)
		w.note("the next %s of %s %s", on, p.name, f)
		p.arm(on, f)
	}
}

func releaseHeld(t *rapid.T) step {
	of := aProcess(t)
	return func(w *world) {
		p := w.process(of)
		w.note("what is held up at %s goes on", p.name)
		w.release(of)
	}
}

// release lets all go on that is held up at a process.
func (w *world) release(of int) {
	if of < gateways {
		w.gateways[of].release()
		return
	}
	k := w.keepers[of-gateways]
	w.endTrims(k, k.release)
}

func breakSubscription(t *rapid.T) step {
	of := aProcess(t)
	return func(w *world) {
		p := w.process(of)
		w.note("the subscription of %s breaks", p.name)
		p.cutSubscription()
	}
}

// someStrokes are operations that are under way when something happens.
func someStrokes(t *rapid.T) []scribble {
	all := make([]scribble, rapid.IntRange(0, 3).Draw(t, "operations under way"))
	for i := range all {
		all[i] = drawScribble(t, 1)
	}
	return all
}

// crashGateway ends a gateway while its clients send; they go elsewhere, or to
// the one that is started in its place.
func crashGateway(t *rapid.T) step {
	i := aGateway(t)
	during := someStrokes(t)
	to := rapid.IntRange(0, gateways-1).Draw(t, "clients go to")
	return func(w *world) {
		old := w.gateways[i]
		w.note("%s crashes with %d operations of each client under way; its clients go to gateway %d of %d", old.name, len(during), to+1, gateways)
		w.cuts++
		var moved []*seat
		for _, s := range w.seats {
			if s.via == i {
				moved = append(moved, s)
				for _, x := range during {
					w.send(s, x)
				}
			}
		}
		connected := make([]uint64, len(moved))
		for n, s := range moved {
			connected[n] = s.Stats().Connected
			s.goesTo(to)
		}
		fresh := w.newGateway()
		w.mu.Lock()
		w.gateways[i] = fresh
		w.mu.Unlock()
		w.tally.gateway(old)
		old.crash()
		w.ended = append(w.ended, old.ended)
		for n, s := range moved {
			w.awaitResumed(s, connected[n])
		}
	}
}

// awaitResumed waits until a client has what it missed, unless a fault is in
// the way.
func (w *world) awaitResumed(s *seat, connected uint64) {
	ready := w.isReady(s, connected)
	w.eventually("a client comes back", func() string {
		return fmt.Sprintf("%s: %v, %v", s.name, s.State(), s.LastError())
	}, func() bool { return !w.clear(s) || ready() })
}

func crashAPI(t *rapid.T) step {
	i := anAPI(t)
	return func(w *world) {
		old := w.keepers[i]
		w.note("%s crashes", old.name)
		fresh := w.newKeeper()
		w.mu.Lock()
		w.keepers[i] = fresh
		w.mu.Unlock()
		old.crash()
		w.ended = append(w.ended, old.ended)
		// Nobody hears any more what became of its writes.
		var rest []*write
		for _, x := range w.writes {
			if x.by != old || isDone(x.done) {
				rest = append(rest, x)
			}
		}
		w.writes = rest
	}
}

func moveClient(t *rapid.T) step {
	who, to := aClient(t), aGateway(t)
	during := someStrokes(t)
	return func(w *world) {
		s := w.seats[who]
		w.note("the connection of %s breaks with %d operations under way; it goes to gateway %d of %d", s.name, len(during), to+1, gateways)
		w.cuts++
		for _, x := range during {
			w.send(s, x)
		}
		connected := s.Stats().Connected
		s.goesTo(to)
		s.cut()
		w.awaitResumed(s, connected)
	}
}

func clientLeaves(t *rapid.T) step {
	who := aClient(t)
	return func(w *world) {
		s := w.seats[who]
		w.note("%s leaves", s.name)
		w.cuts++
		s.setOnline(false)
		s.cut()
	}
}

func clientReturns(t *rapid.T) step {
	who, to := aClient(t), aGateway(t)
	return func(w *world) {
		s := w.seats[who]
		if s.canTalk() {
			return
		}
		connected := s.Stats().Connected
		w.note("%s returns to gateway %d of %d", s.name, to+1, gateways)
		s.goesTo(to)
		s.setOnline(true)
		s.stall(false)
		s.cut()
		w.awaitResumed(s, connected)
	}
}

func stopReading(t *rapid.T) step {
	who := aClient(t)
	return func(w *world) {
		s := w.seats[who]
		w.note("%s stops reading", s.name)
		w.cuts++ // it may be closed for that
		s.stall(true)
	}
}

func readOn(t *rapid.T) step {
	who := aClient(t)
	return func(w *world) {
		s := w.seats[who]
		w.note("%s reads on", s.name)
		s.stall(false)
	}
}

// checkpoint stores the picture that an api has, be it old.
func checkpoint(t *rapid.T) step {
	by := anAPI(t)
	return func(w *world) {
		k := w.keepers[by]
		f, at, stamp := k.canvas.Replica.Freeze()
		w.note("%s, which is at %d, saves a checkpoint", k.name, at.Seq)
		w.still(func(ctx context.Context) {
			w.capture()
			cp := &store.Checkpoint{Position: at, Time: stamp, Grid: f}
			if err := w.store.SaveCheckpoint(ctx, mainCanvas, cp, k.base); err == nil {
				k.base = cp
			}
			w.checkStored(ctx)
		})
	}
}

// trim has an api trim the log, perhaps late: it begins, and ends when what is
// held up at the api goes on, whatever has become of the log meanwhile.
func trim(t *rapid.T) step {
	by := anAPI(t)
	late := rapid.Bool().Draw(t, "late")
	return func(w *world) {
		k := w.keepers[by]
		w.note("%s trims the log; its command is held up: %v", k.name, late)
		f := k.arm(trimming, held)
		done := make(chan error, 1)
		go func() {
			ctx, cancel := w.deadline()
			defer cancel()
			_, err := k.store.Trim(ctx, mainCanvas)
			done <- err
		}()
		k.trims = append(k.trims, done)
		w.eventually("the log is trimmed", says(k.name), func() bool { return isDone(f.fired) || len(done) > 0 })
		if !late {
			w.endTrims(k, func() { k.free(f) })
		}
	}
}

// endTrims lets trims go on and waits until they have ended. What they may cut
// is recorded before.
func (w *world) endTrims(k *keeper, goOn func()) {
	w.still(func(context.Context) { w.capture() })
	goOn()
	var held []chan error
	for _, done := range k.trims {
		if k.holds(trimming) && len(done) == 0 {
			held = append(held, done)
			continue
		}
		w.eventually("a trim ends", says(k.name), func() bool { return len(done) > 0 })
	}
	k.trims = held
	w.still(func(ctx context.Context) {
		w.capture()
		w.checkStored(ctx)
	})
}

func (w *world) checkStored(ctx context.Context) {
	if err := w.history.checkStored(ctx); err != nil {
		panic(err)
	}
}
