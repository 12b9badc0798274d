package client

import (
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
)

// This file has what gateways answer to a client's own messages. All of it
// runs with handling held.

func (l *link) onAck(m protocol.Ack) {
	c := l.c
	var acked []Acked
	c.mu.Lock()
	n := c.outbox.ack(m.Number, func(e *entry) {
		if c.opts.OnAck != nil {
			acked = append(acked, Acked{Op: e.Number, Seq: m.Seq, Drawn: e.drawn, Sent: e.sent, Arrived: l.arrived, Sends: e.sends})
		}
	})
	c.stats.Acked += uint64(n)
	c.notify()
	c.mu.Unlock()
	for _, a := range acked {
		c.opts.OnAck(a)
	}
}

func (l *link) onError(m protocol.Error) error {
	c := l.c
	r := Refused{Op: m.Number, Code: m.Code, Message: m.Message, RetryAfter: time.Duration(m.RetryAfter) * time.Millisecond}
	c.mu.Lock()
	c.stats.Refused[m.Code]++
	switch {
	case m.Number == 0:
	case m.Code.Transient():
		degraded := m.Code == protocol.CodeDegraded && c.state == Degraded
		c.outbox.goBack(m.Number, l.arrived.Add(c.hold(m.RetryAfter)), degraded)
	default:
		r.Final = c.outbox.refuse(m.Number)
	}
	c.notify()
	c.wakeWriter() // it waits for another moment now
	c.mu.Unlock()
	if c.opts.OnRefused != nil {
		c.opts.OnRefused(r)
	}
	if m.Code == protocol.CodeInvalidHello {
		return &dropError{reason: m.Message, final: ErrHello}
	}
	return nil
}

// hold returns for how long to send nothing after a transient refusal: what
// the gateway asked for, up to half more, so that those who were refused
// together do not return together.
func (c *Client) hold(ms uint32) time.Duration {
	d := min(time.Duration(ms)*time.Millisecond, maxRetryAfter)
	if d == 0 {
		d = c.opts.Backoff.Min
	}
	return d + time.Duration(c.opts.Rand()*float64(d)/2)
}

func (l *link) onStatus(m protocol.Status) {
	c := l.c
	switch m.State {
	case protocol.Live:
		c.mu.Lock()
		c.outbox.live()
		c.wakeWriter()
		c.mu.Unlock()
		c.changeState(Live)
	case protocol.Degraded:
		c.changeState(Degraded)
	case protocol.Draining:
		c.changeState(Draining)
	}
}

func (l *link) onPong() {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pings) == 0 {
		return
	}
	p := c.pings[0]
	c.pings = c.pings[1:]
	p.answer <- l.arrived.Sub(p.at) // has room for the one answer
}
