package gateway

import (
	"math"
	"time"

	"github.com/cloud-pixel/playground/services/protocol"
	"golang.org/x/time/rate"
)

// leastPause is the shortest time for which a client over its rate is asked to
// wait. It comes back with all that waits there: were it told the moment at
// which one operation may pass, it would send everything again for each one.
const leastPause = time.Second

func limiter(perSecond, burst float64) *rate.Limiter {
	if perSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(burst))
}

// take tells whether n may pass now; if not, after how long.
func take(l *rate.Limiter, now time.Time, n int) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	r := l.ReserveN(now, n)
	if !r.OK() {
		return time.Second, false
	}
	if d := r.DelayFrom(now); d > 0 {
		r.CancelAt(now)
		return d, false
	}
	return 0, true
}

// maxAnswers is how many answers may wait for the hub before the reader waits.
const maxAnswers = 128

// pace has the reader wait when it answers faster than the hub writes. Else a
// client that reads all the time would be closed as one that does not, only for
// having many refused operations under way.
func (c *conn) pace() {
	if n := c.socket.turns.Load(); n != c.turn {
		c.turn, c.answered = n, 0
	}
	if c.answered++; c.answered < maxAnswers {
		return
	}
	for c.socket.turns.Load() == c.turn {
		select {
		case <-c.socket.turned:
		case <-c.out.Done():
			return
		}
	}
}

// tell tells the client that something was refused.
func (c *conn) tell(r *protocol.Refusal) {
	if m := c.gateway.metrics.refused[r.Code]; m != nil {
		m.Inc()
	}
	c.out.Send(protocol.Error{Code: r.Code, Message: r.Code.Message(), Number: r.Number, RetryAfter: r.RetryAfter})
}

// refuse tells the client, and closes a connection that does not learn.
func (c *conn) refuse(r *protocol.Refusal) {
	c.tell(r)
	if r.Code.Transient() && r.Code != protocol.CodeRateLimited {
		return // not the client's fault
	}
	if _, ok := take(c.offences, time.Now(), 1); !ok {
		c.close(protocol.ClosePolicy, "too many bad messages")
	}
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(math.Ceil(float64(d)/float64(time.Millisecond)), 60_000))
}
