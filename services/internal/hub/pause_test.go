package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

// slowSink is a socket whose sends take a while, and in the middle of which
// something may happen.
type slowSink struct {
	takes  time.Duration
	during func()
	times  []time.Duration // of writes, since the bubble began
	begin  time.Time
}

func (s *slowSink) TryWrite(b []byte) (int, error) {
	time.Sleep(s.takes)
	s.times = append(s.times, time.Since(s.begin))
	if s.during != nil {
		s.during()
	}
	return len(b), nil
}

func (s *slowSink) WriteAll(b []byte, _ time.Duration) (int, error) { return s.TryWrite(b) }

func (s *slowSink) Close() error { return nil }

// The flusher pauses only where operations keep coming in the middle of its
// rounds: else a pause would delay the next one and save nothing.
func TestPauseOnlyWhenBehind(t *testing.T) {
	const takes = 10 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := newStage(canvas.Spec{Width: 2, Height: 2, Background: canvas.White}, Options{})
		defer s.close()
		sink := &slowSink{takes: takes, begin: time.Now()}
		conn := NewConn(sink, JSON)
		s.hub.Join(conn, nil, func(at canvas.Position, _ Resumption) protocol.ServerMessage {
			return protocol.Connected{Position: at, Spec: s.grid.Spec()}
		})
		defer s.hub.Leave(conn)
		settle := func() { time.Sleep(time.Second); synctest.Wait() }
		settle()

		// One after the other, right behind the round: all are sent at once.
		for range 2 * behindFor {
			sink.times, sink.begin = nil, time.Now()
			s.publish(paint(0, 0, 1))
			time.Sleep(takes)
			synctest.Wait()
			s.publish(paint(0, 0, 2))
			settle()
			if len(sink.times) != 2 || sink.times[0] != takes || sink.times[1] != 2*takes {
				t.Fatalf("sent after %v", sink.times)
			}
		}

		// In the middle of each round: at first the next round follows at once.
		sink.times, sink.begin = nil, time.Now()
		sink.during = func() {
			if len(sink.times) < behindFor+2 {
				s.publish(paint(0, 0, 3))
			}
		}
		s.publish(paint(0, 0, 3))
		settle()
		if len(sink.times) != behindFor+2 {
			t.Fatalf("sent after %v", sink.times)
		}
		for i, at := range sink.times {
			want := time.Duration(i+1)*takes + time.Duration(max(0, i+1-behindFor))*(takes-shortRound)
			if at != want {
				t.Errorf("round %d was sent after %v, not %v", i, at, want)
			}
		}
	})
}
