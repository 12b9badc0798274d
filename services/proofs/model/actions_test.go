package model

import (
	"context"
	"runtime"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
)

// kinds are what may happen. Some stand there more than once: they are what
// gives the others something to break.
var kinds = map[string]func(*rapid.T) step{
	"draw":              draw,
	"draw again":        draw,
	"draw more":         draw,
	"draw much":         drawMuch,
	"draw often":        drawOften,
	"draw by REST":      drawByREST,
	"read by REST":      readByREST,
	"overlapping reads": overlappingReads,
	"live messages":     liveMessages,
	"late messages":     lateMessages,
	"fault":             armFault,
	"fault again":       armFault,
	"release":           releaseHeld,
	"subscription":      breakSubscription,
	"crash of gateway":  crashGateway,
	"crash of api":      crashAPI,
	"client moves":      moveClient,
	"client moves more": moveClient,
	"client leaves":     clientLeaves,
	"client returns":    clientReturns,
	"stop reading":      stopReading,
	"read on":           readOn,
	"checkpoint":        checkpoint,
	"trim":              trim,
	"back up":           func(*rapid.T) step { return (*world).takeBackup },
	"restore":           func(*rapid.T) step { return (*world).restore },
	"lose everything":   func(*rapid.T) step { return (*world).loseEverything },
	"restart":           func(*rapid.T) step { return (*world).anotherRun },
	"settle":            func(*rapid.T) step { return func(w *world) { w.note("all settles"); w.settle() } },
}

func aClient(t *rapid.T) int  { return rapid.IntRange(0, clients-1).Draw(t, "client") }
func aGateway(t *rapid.T) int { return rapid.IntRange(0, gateways-1).Draw(t, "gateway") }
func anAPI(t *rapid.T) int    { return rapid.IntRange(0, apis-1).Draw(t, "api") }

// aProcess is one of the gateways or, behind them, of the apis.
func aProcess(t *rapid.T) int { return rapid.IntRange(0, gateways+apis-1).Draw(t, "process") }

func (w *world) process(i int) *process {
	if i < gateways {
		return &w.gateways[i].process
	}
	return &w.keepers[i-gateways].process
}

// scribble is a stroke in the making.
type scribble struct {
	pixels, seed int
	outside      bool
}

func drawScribble(t *rapid.T, most int) scribble {
	return scribble{pixels: rapid.IntRange(1, most).Draw(t, "pixels"), seed: rapid.IntRange(0, 1<<12).Draw(t, "where")}
}

// stroke returns the pixels, with a mark that no other stroke has.
func (w *world) stroke(s scribble) []canvas.Pixel {
	spec := w.settings.spec
	all := make([]canvas.Pixel, s.pixels)
	for i := range all {
		at := (s.seed + i*(i%5+1)) % spec.Cells()
		all[i] = canvas.Pixel{X: uint16(at % spec.Width), Y: uint16(at / spec.Width), Color: marked | canvas.Color(s.seed*31+i*257)&(marked-1)}
	}
	all[0].Color = w.nextMark
	w.nextMark++
	if s.outside {
		all[0].X = uint16(spec.Width)
	}
	return all
}

// send has a client draw a stroke and remembers it.
func (w *world) send(s *seat, x scribble) stroke {
	if s.codec == client.JSON {
		x.pixels = 1
	}
	pixels := w.stroke(x)
	number, err := s.Draw(context.Background(), pixels...)
	w.must(err)
	d := stroke{mark: pixels[0].Color, number: number, bad: x.outside, after: w.losses}
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
		w.fail("an operation is not answered", "%s: operation %d; %v, %v, %+v", s.name, d.number, s.State(), s.LastError(), s.Stats())
	}
}

// draw has a client send some operations at once.
func draw(t *rapid.T) step {
	by := aClient(t)
	all := make([]scribble, rapid.IntRange(1, 6).Draw(t, "operations"))
	for i := range all {
		all[i] = drawScribble(t, 5)
		all[i].outside = rapid.IntRange(0, 9).Draw(t, "outside") == 9
	}
	return func(w *world) {
		s := w.seats[by]
		w.note("%s draws %d operations", s.name, len(all))
		w.draws(s, all)
	}
}

func (w *world) draws(s *seat, all []scribble) {
	var last stroke
	for _, x := range all {
		last = w.send(s, x)
	}
	w.answered(s, last)
}

// drawMuch has a client paint so much that who does not read falls behind.
func drawMuch(t *rapid.T) step {
	by := rapid.IntRange(0, 1).Draw(t, "client")
	n, seed := rapid.IntRange(1, 10).Draw(t, "operations"), rapid.IntRange(0, 1<<12).Draw(t, "where")
	return func(w *world) {
		if w.settings.queue < 64<<10 {
			n = min(n, 2) // else most of the time goes by with waiting to be let in
		}
		s := w.seats[by]
		w.note("%s draws %d operations of 2000 pixels", s.name, n)
		all := make([]scribble, n)
		for i := range all {
			all[i] = scribble{pixels: 2000, seed: seed + 13*i}
		}
		w.draws(s, all)
	}
}

