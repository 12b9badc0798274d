package fanout

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/client"
)

// Cut is one time that a client lost its connection, from the loss to having
// everything again.
type Cut struct {
	At   time.Time
	Pod  string // to which it was connected
	Code int
	// Back is when it had everything again, zero if it never did. Took is how
	// long that was by the client's own clock.
	Back time.Time
	Took time.Duration
	Kind client.RecoveryKind
}

// Member is one client of a group. Its methods may be called from any
// goroutine.
type Member struct {
	*client.Client
	g  *Group
	id int

	// Of the client's callbacks, which come one at a time. Others look at them
	// when the client has ended, or under g.mu.
	handlers *Handlers // nil: nobody else wants to know
	joined   bool
	join     uint64 // position at which it begins to be owed
	high     uint64 // greatest position held
	since    time.Time
	record   *record
	pod      string

	pictured atomic.Uint64 // positions that a picture stood for
	backlog  atomic.Uint64 // positions up to join that came behind the first picture
	begun    atomic.Uint64 // join, once joined
	until    atomic.Uint64 // end of what is owed, of a member that is leaving
	cuts     []Cut         // guarded by g.mu
	left     *account      // guarded by g.mu: of a member that has left
	counted  tally         // guarded by g.mu: what perPod has of it
}

// Handlers are told what happens to one client, after the group has noted it.
// Nil ones are not called. They are called one at a time and must not wait; see
// [client.Options].
type Handlers struct {
	Update     func(client.Update)
	Ack        func(client.Acked)
	Refused    func(client.Refused)
	State      func(client.State)
	Connected  func(client.Connection)
	Disconnect func(code int, reason string)
	Resume     func(client.Recovery)
}

// options of the member's client.
func (m *Member) options() client.Options {
	o := m.g.opts.client()
	o.OnConnected, o.OnUpdate, o.OnAck = m.onConnected, m.onUpdate, m.onAck
	o.OnDisconnect, o.OnResume = m.onDisconnect, m.onResume
	if h := m.handlers; h != nil {
		o.OnRefused, o.OnState = h.Refused, h.State
		o.OnConnected, o.OnUpdate = both(m.onConnected, h.Connected), both(m.onUpdate, h.Update)
		o.OnAck, o.OnResume = both(m.onAck, h.Ack), both(m.onResume, h.Resume)
		if h.Disconnect != nil {
			o.OnDisconnect = func(code int, reason string) { m.onDisconnect(code, reason); h.Disconnect(code, reason) }
		}
	}
	return o
}

// both calls one after the other; the second may be nil.
func both[T any](first, second func(T)) func(T) {
	if second == nil {
		return first
	}
	return func(v T) { first(v); second(v) }
}

func (m *Member) onConnected(c client.Connection) {
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	m.since, m.pod = time.Now(), c.Pod
	if m.record = g.pods[c.Pod]; m.record == nil {
		m.record = newRecord(c.Pod)
		g.pods[c.Pod] = m.record
	}
	if m.joined {
		g.back.Note(c.Took)
		g.observe.Time(reconnectTime, c.Pod, c.Took, m.since)
		return
	}
	g.connects.Note(c.Took)
	g.observe.Time(connectTime, c.Pod, c.Took, m.since)
	m.join = c.Position.Seq
	if !g.opts.pictures() {
		m.begin(c.Position.Seq)
	} // else it has joined when the first picture is there
}

// begin notes the position at which what the client gets begins. A picture may
// be older than the position at which it joined; what lies between comes as
// messages, which are part of joining and owed to nobody.
func (m *Member) begin(seq uint64) {
	m.join = max(m.join, seq)
	m.joined, m.high = true, seq
	m.backlog.Store(m.join - seq)
	m.begun.Store(m.join)
	m.g.book.base.CompareAndSwap(unset, m.join)
	m.g.book.reach(m.join)
}

