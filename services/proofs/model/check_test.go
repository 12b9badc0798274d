package model

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/protocol"
)

// settle ends all faults, waits until everybody has everything, and checks what
// was promised.
func (w *world) settle() {
	processes := w.wires()
	for i := range gateways + apis {
		w.release(i)
	}
	for _, p := range processes {
		p.setWeather(calm)
		p.bringLate(func(int) int { return 0 })
	}
	for _, s := range w.seats {
		s.setOnline(true)
		s.stall(false)
	}
	ctx, cancel := w.deadline()
	defer cancel()
	for _, s := range w.seats {
		if s.anonymous {
			// What was sent before the ping has been read before its answer.
			if !poll(ctx, func() bool { _, err := s.Ping(ctx); return err == nil }) {
				w.fail("a ping is not answered", "%s: %v, %v", s.name, s.State(), s.LastError())
			}
		}
		if err := s.Flush(ctx); err != nil {
			w.fail("operations are not answered", "%s: %v, %+v, %v", s.name, err, s.Stats(), s.LastError())
		}
	}
	for _, x := range w.writes {
		select {
		case <-x.done:
		case <-ctx.Done():
			w.fail("a write by REST is not answered", "%s", x.by.name)
		}
	}
	for _, g := range w.gateways {
		if !poll(ctx, func() bool { n, err := g.metric("pixel_append_queue_bytes", ""); return err == nil && n == 0 }) {
			w.fail("operations still wait in a gateway", "%s", g.name)
		}
	}
	// While an epoch changes, replicas load again, and that takes several looks.
	for round := 0; ; round++ {
		nudge, stop := context.WithTimeout(ctx, 25*time.Millisecond)
		if !w.settings.patient {
			for _, p := range processes {
				p.stray()
			}
		}
		if round%10 == 1 {
			w.renewOldClients()
		}
		same := false
		poll(nudge, func() bool {
			w.still(func(context.Context) { w.capture() })
			same = w.converged()
			return same
		})
		stop()
		if same {
			break
		}
		if ctx.Err() != nil {
			w.fail("not everybody gets to the end of the log", "it is at %v/%d:%s", w.history.epoch, w.history.now.head(), w.whereabouts())
		}
	}
	w.check()
}

// renewOldClients has clients connect anew that speak as the original's did:
// nobody can tell them of an epoch. They do get the picture of the new one as
// single pixels; but the client of this project believes what it knows of
// positions, which an original's client does not have.
func (w *world) renewOldClients() {
	for _, s := range w.seats {
		if s.anonymous && s.codec == client.JSON && w.history.named && s.Position().Epoch != w.history.epoch {
			s.cut()
		}
	}
}

// converged tells whether all stand where the log does, in its epoch.
func (w *world) converged() bool {
	h := w.history
	if !h.named {
		return false
	}
	want := canvas.Position{Epoch: h.epoch, Seq: h.now.head()}
	for _, k := range w.keepers {
		if k.canvas.Replica.Position() != want {
			return false
		}
	}
	return !slices.ContainsFunc(w.seats, func(s *seat) bool {
		f, at := s.Picture()
		if at != want || f == nil {
			return true
		}
		// An operation of several pixels may still be coming in.
		return s.codec == client.JSON && f.Hash() != h.now.grid.Hash()
	})
}

func (w *world) whereabouts() string {
	var b strings.Builder
	for _, k := range w.keepers {
		f, at, _ := k.canvas.Replica.Freeze()
		fmt.Fprintf(&b, "\n%s is at %v, its picture is that of the log: %v", k.name, at, f.Hash() == w.history.now.grid.Hash())
	}
	for _, s := range w.seats {
		f, at := s.Picture()
		fmt.Fprintf(&b, "\n%s (%s) is at %v, %v, ", s.name, s.codec, at, s.State())
		if f != nil {
			fmt.Fprintf(&b, "its picture is that of the log: %v, ", f.Hash() == w.history.now.grid.Hash())
		}
		fmt.Fprintf(&b, "last error %v", s.LastError())
	}
	return b.String()
}

// check compares everything with what the log held. Everybody has converged.
func (w *world) check() {
	h := w.history
	hash := h.now.grid.Hash()
	for _, k := range w.keepers {
		if f, at, _ := k.canvas.Replica.Freeze(); f.Hash() != hash {
			w.fail("an api has another picture than the log", "%s at %d", k.name, at.Seq)
		}
	}
	for _, s := range w.seats {
		if err := s.check(h, w.losses); err != nil {
			w.fail(err.what, "%s (%s): %s", s.name, s.codec, err.detail)
		}
		if f, at := s.Picture(); f.Hash() != hash {
			w.fail("a client has another picture than the log", "%s (%s) at %d", s.name, s.codec, at.Seq)
		}
		for _, d := range s.drawn {
			switch {
			case s.anonymous:
				if h.seen[d.mark] == 0 && !d.bad && w.cuts == 0 && w.losses == 0 {
					w.fail("an operation without a number is not in the log", "%s was never cut off", s.name)
				}
			case d.bad && s.refused[d.number] != protocol.CodeOutOfBounds:
				w.fail("an impossible operation is not refused by its name", "%s: operation %d was answered with %v", s.name, d.number, s.refused[d.number])
			case !d.bad && h.seen[d.mark] == 0:
				w.fail("an operation is lost", "%s: operation %d is not in the outbox, and never was in the log (refused: %v)", s.name, d.number, s.refused[d.number])
			case !d.bad && d.after == w.losses && h.find(d.mark) == 0:
				w.fail("an operation is lost", "%s: operation %d is not in the log", s.name, d.number)
			}
		}
	}
	for _, x := range w.writes {
		mark, marked := markOf(&x.op)
		if isDone(x.done) && x.err == nil && marked && h.seen[mark] == 0 {
			w.fail("a write by REST is lost", "%s answered it at %v; it never was in the log", x.by.name, x.at)
		}
		if isDone(x.done) && x.err != nil && marked && h.seen[mark] > 0 {
			w.fail("a refused write is in the log", "%s: %v", x.by.name, x.err)
		}
	}
	w.still(func(ctx context.Context) {
		w.capture()
		w.checkStored(ctx)
	})
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// finish checks everything once more, also through clients that come now.
func (w *world) finish() {
	w.settle()
	ctx, cancel := w.deadline()
	defer cancel()
	for _, g := range w.gateways {
		c, err := client.Dial(ctx, client.Options{URLs: []string{"ws://" + g.addr + "/ws"}})
		if err != nil {
			w.fail("a client that comes does not get a picture", "at %s: %v", g.name, err)
		}
		// Without a client until now, the gateway need not have noticed a new
		// epoch.
		want := canvas.Position{Epoch: w.history.epoch, Seq: w.history.now.head()}
		if c.Position() != want && !w.settings.patient {
			g.stray()
		}
		if !poll(ctx, func() bool { return c.Position() == want }) {
			w.fail("a client that comes does not get to the end of the log", "at %s it stays at %v, the log is at %v", g.name, c.Position(), want)
		}
		if c.Grid().Hash() != w.history.now.grid.Hash() {
			w.fail("a client that comes gets another picture", "at %s", g.name)
		}
		_ = c.Close()
	}
}
