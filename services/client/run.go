package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/protocol"
)

// maxRetryAfter bounds for how long a gateway can keep a client away.
const maxRetryAfter = time.Minute

// ending is how an attempt or a connection ended.
type ending struct {
	established bool          // the gateway's first message had come
	lived       time.Duration // since then
	code        int
	reason      string
	err         error // what to tell people
	final       error // the client is not to try again
}

// run owns the client's goroutines: each of them ends before it does.
func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	next := int(c.opts.Rand() * float64(len(c.opts.URLs)))
	for {
		c.setState(Connecting)
		end := c.attempt(ctx, c.opts.URLs[next%len(c.opts.URLs)])
		next++
		if ctx.Err() != nil {
			c.finish(ErrClosed)
			return
		}
		c.mu.Lock()
		c.lastErr = end.err
		if end.established {
			c.stats.Disconnects[end.code]++
			if c.lostAt.IsZero() {
				c.lostAt = time.Now()
			}
		} else {
			c.stats.Failures++
		}
		c.mu.Unlock()
		if end.established && c.opts.OnDisconnect != nil {
			c.handling.Lock()
			c.opts.OnDisconnect(end.code, end.reason)
			c.handling.Unlock()
		}
		if end.final != nil {
			c.finish(end.final)
			return
		}
		c.setState(Offline)
		if sleep(ctx, c.pause(end)) != nil {
			c.finish(ErrClosed)
			return
		}
	}
}

// pause returns how long to wait before the next attempt. A gateway that goes
// away says when to come back, and spreads its clients itself; but where one
// connection after the other ends like this at once, that is a failure too.
func (c *Client) pause(end ending) time.Duration {
	after, told := retryAfter(end)
	if !told {
		return c.pace.next(end.lived)
	}
	if end.lived < time.Second {
		return max(after, c.pace.next(end.lived))
	}
	return after
}

// retryAfter reads the reason "retry=<ms>" of a close with code 1012.
func retryAfter(end ending) (time.Duration, bool) {
	text, ok := strings.CutPrefix(end.reason, "retry=")
	if end.code != protocol.CloseRestart || !ok {
		return 0, false
	}
	ms, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, false
	}
	return min(time.Duration(ms)*time.Millisecond, maxRetryAfter), true
}

// finish ends the client for good.
func (c *Client) finish(err error) {
	c.setState(Offline)
	c.mu.Lock()
	c.err = err
	c.notify()
	c.mu.Unlock()
	c.cancel()
}

// attempt makes one connection and stays with it until it ends.
func (c *Client) attempt(ctx context.Context, address string) ending {
	began := time.Now()
	c.mu.Lock()
	c.stats.Attempts++
	asked := c.tracker.resumeAt()
	asks := c.have && !c.opts.NoResume
	c.mu.Unlock()

	u, err := url.Parse(address)
	if err != nil {
		return ending{err: err} // cannot be: the options are valid
	}
	query := u.Query()
	if c.opts.Canvas != "" {
		query.Set("canvas", c.opts.Canvas)
	}
	if asks {
		query.Set("epoch", asked.Epoch.String())
		query.Set("since", strconv.FormatUint(asked.Seq, 10))
	}
	u.RawQuery = query.Encode()
	ws, response, err := c.opts.Dialer.DialContext(ctx, u.String(), c.opts.Header)
	if err != nil {
		if response != nil {
			err = fmt.Errorf("client: the gateway answered %q: %w", response.Status, err)
		}
		return ending{err: err}
	}
	if c.opts.Codec == Binary && ws.Subprotocol() != protocol.Subprotocol {
		_ = ws.Close()
		return ending{err: fmt.Errorf("client: the gateway does not speak %s", protocol.Subprotocol)}
	}
	return c.serve(ctx, &link{c: c, ws: ws, began: began, asked: asked, asks: asks})
}

// serve stays with a connection until it ends.
func (c *Client) serve(parent context.Context, l *link) ending {
	ctx, cancel := context.WithCancel(parent)
	l.ctx, l.cancel = ctx, cancel
	ws := l.ws

	// Whoever ends the client ends the read, with a word to the gateway.
	gone := make(chan struct{})
	stop := context.AfterFunc(parent, func() {
		defer close(gone)
		l.sayClose(protocol.CloseNormal, "")
		_ = ws.Close()
	})
	l.begin()
	l.running.Go(l.write)
	err := l.read()

	cancel()
	var dropped *dropError
	if errors.As(err, &dropped) {
		l.sayClose(protocol.CloseProtocol, dropped.reason)
	}
	_ = ws.Close()
	if !stop() {
		<-gone
	}
	l.running.Wait()
	return l.end(err)
}

// end takes the connection away from the client and tells how it ended.
func (l *link) end(err error) ending {
	c := l.c
	c.mu.Lock()
	c.link, c.ready, c.writing = nil, false, false
	for _, p := range c.pings {
		close(p.answer)
	}
	c.pings, c.pingsDue = nil, 0
	c.notify()
	c.mu.Unlock()

	var closed *websocket.CloseError
	var dropped *dropError
	switch {
	case l.cause != nil:
		err = l.cause
	case errors.As(err, &closed), errors.As(err, &dropped):
	case l.writeErr != nil:
		err = l.writeErr // the reader only noticed that the writer has given up
	}
	end := ending{established: l.greeted, code: websocket.CloseAbnormalClosure, reason: err.Error(), err: err}
	if l.greeted {
		end.lived = time.Since(l.greetedAt)
	}
	switch {
	case errors.As(err, &closed):
		end.code, end.reason = closed.Code, closed.Text
	case errors.As(err, &dropped):
		end.code, end.reason = protocol.CloseProtocol, dropped.reason
		end.final = dropped.final
	}
	switch end.code {
	case protocol.CloseNotFound:
		end.final = ErrNotFound
	case protocol.CloseReplaced:
		end.final = ErrReplaced
	case protocol.ClosePolicy:
		end.final = ErrPolicy
	}
	if end.final != nil && end.reason != "" {
		end.final = fmt.Errorf("%w: %s", end.final, end.reason)
	}
	return end
}

// setState notes the state and tells of a change. The caller holds no lock.
func (c *Client) setState(s State) {
	c.handling.Lock()
	defer c.handling.Unlock()
	c.changeState(s)
}

// changeState is setState for those who hold handling.
func (c *Client) changeState(s State) {
	c.mu.Lock()
	same := c.state == s
	c.state = s
	c.mu.Unlock()
	if !same && c.opts.OnState != nil {
		c.opts.OnState(s)
	}
}
