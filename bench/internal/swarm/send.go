package swarm

import (
	"context"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cloud-pixel/playground/services/canvas"
)

// Sent is what became of the writes on the generator's side.
type Sent struct {
	Writes uint64
	// Late is by how much writes were sent after they were due, µs. It is part
	// of every latency, and no server's fault.
	Late *hdrhistogram.Histogram
	// Held counts times that a socket did not take everything at once.
	Held uint64
}

// Send sends the writes of a schedule, each when it is due, and returns when
// the last was sent or ctx has ended. It never waits for a server: what a
// socket does not take is kept and tried again before anything else goes to
// it.
func (s *Swarm) Send(ctx context.Context, schedule Schedule) Sent {
	s.do(func() {
		s.begin, s.schedule = schedule.Begin, &schedule
	})
	runtime.LockOSThread() // the kernel's own sleep is precise to 0.1 ms, the runtime's to 1 ms
	defer runtime.UnlockOSThread()
	sent := Sent{Late: histogram()}
	held := map[*Conn]struct{}{}
	var frame, payload []byte
	for k := 0; k < schedule.Writes && ctx.Err() == nil; {
		for c := range held {
			if c.flush() {
				delete(held, c)
			}
		}
		now := time.Since(schedule.Begin)
		ready := min(schedule.Writes, int(now/schedule.Interval)+1)
		if now < 0 || k >= ready {
			wait := schedule.due(k) - now
			if len(held) > 0 {
				wait = min(wait, time.Millisecond)
			}
			nap(wait)
			continue
		}
		client, end := schedule.sender(k)
		c := s.conns[client]
		frame = frame[:0]
		for end = min(end, ready); k < end; k++ {
			c.op++
			x, y := schedule.cell(k)
			payload = s.wire.write(payload[:0], c.op, canvas.Pixel{X: x, Y: y, Color: canvas.Color(k)})
			frame = appendFrame(frame, s.wire.opcode(), c.key, payload)
			if schedule.measured(k) {
				sent.Writes++
				note(sent.Late, now-schedule.due(k))
			}
		}
		if c.waiting != nil {
			c.waiting = append(c.waiting, frame...)
			continue
		}
		if n, err := write(c.fd, frame); err == nil && n < len(frame) {
			c.waiting = append([]byte(nil), frame[n:]...)
			held[c] = struct{}{}
			sent.Held++
		}
		// Of an error the reader learns, too, and tells why.
	}
	for len(held) > 0 && ctx.Err() == nil {
		for c := range held {
			if c.flush() {
				delete(held, c)
			}
		}
		nap(time.Millisecond)
	}
	return sent
}

// flush tries to send what waits, and tells whether nothing does any more.
func (c *Conn) flush() bool {
	n, err := write(c.fd, c.waiting)
	if err != nil || n == len(c.waiting) {
		c.waiting = nil
		return true
	}
	c.waiting = c.waiting[n:]
	return false
}
