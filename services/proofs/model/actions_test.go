package model

import (
	"context"
	"fmt"
	"runtime"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// actions are what may happen. Some stand there twice: they are what gives the
// others something to break.
func (w *world) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"draw":              w.draw,
		"draw again":        w.draw,
		"draw more":         w.draw,
		"draw much":         w.flood,
		"draw much again":   w.flood,
		"draw by REST":      w.drawByREST,
		"read by REST":      w.readByREST,
		"overlapping reads": w.overlappingReads,
		"weather":           w.changeWeather,
		"what is late":      w.deliverLate,
		"fault":             w.armFault,
		"fault again":       w.armFault,
		"release":           w.releaseHeld,
		"subscription":      w.loseSubscription,
		"crash of gateway":  w.crashGateway,
		"crash of api":      w.crashKeeper,
		"client moves":      w.moveClient,
		"client moves more": w.moveClient,
		"client goes":       w.leave,
		"client comes":      w.comeBack,
		"stop reading":      w.stopReading,
		"read on":           w.readOn,
		"checkpoint":        w.saveCheckpoint,
		"trim":              w.trim,
		"back up":           w.takeBackup,
		"restore":           w.restore,
		"lose everything":   w.loseEverything,
		"restart unnoticed": w.anotherRun,
		"settle":            func(t *rapid.T) { w.note("all settles"); w.settle() },
	}
}

func (w *world) seat(t *rapid.T) *seat {
	return w.seats[rapid.IntRange(0, len(w.seats)-1).Draw(t, "client")]
}

func (w *world) keeper(t *rapid.T) *keeper {
	return w.keepers[rapid.IntRange(0, len(w.keepers)-1).Draw(t, "api")]
}

func (w *world) process(t *rapid.T) *process {
	i := rapid.IntRange(0, len(w.gateways)+len(w.keepers)-1).Draw(t, "process")
	if i < len(w.gateways) {
		return &w.gateways[i].process
	}
	return &w.keepers[i-len(w.gateways)].process
}

// pixels returns a stroke with a mark of its own.
func (w *world) pixels(t *rapid.T, most int) []canvas.Pixel {
	n := 1
	if most > 1 {
		n = rapid.IntRange(1, most).Draw(t, "pixels")
	}
	seed := rapid.IntRange(0, 1<<12).Draw(t, "where")
	s := w.settings.spec
	all := make([]canvas.Pixel, n)
	for i := range all {
		at := (seed + i*i) % s.Cells()
		all[i] = canvas.Pixel{X: uint16(at % s.Width), Y: uint16(at / s.Width), Color: marked | canvas.Color(seed*31+i*257)&(marked-1)}
	}
	all[0].Color = w.nextMark
	w.nextMark++
	return all
}

// sent draws a stroke and remembers it.
func (w *world) sent(s *seat, pixels []canvas.Pixel, bad bool) stroke {
	number, err := s.Draw(context.Background(), pixels...)
	if err != nil {
		w.fail("%s cannot draw: %v", s.name, err)
	}
	d := stroke{mark: pixels[0].Color, number: number, bad: bad, after: w.losses}
	s.drawn = append(s.drawn, d)
	return d
}

// answered waits until a client has heard what became of an operation, unless
// a fault is in the way.
func (w *world) answered(s *seat, d stroke) {
	ctx, cancel := w.deadline()
	defer cancel()
	ok := poll(ctx, func() bool {
		if !w.clear(s) {
			return true
		}
		if d.number != 0 {
			return s.isAnswered(d.number)
		}
		_, err := s.Ping(ctx)
		return err == nil
	})
	if !ok {
		w.fail("%s: operation %d is not answered; %v, %v, %+v", s.name, d.number, s.State(), s.LastError(), s.Stats())
	}
}

// draw has a client send some operations at once.
func (w *world) draw(t *rapid.T) {
	s := w.seat(t)
	most := 1
	if s.codec == 0 {
		most = 5
	}
	n := rapid.IntRange(1, 6).Draw(t, "operations")
	w.note("%s draws %d operations", s.name, n)
	var last stroke
	for range n {
		pixels := w.pixels(t, most)
		bad := rapid.IntRange(0, 9).Draw(t, "outside") == 9
		if bad {
			pixels[0].X = uint16(w.settings.spec.Width)
		}
		last = w.sent(s, pixels, bad)
	}
	w.answered(s, last)
}

// flood has a client paint so much that who does not read falls behind.
func (w *world) flood(t *rapid.T) {
	s := w.seats[rapid.IntRange(0, 1).Draw(t, "client")]
	n := rapid.IntRange(1, 12).Draw(t, "operations")
	if w.settings.queue < 64<<10 {
		n = min(n, 2) // else most of the time goes by with waiting to be let in
	}
	w.note("%s draws %d operations of 2000 pixels", s.name, n)
	seed := rapid.IntRange(0, 1<<12).Draw(t, "where")
	var last stroke
	for k := range n {
		pixels := make([]canvas.Pixel, 2000)
		for i := range pixels {
			at := (seed + k + i*7) % w.settings.spec.Cells()
			pixels[i] = canvas.Pixel{X: uint16(at % w.settings.spec.Width), Y: uint16(at / w.settings.spec.Width), Color: marked | canvas.Color(seed*77+k*1009+i*4099)&(marked-1)}
		}
		pixels[0].Color = w.nextMark
		w.nextMark++
		last = w.sent(s, pixels, false)
	}
	w.answered(s, last)
}

