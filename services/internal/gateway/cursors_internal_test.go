package gateway

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/protocol"
)

// screen is a client: what it shows of others, by what it was told.
type screen struct {
	busy  bool
	told  []protocol.Cursors
	shown map[uint32]protocol.CursorAt
}

func (s *screen) offer(m protocol.ServerMessage) bool {
	if s.busy {
		return false
	}
	c := m.(protocol.Cursors)
	s.told = append(s.told, c)
	for _, at := range c.Here {
		s.shown[at.Author] = at
	}
	for _, author := range c.Gone {
		delete(s.shown, author)
	}
	return true
}

func (p *pointers) join(view protocol.View) (*watcher, *screen) {
	s := &screen{shown: make(map[uint32]protocol.CursorAt)}
	w := &watcher{offer: s.offer, index: len(p.watchers), view: view, shown: make(map[uint32]struct{})}
	p.watchers = append(p.watchers, w)
	return w, s
}

func at(author uint32, x, y uint16) protocol.Cursors {
	return protocol.Cursors{Here: []protocol.CursorAt{{Author: author, X: x, Y: y}}}
}

var (
	everything = protocol.View{Width: 1000, Height: 1000}
	moment     = time.Unix(1_700_000_000, 0)
)

// Whatever happens, and however seldom a client takes anything: when it does,
// it shows just the places in its view that hold, itself left out.
func TestClientsShowWhatIsInView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPointers()
		w, s := p.join(everything)
		w.author = 3
		want := make(map[uint32]protocol.CursorAt)
		now := moment
		t.Repeat(map[string]func(*rapid.T){
			"point": func(t *rapid.T) {
				m := at(rapid.Uint32Range(1, 8).Draw(t, "author"), uint16(rapid.IntRange(0, 99).Draw(t, "x")), uint16(rapid.IntRange(0, 99).Draw(t, "y")))
				p.merge(m, now)
				want[m.Here[0].Author] = m.Here[0]
			},
			"leave": func(t *rapid.T) {
				author := rapid.Uint32Range(1, 8).Draw(t, "author")
				p.merge(protocol.Cursors{Gone: []uint32{author}}, now)
				delete(want, author)
			},
			"look elsewhere": func(t *rapid.T) {
				x, y := rapid.IntRange(0, 99).Draw(t, "x"), rapid.IntRange(0, 99).Draw(t, "y")
				w.view, w.seen = protocol.View{X: uint16(x), Y: uint16(y), Width: 50, Height: 50}, 0
			},
			"silence": func(*rapid.T) {
				now = now.Add(pointerLives)
				clear(want)
			},
			"tell a busy client": func(*rapid.T) {
				s.busy = true
				p.tell(now, maxLooks)
				s.busy = false
			},
			"": func(t *rapid.T) {
				p.tell(now, maxLooks)
				visible := make(map[uint32]protocol.CursorAt)
				for author, c := range want {
					if author != w.author && w.sees(c) {
						visible[author] = c
					}
				}
				if !reflect.DeepEqual(s.shown, visible) {
					t.Fatalf("the client shows %v; want %v", s.shown, visible)
				}
			},
		})
	})
}

// Nothing is told twice, and a client is not told what it cannot see.
func TestOnlyChangesAreTold(t *testing.T) {
	p := newPointers()
	_, near := p.join(protocol.View{X: 10, Y: 10, Width: 10, Height: 10})
	_, far := p.join(protocol.View{X: 500, Y: 500, Width: 10, Height: 10})
	for _, cell := range [][2]uint16{{10, 10}, {19, 19}, {12, 12}} {
		p.merge(at(1, cell[0], cell[1]), moment)
		p.tell(moment, maxLooks)
		p.tell(moment, maxLooks)
	}
	for _, cell := range [][2]uint16{{20, 19}, {19, 20}, {9, 10}, {10, 9}} { // out of view: told once
		p.merge(at(1, cell[0], cell[1]), moment)
		p.tell(moment, maxLooks)
	}
	want := []protocol.Cursors{at(1, 10, 10), at(1, 19, 19), at(1, 12, 12), {Gone: []uint32{1}}}
	if !reflect.DeepEqual(near.told, want) {
		t.Errorf("told %+v; want %+v", near.told, want)
	}
	if len(far.told) > 0 {
		t.Errorf("who looks elsewhere was told %+v", far.told)
	}
}

func TestCursorsAreBounded(t *testing.T) {
	p := newPointers()
	w, s := p.join(everything)
	for author := range uint32(3 * maxPointers) {
		p.merge(at(author+1, uint16(author%1000), 1), moment)
	}
	if len(p.all) != maxPointers {
		t.Errorf("%d places are held", len(p.all))
	}
	p.tell(moment, maxLooks)
	if len(s.shown) != maxShown || len(w.shown) != maxShown {
		t.Errorf("the client shows %d places, the gateway knows of %d", len(s.shown), len(w.shown))
	}
	// One goes: there is room for another that moves.
	var one uint32
	for one = range s.shown {
		break
	}
	p.merge(protocol.Cursors{Gone: []uint32{one}}, moment)
	p.tell(moment, maxLooks)
	for author := range p.all {
		if _, shown := s.shown[author]; !shown && author != one {
			p.merge(at(author, 1, 1), moment)
			break
		}
	}
	p.tell(moment, maxLooks)
	if len(s.shown) != maxShown {
		t.Errorf("%d places after one has gone and another come", len(s.shown))
	}
	// Silence lets go of all.
	p.tell(moment.Add(pointerLives), maxLooks)
	p.tell(moment.Add(2*pointerLives), maxLooks)
	if len(s.shown)+len(w.shown)+len(p.all) != 0 {
		t.Errorf("%d, %d and %d places are left", len(s.shown), len(w.shown), len(p.all))
	}
	for author := range uint32(3 * maxPublished) {
		p.pending[author] = protocol.CursorAt{Author: author}
	}
	seen := make(map[uint32]bool)
	for range 3 {
		m := p.take()
		if len(m.Here) != maxPublished {
			t.Fatalf("%d places are published at once", len(m.Here))
		}
		for _, c := range m.Here {
			seen[c.Author] = true
		}
	}
	if len(seen) != 3*maxPublished || len(p.take().Here) != 0 {
		t.Errorf("%d places were published", len(seen))
	}
}

// Over its budget a gateway tells fewer clients at a time, and all in turn.
func TestBudgetOfLooks(t *testing.T) {
	p := newPointers()
	var screens []*screen
	for range 10 {
		_, s := p.join(everything)
		screens = append(screens, s)
	}
	for author := range uint32(5) {
		p.merge(at(author+1, 1, 1), moment)
	}
	for range 5 {
		before := 0
		for _, s := range screens {
			before += len(s.told)
		}
		p.tell(moment, 10) // two clients' worth
		after := 0
		for _, s := range screens {
			after += len(s.told)
		}
		if after-before != 2 {
			t.Fatalf("%d clients were told at once", after-before)
		}
	}
	if slices.ContainsFunc(screens, func(s *screen) bool { return len(s.told) != 1 }) {
		t.Error("not all were told in turn")
	}
}