func (m *Member) onUpdate(u client.Update) {
	if u.Picture {
		if !m.joined {
			m.begin(u.Seq)
		} else if u.Seq > m.high {
			m.pictured.Add(u.Seq - m.high)
			m.high = u.Seq
		}
		return
	}
	if u.Seq <= m.high && !u.Late {
		return // another piece of an operation, or one that came again after a resumption
	}
	g := m.g
	g.book.reach(u.Seq)
	m.high = max(m.high, u.Seq)
	if u.Seq <= m.join {
		return
	}
	r := m.record
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case u.Ops != nil:
		for i := range u.Ops {
			seq, op := u.Prev+1+uint64(i), &u.Ops[i]
			if len(op.Pixels) > 0 && seq > m.join {
				m.arrived(&u, seq, identity{author: uint32(op.Author), number: op.Number, pixel: op.Pixels[0]})
			}
		}
	case u.Seq-u.Prev == 1:
		if len(u.Cells) > 0 {
			m.arrived(&u, u.Seq, identity{pixel: u.Cells[0].Pixel})
		}
	default:
		g.later(&u, m)
	}
}

func (m *Member) onAck(a client.Acked) {
	g := m.g
	g.book.reach(a.Seq)
	g.acked(m, a)
}

func (m *Member) onDisconnect(code int, _ string) {
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disconnects[code]++
	if n := len(m.cuts); n > 0 && m.cuts[n-1].Back.IsZero() {
		return // the same absence: it had not got everything yet
	}
	m.cuts = append(m.cuts, Cut{At: time.Now(), Pod: m.pod, Code: code})
}

func (m *Member) onResume(r client.Recovery) {
	g := m.g
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resumes[r.Kind]++
	if n := len(m.cuts); n > 0 && m.cuts[n-1].Back.IsZero() {
		c := &m.cuts[n-1]
		c.Back, c.Took, c.Kind = time.Now(), r.Took, r.Kind
		g.observe.Time(recoveryTime, m.pod, r.Took, c.Back)
		if a, ok := g.cause(m, c); ok {
			g.observe.Time(affectedTime, m.pod, c.Back.Sub(a.at), c.Back)
		}
	}
	if r.Kind == client.Skipped {
		m.high = max(m.high, r.Position.Seq) // what lies between is lost
	}
}

// Cuts returns when the client was cut off.
func (m *Member) Cuts() []Cut {
	m.g.mu.Lock()
	defer m.g.mu.Unlock()
	return append([]Cut(nil), m.cuts...)
}

// ID returns the member's number in its group, from 0.
func (m *Member) ID() int { return m.id }

// account is what a client was owed and got.
type account struct {
	join, end uint64 // (join, end] is owed
	stats     client.Stats
	pictured  uint64
	joined    bool
}

// lost is how many positions neither came nor were in a picture.
func (a *account) lost() uint64 {
	owed := a.owed()
	return owed - min(owed, a.stats.Ops+a.pictured)
}

func (a *account) owed() uint64 {
	if !a.joined || a.end < a.join {
		return 0
	}
	return a.end - a.join
}

// account returns how the client stands when everything up to a position is
// owed to it, or as it left.
func (m *Member) account(until uint64) account {
	m.g.mu.Lock()
	left := m.left
	m.g.mu.Unlock()
	if left != nil {
		return *left
	}
	begun := m.begun.Load()
	held := m.Position().Seq // before what came is counted, which may only be more
	a := account{stats: m.Stats(), pictured: m.pictured.Load(), joined: begun != unset, join: begun}
	if a.joined {
		a.stats.Ops -= min(a.stats.Ops, m.backlog.Load())
	}
	a.end = max(min(until, m.until.Load()), held)
	return a
}

// leave lets the client go on purpose, when it has what was drawn until now
// and its own writes are acknowledged. What it has not got by the end of ctx
// is lost.
func (m *Member) leave(ctx context.Context) {
	_ = m.Flush(ctx) // what is not acknowledged shows in the account
	until := m.g.book.head.Load()
	m.until.Store(until)
	if m.begun.Load() != unset {
		_ = m.WaitFor(ctx, until) // as above
	}
	a := m.account(until)
	_ = m.Close()
	m.g.mu.Lock()
	m.left = &a
	m.g.mu.Unlock()
}
