package client

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

var epochStart = time.Unix(1_700_000_000, 0)

func numbered(limit int) *outbox { return &outbox{limit: limit, numbered: true} }

func (o *outbox) addN(t testing.TB, n int) {
	t.Helper()
	for range n {
		if _, err := o.add(protocol.Draw{Pixels: []canvas.Pixel{{}}}, epochStart); err != nil {
			t.Fatal(err)
		}
	}
}

func (o *outbox) takeNumbers(most int, now time.Time) []uint64 {
	draws, _ := o.take(nil, most, now)
	var numbers []uint64
	for _, d := range draws {
		numbers = append(numbers, d.Number)
	}
	return numbers
}

func ignore(*entry) {}

func wantNumbers(t testing.TB, what string, got []uint64, want ...uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestOutboxAcknowledgementsAreCumulative(t *testing.T) {
	o := numbered(10)
	o.addN(t, 5)
	wantNumbers(t, "first", o.takeNumbers(3, epochStart), 1, 2, 3)
	var acked []uint64
	note := func(e *entry) { acked = append(acked, e.Number) }
	o.ack(2, note)
	o.ack(2, note) // twice, and one that is older: nothing more
	o.ack(1, note)
	wantNumbers(t, "acked", acked, 1, 2)
	o.ack(5, note) // 4 and 5 were never sent: they cannot be in the log
	wantNumbers(t, "acked", acked, 1, 2, 3)
	wantNumbers(t, "rest", o.takeNumbers(9, epochStart), 4, 5)

	// On a new connection, what was not sent again may be acknowledged by name
	// of a later operation, but have been refused on the old one.
	acked = nil
	o.reconnect(time.Time{}, ignore)
	o.takeNumbers(1, epochStart)
	o.ack(5, note)
	wantNumbers(t, "acked", acked, 4)
}

func TestOutboxPermanentRefusalTakesOneOperation(t *testing.T) {
	o := numbered(10)
	o.addN(t, 4)
	o.takeNumbers(3, epochStart)
	if o.refuse(4) {
		t.Error("an operation that was never sent was refused")
	}
	if !o.refuse(2) || o.refuse(2) {
		t.Error("refusing 2 must work exactly once")
	}
	wantNumbers(t, "next", o.takeNumbers(9, epochStart), 4)
	o.reconnect(time.Time{}, ignore)
	wantNumbers(t, "again", o.takeNumbers(9, epochStart), 1, 3, 4)
}

func TestOutboxGoesBack(t *testing.T) {
	o := numbered(10)
	o.addN(t, 5)
	o.takeNumbers(4, epochStart)
	until := epochStart.Add(100 * time.Millisecond)
	o.goBack(2, until, false)
	o.goBack(3, until.Add(time.Hour), false) // the followers' refusals ask for nothing new
	wantNumbers(t, "while a refusal is on its way", o.takeNumbers(9, until))
	o.goBack(4, until.Add(time.Hour), false)
	wantNumbers(t, "held", o.takeNumbers(9, epochStart))
	if got := o.wait(epochStart); got != 100*time.Millisecond {
		t.Errorf("wait %v, want 100ms", got)
	}
	wantNumbers(t, "after", o.takeNumbers(9, until), 2, 3, 4, 5)
	o.goBack(2, until, false)
	o.refuse(5) // a refusal for good is one too
	wantNumbers(t, "at once", o.takeNumbers(9, until), 2, 3, 4)
	o.goBack(2, until, false)
	wantNumbers(t, "without the refusals that must come", o.takeNumbers(9, until.Add(echoGrace)), 2, 3, 4)
}

func TestOutboxGoesBackBehindAnAcknowledgement(t *testing.T) {
	o := numbered(10)
	o.addN(t, 4)
	o.takeNumbers(4, epochStart)
	o.ack(2, ignore)
	o.goBack(3, epochStart, false)
	o.goBack(4, epochStart, false)
	o.goBack(1, epochStart, false) // is in the log
	wantNumbers(t, "again", o.takeNumbers(9, epochStart), 3, 4)
}

func TestOutboxWaitsForLive(t *testing.T) {
	o := numbered(10)
	o.addN(t, 1)
	o.takeNumbers(1, epochStart)
	o.goBack(1, epochStart, true)
	late := epochStart.Add(time.Hour)
	wantNumbers(t, "held", o.takeNumbers(1, late))
	if o.wait(late) != 0 {
		t.Error("waiting for live is not waiting for a moment")
	}
	o.live()
	wantNumbers(t, "live", o.takeNumbers(1, late), 1)
}

func TestOutboxGivesUpWhatIsTooOld(t *testing.T) {
	o := numbered(10)
	o.addN(t, 3)
	o.takeNumbers(1, epochStart)
	o.takeNumbers(1, epochStart.Add(time.Hour))
	var expired []uint64
	o.reconnect(epochStart.Add(time.Minute), func(e *entry) { expired = append(expired, e.Number) })
	wantNumbers(t, "expired", expired, 1)
	wantNumbers(t, "rest", o.takeNumbers(9, epochStart.Add(2*time.Hour)), 2, 3)
}

func TestOutboxIsBounded(t *testing.T) {
	o := numbered(2)
	o.addN(t, 2)
	if _, err := o.add(protocol.Draw{}, epochStart); !errors.Is(err, ErrOutboxFull) {
		t.Fatalf("got %v, want ErrOutboxFull", err)
	}
	o.takeNumbers(1, epochStart)
	o.ack(1, ignore)
	if n, err := o.add(protocol.Draw{}, epochStart); n != 3 || err != nil {
		t.Fatalf("got %d, %v; want number 3: a refused add uses none up", n, err)
	}
	o.last = protocol.MaxNumber
	o.limit = 9
	if _, err := o.add(protocol.Draw{}, epochStart); !errors.Is(err, ErrNumbersUsedUp) {
		t.Fatalf("got %v, want ErrNumbersUsedUp", err)
	}
}

func TestOutboxWithoutNumbersForgetsWhatItSends(t *testing.T) {
	o := &outbox{limit: 9}
	o.addN(t, 3)
	wantNumbers(t, "first", o.takeNumbers(2, epochStart), 0, 0)
	o.reconnect(time.Time{}, ignore)
	wantNumbers(t, "second", o.takeNumbers(9, epochStart), 0)
	if o.len() != 0 {
		t.Error("something is left")
	}
}

// wire is a connection between an outbox and a model of a gateway: both
// directions are in order, and what is under way is lost with it.
type wire struct {
	up   []uint64
	down []answer
}

type answer struct {
	ack       uint64 // > 0: acknowledgement
	refused   uint64 // > 0: refusal
	transient bool
}

// log is what a gateway and the log behind it do with numbered operations of
// one session.
type log struct {
	hasty    bool   // refuses for good what comes behind a hole, too
	last     uint64 // of the session, as the log knows it
	appended []uint64
	handled  uint64 // on this connection, for good: acknowledgements say nothing of later ones
	hole     uint64 // on this connection: everything after it is refused until it comes; 0: none
}

// permanent refusals are a function of the operation alone.
func permanent(n uint64) bool { return n%5 == 0 }

func (g *log) receive(n uint64, refuse bool) answer {
	switch {
	case g.hole != 0 && n > g.hole && (!g.hasty || !permanent(n)):
		return answer{refused: n, transient: true}
	case permanent(n):
		if n == g.hole {
			g.hole = 0 // it came again
		}
		g.handled = max(g.handled, n)
		return answer{refused: n}
	case refuse:
		g.hole = n
		return answer{refused: n, transient: true}
	}
	if n >= g.hole {
		g.hole = 0
	}
	if n > g.last {
		g.last = n
		g.appended = append(g.appended, n)
	}
	g.handled = max(g.handled, n)
	return answer{ack: min(g.last, g.handled)}
}

// Whatever is refused, lost or cut off: the log has every operation that was
// not refused for good, each once, in order; and a quiet connection empties
// the outbox.
func TestOutboxProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := numbered(50)
		g := &log{hasty: rapid.Bool().Draw(t, "hasty")}
		w := &wire{}
		now := epochStart
		added, reported := uint64(0), 0
		deliver := func(a answer) {
			switch {
			case a.ack > 0:
				o.ack(a.ack, func(e *entry) {
					if permanent(e.Number) {
						t.Fatalf("%d was acknowledged; its refusal came first", e.Number)
					}
					if e.Number > g.last {
						t.Fatalf("%d left the outbox, the log ends at %d", e.Number, g.last)
					}
				})
			case a.transient:
				o.goBack(a.refused, now.Add(10*time.Millisecond), false)
			case o.refuse(a.refused):
				reported++
			}
		}
		send := func(most int) {
			numbers := o.takeNumbers(most, now)
			if !slices.IsSorted(numbers) {
				t.Fatalf("sent out of order: %v", numbers)
			}
			w.up = append(w.up, numbers...)
		}
		receive := func(refuse bool) {
			if len(w.up) > 0 {
				w.down = append(w.down, g.receive(w.up[0], refuse))
				w.up = w.up[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"draw": func(t *rapid.T) {
				if n, err := o.add(protocol.Draw{}, now); err == nil {
					added++
					if n != added {
						t.Fatalf("number %d, want %d", n, added)
					}
				} else if o.len() < o.limit {
					t.Fatal(err)
				}
			},
			"send":   func(t *rapid.T) { send(rapid.IntRange(1, 8).Draw(t, "max")) },
			"append": func(*rapid.T) { receive(false) },
			"refuse": func(*rapid.T) { receive(true) },
			"answer": func(*rapid.T) {
				if len(w.down) > 0 {
					deliver(w.down[0])
					w.down = w.down[1:]
				}
			},
			"time": func(*rapid.T) { now = now.Add(7 * time.Millisecond) },
			"cut": func(*rapid.T) {
				*w = wire{}
				g.hole, g.handled = 0, 0
				o.reconnect(time.Time{}, ignore)
			},
			"": func(t *rapid.T) {
				for i := 1; i < len(o.entries); i++ {
					if o.entries[i-1].Number >= o.entries[i].Number {
						t.Fatal("the outbox is out of order")
					}
					if o.entries[i].sends > 0 && o.entries[i-1].sends == 0 {
						t.Fatal("what was sent is not a prefix")
					}
				}
				if o.next < 0 || o.next > o.here || o.here > len(o.entries) {
					t.Fatalf("next %d, sent here %d, of %d", o.next, o.here, len(o.entries))
				}
			},
		})
		// A quiet connection: everything arrives, nothing more is refused.
		for range 10_000 {
			if o.len() == 0 {
				break
			}
			send(8)
			for len(w.up) > 0 {
				receive(false)
			}
			for _, a := range w.down {
				deliver(a)
			}
			w.down = nil
			now = now.Add(time.Second)
		}
		if o.len() > 0 {
			t.Fatalf("%d operations never left the outbox", o.len())
		}
		var want []uint64
		for n := uint64(1); n <= added; n++ {
			if !permanent(n) {
				want = append(want, n)
			}
		}
		if !slices.Equal(g.appended, want) {
			t.Fatalf("the log has %v, want %v", g.appended, want)
		}
		if all := int(added) - len(want); reported != all {
			t.Fatalf("%d operations reported as refused, want %d", reported, all)
		}
	})
}
