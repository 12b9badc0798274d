package client

import (
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/protocol"
)

const (
	// writeTimeout is how long one message may take to be written.
	writeTimeout = 10 * time.Second
	// maxFrame is where a frame of several binary messages ends, in bytes; one
	// message may make it longer.
	maxFrame = 16 << 10
	// maxTake is how many operations are looked at at once.
	maxTake = 64
)

// outgoing is what a writer needs while it writes; it is shared among all
// clients of the process, because most of them are silent most of the time.
type outgoing struct {
	draws    []protocol.Draw
	messages []protocol.ClientMessage
	frame    []byte
}

var outgoings = sync.Pool{New: func() any { return new(outgoing) }}

// begin makes the connection the client's present one.
func (l *link) begin() {
	c := l.c
	var expired []Refused
	now := time.Now()
	c.mu.Lock()
	c.link = l
	c.nameDue = c.name != ""
	n := c.outbox.reconnect(now.Add(-c.opts.MaxAge), func(e *entry) {
		expired = append(expired, Refused{Op: e.Number, Final: true, Expired: true})
	})
	c.stats.Expired += uint64(n)
	c.notify()
	c.mu.Unlock()
	if len(expired) > 0 && c.opts.OnRefused != nil {
		c.handling.Lock()
		for _, r := range expired {
			c.opts.OnRefused(r)
		}
		c.handling.Unlock()
	}
}

// write is the writer's goroutine: it writes what there is until the
// connection ends.
func (l *link) write() {
	if err := l.writeAll(); err != nil && l.ctx.Err() == nil {
		l.writeErr = err
		_ = l.ws.Close() // the reader notices
	}
}

func (l *link) writeAll() error {
	if !l.c.opts.Anonymous {
		// The session must be known before the first operation.
		hello := &outgoing{messages: []protocol.ClientMessage{protocol.Hello{Session: l.c.opts.Session}}}
		if err := l.writeMessages(hello); err != nil {
			return err
		}
	}
	for l.ctx.Err() == nil {
		out := outgoings.Get().(*outgoing)
		wait := l.collect(out)
		n := len(out.messages)
		var err error
		if n > 0 {
			err = l.writeMessages(out)
			l.written()
		}
		clear(out.draws)
		clear(out.messages)
		out.draws, out.messages = out.draws[:0], out.messages[:0]
		if cap(out.frame) > 2*maxFrame {
			out.frame = nil
		}
		outgoings.Put(out)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		l.idle(wait)
	}
	return nil
}

// idle waits for something to write, for a while when wait is not 0.
func (l *link) idle(wait time.Duration) {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-l.ctx.Done():
	case <-l.c.wake:
	case <-due:
	}
}

// collect takes what is to be written next. When that is nothing, it returns
// after which time to look again, 0 when only a wake-up can bring something.
func (l *link) collect(out *outgoing) time.Duration {
	c := l.c
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nameDue {
		out.messages = append(out.messages, protocol.SetName{Name: c.name})
		c.nameDue = false
	}
	for ; c.pingsDue > 0; c.pingsDue-- {
		out.messages = append(out.messages, protocol.Ping{})
	}
	var resent int
	out.draws, resent = c.outbox.take(out.draws, maxTake, now)
	for i := range out.draws {
		out.messages = append(out.messages, out.draws[i])
	}
	c.stats.Sent += uint64(len(out.draws))
	c.stats.Resent += uint64(resent)
	c.writing = c.opts.Anonymous && len(out.draws) > 0
	return c.outbox.wait(now)
}

// written tells those who wait for it that the operations have left.
func (l *link) written() {
	c := l.c
	c.mu.Lock()
	if c.writing {
		c.writing = false
		c.notify()
	}
	c.mu.Unlock()
}

// writeMessages writes messages in order: one a frame in the JSON codec,
// as many as fit in the binary one.
func (l *link) writeMessages(out *outgoing) error {
	if l.c.opts.Codec == JSON {
		for _, m := range out.messages {
			b, err := protocol.EncodeClientJSON(m)
			if err != nil {
				return err
			}
			if err := l.writeFrame(websocket.TextMessage, b); err != nil {
				return err
			}
		}
		return nil
	}
	out.frame = out.frame[:0]
	for i, m := range out.messages {
		var err error
		if out.frame, err = protocol.AppendClientBinary(out.frame, m); err != nil {
			return err
		}
		if len(out.frame) < maxFrame && i < len(out.messages)-1 {
			continue
		}
		if err := l.writeFrame(websocket.BinaryMessage, out.frame); err != nil {
			return err
		}
		out.frame = out.frame[:0]
	}
	return nil
}

func (l *link) writeFrame(kind int, b []byte) error {
	if err := l.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return l.ws.WriteMessage(kind, b)
}

// sayClose writes a close frame if that is possible soon.
func (l *link) sayClose(code int, reason string) {
	payload := websocket.FormatCloseMessage(code, reason[:min(len(reason), 123)])
	_ = l.ws.WriteControl(websocket.CloseMessage, payload, time.Now().Add(lingerTime))
}
