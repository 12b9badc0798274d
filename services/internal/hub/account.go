package hub

// This file keeps account of deliveries. What a connection is owed are the
// operations after the position at which it joined, up to the head at the
// moment when it ends or is told that it is closed. What it has got counts when
// it is written as a whole: a write that fails, or that waits for a full socket,
// delivers nothing. So at each moment, over all connections,
//
//	owed = delivered + undelivered + still to be written
//	delivered = confirmed + unconfirmed + not yet known
//
// and when all have ended the last terms are zero. A range or a picture counts
// as the operations that it stands for. What a client missed while it was away
// is owed by the hub at which it resumes.

// Forms in which operations reach a connection.
const (
	formOperation = "operation" // by themselves
	formRange     = "range"     // in a conflated range
	formPicture   = "picture"   // in a whole picture, or a request to load one
)

// Reasons for which something that was owed is not delivered.
const (
	missedClosed = "closed" // the connection was closed in an orderly way, by either side
	missedBroken = "broken" // the connection broke
	missedSlow   = "slow"   // the client did not read
	missedEpoch  = "epoch"  // the history ended: what it held may be gone from the log
)

// account is what a connection is owed and has got. owing and joined are
// guarded by the hub's lock, the rest by the connection's.
type account struct {
	owing  bool
	joined uint64 // everything after it is owed

	era     uint32 // of the hub's history
	ended   bool   // nothing is counted any more
	written uint64 // everything up to here was written to the socket
	ponged  uint64 // up to here the client says to have received all
	proved  uint64 // the part of written for which that is counted
	pinged  bool   // a ping waits for its pong
}

// open begins the account of a connection that joins at a position.
// Called with the hub's lock held.
func (h *Hub) open(c *Conn, at uint64) {
	c.account.owing = true
	h.owing++
	h.setAccount(c, at)
	if at < h.head {
		h.metrics.owed.Add(float64(h.head - at))
	}
}

// aheadOf tells whether the client of c claims to have seen more, at another
// gateway, than a head. It is not the cursor that tells: after a picture that
// may be past the head for a moment.
// Called with the hub's lock held.
func (c *Conn) aheadOf(head uint64) bool { return c.account.owing && c.account.joined > head }

// setAccount says that the connection is owed what comes after a position, and
// nothing else. Called with the hub's lock held.
func (h *Hub) setAccount(c *Conn, at uint64) {
	if c.account.joined = at; c.account.owing && at > h.head {
		h.ahead++ // its client has seen more at another gateway
	}
	c.mu.Lock()
	a := &c.account
	a.era, a.written, a.ponged, a.proved = h.era, at, at, at
	c.mu.Unlock()
}

// owe counts what an entry with the positions (from, to] adds to what all
// connections are owed. Called with the hub's lock held.
func (h *Hub) owe(from, to uint64) {
	n := (to - from) * uint64(h.owing)
	if h.ahead > 0 {
		h.ahead = 0
		for _, c := range h.conns {
			if !c.account.owing || c.account.joined <= from {
				continue
			}
			n -= min(c.account.joined, to) - from
			if c.account.joined > to {
				h.ahead++
			}
		}
	}
	h.metrics.owed.Add(float64(n))
}

// stopOwing ends what a connection is owed, at the head of this moment; it may
// be called more than once. Called with the hub's lock held.
func (h *Hub) stopOwing(c *Conn, reason string) {
	if !c.account.owing {
		return
	}
	c.account.owing = false
	h.owing--
	if c.account.joined > h.head {
		h.ahead--
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if missing := int64(h.head - c.account.written); missing > 0 {
		h.metrics.undelivered[reason].Add(float64(missing))
	}
}

// closeBooks counts what was owed before the history ended, or written without
// proof; it will be neither delivered nor proved.
// Called with the hub's lock held.
func (h *Hub) closeBooks(c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.account
	if missing := int64(h.head - a.written); missing > 0 && a.owing {
		h.metrics.undelivered[missedEpoch].Add(float64(missing))
	}
	if !a.ended {
		h.metrics.unconfirmed.Add(float64(a.written - a.proved))
	}
}

// settle ends the account: nothing more can be proved.
// Called with the hub's lock held.
func (h *Hub) settle(c *Conn, reason string) {
	h.stopOwing(c, reason)
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := &c.account; !a.ended {
		a.ended = true
		h.metrics.unconfirmed.Add(float64(a.written - a.proved))
	}
}

// wrote counts what a write has brought that was taken by the socket as a
// whole: everything up to position to.
func (c *Conn) wrote(m *Metrics, era uint32, to uint64, form string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.account
	if a.ended || a.era != era || to <= a.written {
		return // the history is another by now, or the connection has ended
	}
	m.delivered[form].Add(float64(to - a.written))
	a.written = to
	a.prove(m)
}

// received notes that the client has received everything up to a position of
// an era. A pong may overtake the account of the write that it answers.
func (c *Conn) received(m *Metrics, era uint32, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &c.account
	a.pinged = false
	if a.ended || a.era != era || to > c.cursor.Load() {
		return
	}
	a.ponged = max(a.ponged, to)
	a.prove(m)
}

func (a *account) prove(m *Metrics) {
	if sure := min(a.ponged, a.written); sure > a.proved {
		m.confirmed.Add(float64(sure - a.proved))
		a.proved = sure
	}
}

// Answered tells that the client has answered the close frame: what was written
// before that frame has arrived.
func (c *Conn) Answered() {
	if c.hub == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := &c.account; !a.ended {
		a.ponged = a.written
		a.prove(c.hub.metrics)
	}
}