// drawOften has a client send so many operations, while the log does not
// answer, that they become one entry which is longer than what anybody reads
// of the log at once.
func drawOften(t *rapid.T) step {
	by := rapid.IntRange(0, 1).Draw(t, "client")
	n, seed := rapid.IntRange(1, 400).Draw(t, "operations"), rapid.IntRange(0, 1<<12).Draw(t, "where")
	return func(w *world) {
		s := w.seats[by]
		if !w.clear(s) || w.settings.queue < 64<<10 {
			return
		}
		w.note("%s draws %d operations while one of its is held up", s.name, n+1)
		g := w.gateways[s.via]
		f := g.arm(appending, held)
		all := make([]scribble, n)
		for i := range all {
			all[i] = scribble{pixels: 1, seed: seed + i}
		}
		first := w.send(s, scribble{pixels: 1, seed: seed})
		w.eventually("an operation is appended", says(g.name), func() bool { return isDone(f.fired) })
		for _, x := range all {
			w.send(s, x)
		}
		ctx, cancel := w.deadline()
		defer cancel()
		if _, err := s.Ping(ctx); err != nil { // then the gateway has them all
			w.note("its connection breaks: %v", err)
		}
		g.free(f)
		w.answered(s, first)
		w.answered(s, s.drawn[len(s.drawn)-1])
	}
}

// drawByREST writes or resets by an api.
func drawByREST(t *rapid.T) step {
	by := anAPI(t)
	x := drawScribble(t, 5)
	reset := rapid.IntRange(0, 4).Draw(t, "reset") == 4
	return func(w *world) {
		k := w.keepers[by]
		o := canvas.Op{Kind: canvas.Reset, Color: marked | canvas.Color(x.seed)}
		if reset {
			w.note("a reset by %s", k.name)
		} else {
			o = canvas.Op{Kind: canvas.Paint, Pixels: w.stroke(x)}
			w.note("a write by %s", k.name)
		}
		written, err := k.submit(o)
		w.must(err)
		w.writes = append(w.writes, written)
		w.eventually("a write by REST is answered", says(k.name), func() bool {
			return isDone(written.done) || k.holds(appending) || k.holds(checking) || k.holds(reading)
		})
	}
}

// readByREST reads the picture from an api: it must have all that was in the
// log before.
func readByREST(t *rapid.T) step {
	by := anAPI(t)
	return func(w *world) {
		k := w.keepers[by]
		if k.holds(checking) || k.holds(reading) {
			return
		}
		w.note("a read by %s", k.name)
		known := w.known()
		ctx, cancel := w.deadline()
		defer cancel()
		f, at, err := k.picture(ctx)
		if err != nil {
			w.fail("a read by REST is not answered", "by %s: %v", k.name, err)
		}
		w.mustShow(k, at, known)
		w.still(func(context.Context) { w.capture() })
		if want, ok := w.history.at(at); !ok || want != f.Hash() {
			w.fail("a read by REST shows another picture than the log", "by %s at %v (which was in the log: %v)", k.name, at, ok)
		}
	}
}

// known is the position of the log now, which a read that begins from now on
// must show. The zero position binds nobody: the log is another one than
// before, and nobody has noticed.
func (w *world) known() (at canvas.Position) {
	w.still(func(context.Context) {
		w.capture()
		if w.history.named {
			at = canvas.Position{Epoch: w.history.epoch, Seq: w.history.now.head()}
		}
	})
	return at
}

func (w *world) mustShow(k *keeper, at, known canvas.Position) {
	if at.Epoch == known.Epoch && at.Seq < known.Seq {
		w.fail("a read by REST is stale", "%s shows the canvas at %d; before, the log had %d already", k.name, at.Seq, known.Seq)
	}
}

// overlappingReads has a read begin while the look at the head of an earlier
// one is still under way, and something is written between.
func overlappingReads(t *rapid.T) step {
	by, who := anAPI(t), rapid.IntRange(0, 1).Draw(t, "client")
	x := drawScribble(t, 1)
	return func(w *world) {
		k, s := w.keepers[by], w.seats[who]
		if k.holds(checking) || k.holds(reading) || !w.clear(s) {
			return
		}
		w.note("%s reads; before it has heard where the log ends, %s draws, and another read begins", k.name, s.name)
		ctx, cancel := w.deadline()
		defer cancel()
		type read struct {
			at  canvas.Position
			err error
		}
		begin := func() <-chan read {
			done := make(chan read, 1)
			go func() {
				_, at, err := k.picture(ctx)
				done <- read{at, err}
			}()
			return done
		}
		k.setWeather(losing)
		f := k.arm(checking, answerHeld)
		first := begin()
		select {
		case <-f.fired:
		case <-ctx.Done():
			w.fail("a read by REST does not look at the log", "%s", k.name)
		}
		w.answered(s, w.send(s, x))
		known := w.known()
		second := begin()
		for range 100 { // let it begin; should it be late, it is a plain read
			runtime.Gosched()
		}
		k.release()
		one, other := <-first, <-second
		k.setWeather(calm)
		if one.err != nil || other.err != nil {
			w.fail("a read by REST is not answered", "by %s: %v, %v", k.name, one.err, other.err)
		}
		w.mustShow(k, other.at, known)
	}
}
