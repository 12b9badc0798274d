package client

import (
	"fmt"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// This file has what happens to updates and pictures. All of it runs with
// handling held.

// offer takes an update that has just arrived.
func (l *link) offer(u Update) {
	c := l.c
	u.Arrived = l.arrived
	c.mu.Lock()
	c.stats.Updates++
	if u.Seq > l.seen && u.Prev <= l.seen {
		n := Received{Operations: u.Seq - l.seen}
		if u.Ops == nil && u.Seq-u.Prev > 1 {
			n.Conflated = n.Operations
		}
		l.seen = u.Seq
		l.count(n)
	}
	if l.cause != nil {
		if u.Prev >= l.lostFrom && u.Seq <= l.lostTo {
			c.stats.OutOfOrder++
		}
		c.mu.Unlock()
		return
	}
	if l.awaiting {
		c.stats.Buffered++
		c.mu.Unlock()
		if len(l.buffered) >= c.opts.MaxBuffered {
			l.drop(&dropError{reason: fmt.Sprintf("%d updates came before a picture did", len(l.buffered))})
			return
		}
		l.buffered = append(l.buffered, u)
		return
	}
	c.mu.Unlock()
	l.take(u)
}

// count adds to what came from this gateway. The caller holds mu.
func (l *link) count(n Received) {
	all := l.c.stats.Gateways[l.pod]
	all.Connections += n.Connections
	all.Operations += n.Operations
	all.Conflated += n.Conflated
	all.Pictured += n.Pictured
	l.c.stats.Gateways[l.pod] = all
}

// pictured notes that a whole picture, or the request to load one, stands for
// everything up to a position of the gateway's. The caller holds mu.
func (l *link) pictured(at canvas.Position, sameHistory bool) {
	if sameHistory && at.Seq > l.seen {
		l.count(Received{Pictured: at.Seq - l.seen})
	}
	if !sameHistory || at.Seq > l.seen {
		l.seen = at.Seq
	}
}

// restart notes that the picture is that of p now, or that messages from p on
// will come. The caller holds mu.
func (c *Client) restart(p canvas.Position) {
	high, same := c.tracker.high, p.Epoch == c.tracker.at.Epoch
	c.tracker.restart(p)
	switch {
	case !same:
		c.stats.Epoch = Balance{Began: p.Seq}
	case c.tracker.high > high:
		c.stats.Epoch.Skipped += c.tracker.high - high
	}
}

// take applies an update, or not, as its positions say.
func (l *link) take(u Update) {
	c := l.c
	if u.Seq <= l.covered {
		return
	}
	c.mu.Lock()
	last := c.tracker.at.Seq
	if c.opts.StepOverGaps && l.again(&u) {
		c.stats.Duplicates++
		c.mu.Unlock()
		return
	}
	switch c.tracker.judge(u.Prev, u.Seq) {
	case gap:
		c.stats.Gaps++
		if c.opts.StepOverGaps {
			c.stats.Missing += u.Prev - last
			l.missing = append(l.missing, span{last, u.Prev})
			c.tracker.stepOver(u.Prev)
			break
		}
		c.stats.Resyncs++
		c.mu.Unlock()
		l.lostFrom, l.lostTo = last, u.Prev
		l.drop(&dropError{reason: fmt.Sprintf("gap: (%d, %d] is missing", last, u.Prev)})
		return
	case known:
		u.Late = l.fill(u.Prev, u.Seq)
		if !u.Late {
			c.stats.Duplicates++
		}
		c.mu.Unlock()
		if u.Late && c.opts.OnUpdate != nil {
			c.opts.OnUpdate(u)
		}
		return
	case overlaps:
		if u.Prev >= l.covered {
			c.stats.Overlaps++
		}
		if u.Ops != nil {
			u.Ops, u.Prev = u.Ops[last-u.Prev:], last
		}
	case continues:
	}
	c.apply(&u)
	c.mu.Unlock()
	if c.opts.OnUpdate != nil {
		c.opts.OnUpdate(u)
	}
}

// apply draws an update and counts it. The caller holds mu.
func (c *Client) apply(u *Update) {
	fresh := c.tracker.advance(u.Seq, u.complete)
	c.stats.Ops += fresh
	c.stats.Epoch.Ops += fresh
	if u.Ops == nil && u.Seq-u.Prev > 1 {
		c.stats.Ranges++
		c.stats.Conflated += fresh
	}
	for i := range u.Ops {
		c.stats.Pixels += uint64(len(u.Ops[i].Pixels))
	}
	c.stats.Pixels += uint64(len(u.Cells))
	if g := c.grid; g != nil {
		for i := range u.Ops {
			g.Apply(&u.Ops[i]) // false: no replica can hold it, see Grid.Apply
		}
		if u.Reset {
			g.Apply(&canvas.Op{Kind: canvas.Reset, Color: u.ResetTo})
		}
		spec := g.Spec()
		for _, cell := range u.Cells {
			if spec.Contains(int(cell.X), int(cell.Y)) {
				g.Set(int(cell.X), int(cell.Y), cell.Color)
			}
		}
	}
	c.notify()
}

// drop begins to end the connection. It is still read for a moment, but
// nothing that comes is applied any more.
func (l *link) drop(cause *dropError) {
	l.cause = cause
	l.cancel() // the writer and reloads end
	l.sayClose(protocol.CloseProtocol, cause.reason)
	time.AfterFunc(lingerTime, func() { _ = l.ws.Close() })
}

// onSnapshot begins a snapshot: one that was to be expected, one that the
// gateway sends instead of a backlog, or one of a new epoch. Where it stands
// before what is here, the updates that follow begin there too.
func (l *link) onSnapshot(m protocol.SnapshotBegin) error {
	c := l.c
	if l.cause != nil {
		return nil
	}
	var err error
	if l.snapshot, err = newAssembler(m, !c.opts.NoGrid); err != nil {
		return l.badSnapshot(err)
	}
	if m.Position.Epoch != l.epoch {
		l.epoch, l.buffered, l.newHistory = m.Position.Epoch, nil, true // positions of another history
	}
	l.awaiting = true
	return nil
}

func (l *link) onBand(b *protocol.SnapshotBand) error {
	if l.snapshot == nil || l.cause != nil {
		return nil
	}
	done, err := l.snapshot.add(b)
	if err != nil {
		return l.badSnapshot(err)
	}
	if done {
		s := l.snapshot
		l.snapshot = nil
		l.c.mu.Lock()
		l.pictured(s.begin.Position, !l.newHistory)
		l.newHistory = false
		l.c.mu.Unlock()
		l.adopt(s.grid, s.begin.Position, Snapshot, l.arrived)
	}
	return nil
}

// badSnapshot drops the connection; the next one claims no position, so that
// it gets a picture that owes nothing to what is here.
func (l *link) badSnapshot(err error) error {
	c := l.c
	c.mu.Lock()
	c.stats.BadSnapshots++
	c.stats.Resyncs++
	c.have = false
	c.mu.Unlock()
	return &dropError{reason: err.Error()}
}

// onResync: a JSON client has to load the picture anew, e.g. in a new epoch.
func (l *link) onResync(m protocol.Resync) {
	c := l.c
	if l.cause != nil {
		return
	}
	c.mu.Lock()
	c.stats.Resyncs++
	l.pictured(m.Position, m.Position.Epoch == l.epoch)
	l.epoch = m.Position.Epoch
	c.mu.Unlock()
	if c.load != nil {
		l.startReload(m.Position)
		return
	}
	l.goOn(m.Position, Skipped)
}

// adopt replaces the picture and goes on with what arrived meanwhile.
func (l *link) adopt(grid *canvas.Grid, at canvas.Position, kind RecoveryKind, arrived time.Time) {
	c := l.c
	if l.cause != nil {
		return
	}
	buffered := l.buffered
	l.awaiting, l.buffered, l.covered = false, nil, at.Seq
	c.mu.Lock()
	c.grid = grid
	if grid != nil {
		c.spec = grid.Spec()
	}
	if kind == Snapshot {
		c.stats.Snapshots++
	}
	c.restart(at)
	recovery, recovered := c.recover(l, kind)
	c.mu.Unlock()
	if c.opts.OnUpdate != nil {
		c.opts.OnUpdate(Update{Seq: at.Seq, Arrived: arrived, Picture: true})
	}
	if recovered && c.opts.OnResume != nil {
		c.opts.OnResume(recovery)
	}
	for _, u := range buffered {
		if l.cause != nil {
			return
		}
		l.take(u)
	}
}