// drawByREST writes or resets by an api, and checks that another one shows it.
func (w *world) drawByREST(t *rapid.T) {
	k := w.keeper(t)
	o := canvas.Op{Kind: canvas.Paint}
	if rapid.IntRange(0, 4).Draw(t, "reset") == 4 {
		o = canvas.Op{Kind: canvas.Reset, Color: canvas.Color(rapid.IntRange(0, 1<<24-1).Draw(t, "colour"))}
		w.note("a reset by %s", k.name)
	} else {
		o.Pixels = w.pixels(t, 5)
		w.note("a write by %s", k.name)
	}
	x := w.submit(k, o)
	w.finished(x)
}

func (w *world) submit(k *keeper, o canvas.Op) *write {
	x, err := k.submit(o)
	if err != nil {
		w.fail("%s does not take a write: %v", k.name, err)
	}
	w.writes = append(w.writes, x)
	return x
}

// finished waits for a write, unless a fault is in the way.
func (w *world) finished(x *write) {
	w.eventually(func() string { return "a write by " + x.by.name + " is answered" }, func() bool {
		return isDone(x.done) || x.by.holds(appending) || x.by.holds(checking) || x.by.holds(reading)
	})
}

// known is the highest position of an epoch that anybody was told.
func (w *world) known() (at canvas.Position) {
	w.still(func(ctx context.Context) {
		w.capture()
		at = canvas.Position{Epoch: w.history.epoch, Seq: w.history.now.head()}
		if !w.history.named {
			at = canvas.Position{} // no history goes on for now
		}
	})
	return at
}

// readByREST reads the picture from an api: it must have all that was in the
// log before.
func (w *world) readByREST(t *rapid.T) {
	k := w.keeper(t)
	if k.holds(checking) || k.holds(reading) {
		return
	}
	w.note("a read by %s", k.name)
	w.read(k, w.known())
}

func (w *world) read(k *keeper, known canvas.Position) {
	ctx, cancel := w.deadline()
	defer cancel()
	f, at, err := k.picture(ctx)
	if err != nil {
		w.fail("a read by %s: %v", k.name, err)
	}
	if at.Epoch == known.Epoch && at.Seq < known.Seq {
		w.fail("a read by %s shows the canvas at %d; before, the log had %d already", k.name, at.Seq, known.Seq)
	}
	w.still(func(context.Context) { w.capture() })
	if want, ok := w.history.at(at); !ok || want != f.Hash() {
		w.fail("a read by %s shows another picture at %v than the log (known: %v)", k.name, at, ok)
	}
}

// overlappingReads has a read begin while the look at the head of an earlier
// one is still under way, and something is written between.
func (w *world) overlappingReads(t *rapid.T) {
	k := w.keeper(t)
	s := w.seats[rapid.IntRange(0, 1).Draw(t, "client")]
	if k.holds(checking) || k.holds(reading) || !w.clear(s) {
		return
	}
	w.note("%s reads; before it has heard where the log ends, %s draws, and another read begins", k.name, s.name)
	k.setWeather(losing)
	f := k.arm(checking, answerHeld)
	first := make(chan error, 1)
	ctx, cancel := w.deadline()
	defer cancel()
	go func() {
		_, _, err := k.picture(ctx)
		first <- err
	}()
	select {
	case <-f.fired:
	case <-ctx.Done():
		w.fail("%s does not look at the log", k.name)
	}
	w.answered(s, w.sent(s, w.pixels(t, 1), false))
	known := w.known()
	second := make(chan func(), 1)
	go func() {
		f, at, err := k.picture(ctx)
		second <- func() {
			switch {
			case err != nil:
				w.fail("the second read by %s: %v", k.name, err)
			case at.Epoch == known.Epoch && at.Seq < known.Seq:
				w.fail("a read by %s shows the canvas at %d; before it began, the log had %d already", k.name, at.Seq, known.Seq)
			case f == nil:
			}
		}
	}()
	for range 100 { // let it begin; should it be late, it is a plain read
		runtime.Gosched()
	}
	k.release()
	if err := <-first; err != nil {
		w.fail("the first read by %s: %v", k.name, err)
	}
	(<-second)()
	k.setWeather(calm)
}

func (w *world) changeWeather(t *rapid.T) {
	p := w.process(t)
	to := rapid.SampledFrom([]weather{losing, waiting, doubled, calm}).Draw(t, "live messages are")
	w.note("live messages to %s: %s from now on", p.name, to)
	p.setWeather(to)
}

