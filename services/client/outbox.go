package client

import (
	"slices"
	"sort"
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
)

// outbox holds the operations that are neither acknowledged nor refused for
// good, in the order of their numbers. It is a pure state machine: no clock,
// no locks, no I/O.
//
// Entries before next have been handed to the present connection and wait for
// an answer; those from next on are to be sent. Those that were ever sent are
// always a prefix of the entries.
type outbox struct {
	entries []entry
	next    int
	here    int    // so many were sent on the present connection; at least next
	last    uint64 // the last number given
	limit   int
	// numbered operations stay until they are answered, others leave when they
	// are handed to a connection.
	numbered bool

	// Nothing is sent before this moment, nor, when forLive, before the
	// gateway has said that it is live.
	until   time.Time
	forLive bool
	// echo, when not 0, is the last operation that was under way behind the
	// refused one. Its refusal must come too before anything is sent again.
	echo uint64
}

// echoGrace is how much longer than asked to wait for a refusal that must
// come. It never runs out unless a gateway breaks the protocol.
const echoGrace = 5 * time.Second

type entry struct {
	protocol.Draw
	drawn, sent time.Time // sent: for the first time
	sends       int
}

func (o *outbox) len() int { return len(o.entries) }

// add appends an operation and returns its number, 0 when it has none.
func (o *outbox) add(d protocol.Draw, now time.Time) (uint64, error) {
	if len(o.entries) >= o.limit {
		return 0, ErrOutboxFull
	}
	if o.numbered {
		if o.last >= protocol.MaxNumber {
			return 0, ErrNumbersUsedUp
		}
		o.last++
		d.Number = o.last
	}
	o.entries = append(o.entries, entry{Draw: d, drawn: now})
	return d.Number, nil
}

// take appends to dst what is to be sent next, no more than most, and
// counts it as sent. resent is how many of them had been sent before.
func (o *outbox) take(dst []protocol.Draw, most int, now time.Time) (out []protocol.Draw, resent int) {
	if o.forLive || now.Before(o.resume()) {
		return dst, 0
	}
	o.echo = 0
	n := min(most, len(o.entries)-o.next)
	for i := o.next; i < o.next+n; i++ {
		e := &o.entries[i]
		if e.sends > 0 {
			resent++
		} else {
			e.sent = now
		}
		e.sends++
		dst = append(dst, e.Draw)
	}
	o.next += n
	o.here = max(o.here, o.next)
	if !o.numbered {
		o.dropFront(o.next)
	}
	return dst, resent
}

// wait returns how long nothing may be sent although something is there; 0
// when there is no reason to wait for a moment to come.
func (o *outbox) wait(now time.Time) time.Duration {
	if o.next == len(o.entries) || o.forLive {
		return 0
	}
	return max(0, o.resume().Sub(now))
}

// resume returns the moment before which nothing is sent.
func (o *outbox) resume() time.Time {
	if o.echo != 0 {
		return o.until.Add(echoGrace)
	}
	return o.until
}

// ack takes out everything up to number that was sent on this connection and
// calls each for it, in order. What was sent on an earlier one only is not
// touched, wherever the log may be: its refusal may have been lost with that
// connection, and comes again when it is sent again.
func (o *outbox) ack(number uint64, each func(*entry)) int {
	n := 0
	for n < o.here && o.entries[n].Number <= number {
		each(&o.entries[n])
		n++
	}
	o.dropFront(n)
	return n
}

// refuse takes the one operation out and tells whether it was there.
func (o *outbox) refuse(number uint64) bool {
	o.heard(number)
	i := o.find(number)
	if i == len(o.entries) || o.entries[i].Number != number || o.entries[i].sends == 0 {
		return false
	}
	o.entries = slices.Delete(o.entries, i, i+1)
	if i < o.next {
		o.next--
	}
	if i < o.here {
		o.here--
	}
	return true
}

// goBack makes number the next to be sent and holds everything back until the
// given moment and, if asked to, until live is called.
//
// The gateway refuses what was under way behind number too, one by one. Those
// refusals ask for nothing new, but they have to be waited for: if number were
// sent again before, one could not tell them from new ones, would go back once
// more, and send again what has been accepted meanwhile.
func (o *outbox) goBack(number uint64, until time.Time, forLive bool) {
	i := o.find(number)
	o.heard(number)
	if i >= o.next {
		return // not under way any more: it was refused behind another one
	}
	o.echo = 0
	if last := o.entries[o.next-1].Number; last > number {
		o.echo = last
	}
	o.next = i
	if until.After(o.until) {
		o.until = until
	}
	o.forLive = o.forLive || forLive
}

// heard notes that number was refused, for whatever reason.
func (o *outbox) heard(number uint64) {
	if number == o.echo {
		o.echo = 0
	}
}

// live ends the wait for the gateway's being live.
func (o *outbox) live() { o.forLive = false }

// reconnect makes everything to be sent again, on a new connection. It takes
// out, and calls each for, what was first sent before the given moment.
func (o *outbox) reconnect(tooOld time.Time, each func(*entry)) int {
	n := 0
	for n < len(o.entries) && o.entries[n].sends > 0 && o.entries[n].sent.Before(tooOld) {
		each(&o.entries[n])
		n++
	}
	o.dropFront(n)
	o.next, o.here, o.until, o.forLive, o.echo = 0, 0, time.Time{}, false, 0
	return n
}

// find returns the index of the first entry with this number or a later one.
func (o *outbox) find(number uint64) int {
	return sort.Search(len(o.entries), func(i int) bool { return o.entries[i].Number >= number })
}

func (o *outbox) dropFront(n int) {
	clear(o.entries[:n]) // pixels go to the collector now, not with the array
	o.entries = o.entries[n:]
	if len(o.entries) == 0 {
		o.entries = nil
	}
	o.next = max(0, o.next-n)
	o.here = max(0, o.here-n)
}