func (w *world) deliverLate(t *rapid.T) {
	p := w.process(t)
	order := rapid.SampledFrom([]string{"in order", "backwards", "in disorder"}).Draw(t, "late messages come")
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

func (w *world) armFault(t *rapid.T) {
	p := w.process(t)
	f := rapid.SampledFrom([]fate{answerLost, vanishes, held, answerHeld}).Draw(t, "fate")
	on := appending
	if f == held || f == answerHeld {
		on = rapid.SampledFrom([]command{appending, reading}).Draw(t, "command")
	}
	w.note("the next %s of %s %s", on, p.name, f)
	p.arm(on, f)
}

func (w *world) releaseHeld(t *rapid.T) {
	p := w.process(t)
	w.note("what is held up at %s goes on", p.name)
	p.release()
}

func (w *world) loseSubscription(t *rapid.T) {
	p := w.process(t)
	w.note("the subscription of %s breaks", p.name)
	p.cutSubscription()
}

// crashGateway kills a gateway while its clients send; they go elsewhere.
func (w *world) crashGateway(t *rapid.T) {
	i := rapid.IntRange(0, len(w.gateways)-1).Draw(t, "gateway")
	old := w.gateways[i]
	during := rapid.IntRange(0, 3).Draw(t, "operations under way")
	to := rapid.IntRange(0, len(w.gateways)-1).Draw(t, "clients go to")
	w.note("%s crashes with %d operations of each client under way, its clients go to gateway %d of 3", old.name, during, to)
	var moved []*seat
	for _, s := range w.seats {
		if s.via != i {
			continue
		}
		moved = append(moved, s)
		for range during {
			w.sent(s, w.pixels(t, 1), false)
		}
	}
	w.cuts++
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

// awaitResumed waits until a client has what it missed, unless a fault is in
// the way.
func (w *world) awaitResumed(s *seat, connected uint64) {
	ready := w.isReady(s, connected)
	w.eventually(func() string {
		return fmt.Sprintf("%s comes back: %v, %v", s.name, s.State(), s.LastError())
	}, func() bool { return !w.clear(s) || ready() })
}

func (w *world) crashKeeper(t *rapid.T) {
	i := rapid.IntRange(0, len(w.keepers)-1).Draw(t, "api")
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

func (w *world) moveClient(t *rapid.T) {
	s := w.seat(t)
	to := rapid.IntRange(0, len(w.gateways)-1).Draw(t, "to")
	during := rapid.IntRange(0, 3).Draw(t, "operations under way")
	w.note("the connection of %s breaks with %d operations under way; it goes to gateway %d of 3", s.name, during, to)
	for range during {
		w.sent(s, w.pixels(t, 1), false)
	}
	connected := s.Stats().Connected
	w.cuts++
	s.goesTo(to)
	s.cut()
	w.awaitResumed(s, connected)
}

func (w *world) leave(t *rapid.T) {
	s := w.seat(t)
	w.note("%s goes away", s.name)
	w.cuts++
	s.setOnline(false)
	s.cut()
}

func (w *world) comeBack(t *rapid.T) {
	s := w.seat(t)
	to := rapid.IntRange(0, len(w.gateways)-1).Draw(t, "to")
	if s.canTalk() {
		return
	}
	connected := s.Stats().Connected
	w.note("%s comes back to gateway %d of 3", s.name, to)
	s.goesTo(to)
	s.setOnline(true)
	s.stall(false)
	s.cut()
	w.awaitResumed(s, connected)
}

func (w *world) stopReading(t *rapid.T) {
	s := w.seat(t)
	w.note("%s stops reading", s.name)
	w.cuts++ // it may be closed for that
	s.stall(true)
}

func (w *world) readOn(t *rapid.T) {
	s := w.seat(t)
	w.note("%s reads on", s.name)
	s.stall(false)
}

// saveCheckpoint stores the picture that an api has, be it old.
func (w *world) saveCheckpoint(t *rapid.T) {
	k := w.keeper(t)
	f, at, stamp := k.canvas.Replica.Freeze()
	w.note("%s, which is at %d, saves a checkpoint", k.name, at.Seq)
	w.still(func(ctx context.Context) {
		w.capture()
		cp := &store.Checkpoint{Position: at, Time: stamp, Grid: f}
		if err := w.store.SaveCheckpoint(ctx, mainCanvas, cp, k.base); err == nil {
			k.base = cp
		}
		if err := w.history.checkStored(ctx); err != nil {
			w.fail("after a checkpoint at %d: %v", at.Seq, err)
		}
	})
}

func (w *world) trim(*rapid.T) {
	w.still(func(ctx context.Context) {
		w.capture()
		n, err := w.store.Trim(ctx, mainCanvas)
		if err != nil {
			w.fail("trimming: %v", err)
		}
		w.note("the log is trimmed by %d entries", n)
		if err := w.history.checkStored(ctx); err != nil {
			w.fail("after trimming by %d entries: %v", n, err)
		}
	})
}
