package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/bench/scenarios/metrics"
	"github.com/cloud-pixel/playground/services/protocol"
)

// This file has the scenarios in which some clients behave badly, by hand on
// the socket, and the good ones, who are measured, must not notice.

var slowClient = Scenario{
	Name:    "slow-client",
	Summary: "5 clients stop reading while 20 others draw quickly: the others must not notice, and those who do not read are closed",
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 20, 1, maxClients, "Clients that are measured.")
		slow := s.Int("SLOW_CLIENTS", 5, 1, 1000, "Clients that do not read.")
		d := s.Time("TEST_DURATION", 40*time.Second, time.Hour, "How long is drawn.")
		rate := s.Rate("WRITE_RATE", 200, 10_000, false, "Writes per second of all together.")
		return func(ctx context.Context, r *Run) error {
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			if err := g.Join(ctx, n, time.Second); err != nil {
				return err
			}
			var asleep []*websocket.Conn
			defer func() {
				for _, ws := range asleep {
					_ = ws.Close() // nothing to say any more
				}
			}()
			for range slow {
				ws, err := r.raw(ctx, true, "")
				if err != nil {
					return err
				}
				asleep = append(asleep, ws)
			}
			if err := r.draw(ctx, r.spread(rate, d)); err != nil {
				return err
			}
			if err := r.Settle(ctx); err != nil {
				return err
			}
			// Now they wake up and see what became of them.
			codes := map[string]float64{}
			closed := 0
			for _, ws := range asleep {
				why := whyClosed(ws)
				codes[why]++
				if why != stillOpen {
					closed++
				}
			}
			m := r.Own.Count("pixel_slow_closed", "clients that did not read and were closed", uint64(closed))
			for why, n := range codes {
				m.Part("end", why, metrics.Metric{Value: n})
			}
			return nil
		}
	},
}

const stillOpen = "open"

// whyClosed reads what there still is on a connection and tells how it ends.
func whyClosed(ws *websocket.Conn) string {
	_ = ws.SetReadDeadline(time.Now().Add(2 * time.Second)) // a connection that is gone says so below
	for {
		_, _, err := ws.ReadMessage()
		var closed *websocket.CloseError
		var slow net.Error
		switch {
		case errors.As(err, &closed):
			return fmt.Sprint(closed.Code)
		case errors.As(err, &slow) && slow.Timeout():
			return stillOpen
		case err != nil:
			return "broken"
		}
	}
}

// raw opens a connection without a client. A small one has a receive buffer
// that is soon full.
func (r *Run) raw(ctx context.Context, small bool, subprotocol string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 5 * time.Second}
	if small {
		dialer.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(4 << 10) // as small as the system allows
			}
			return conn, err
		}
	}
	if subprotocol != "" {
		dialer.Subprotocols = []string{subprotocol}
	}
	// Straight to a gateway where that is possible: a proxy between would read
	// for who does not.
	urls := r.URLs
	if len(r.Gateways) > 0 {
		urls = r.Gateways
	}
	url := urls[rand.IntN(len(urls))]
	if r.Canvas != "" {
		url += "?canvas=" + r.Canvas
	}
	ws, _, err := dialer.DialContext(ctx, url, nil)
	return ws, err
}

var abuse = Scenario{
	Name:    "abuse",
	Summary: "10 clients send rubbish, oversized messages and floods while 20 others draw: the others must not notice",
	// What production has, and a playground turns off.
	Env: []string{"MESSAGES_PER_SECOND=60", "PIXELS_PER_SECOND=2000"},
	Prepare: func(s *Settings) func(context.Context, *Run) error {
		n := s.Int("NUM_CLIENTS", 20, 1, maxClients, "Clients that are measured.")
		bad := s.Int("ABUSERS", 10, 1, 1000, "Clients that behave badly; each comes back when it is closed.")
		flood := s.Rate("ABUSE_RATE", 500, 100_000, false, "Messages per second of each.")
		d := s.Time("TEST_DURATION", 20*time.Second, time.Hour, "How long is drawn.")
		rate := s.Rate("WRITE_RATE", 20, 10_000, false, "Writes per second of the good ones together.")
		return func(ctx context.Context, r *Run) error {
			g, err := r.NewGroup()
			if err != nil {
				return err
			}
			if err := g.Join(ctx, n, time.Second); err != nil {
				return err
			}
			var a abusers
			err = r.draw(ctx, r.spread(rate, d), func(ctx context.Context) error {
				var all sync.WaitGroup
				for i := range bad {
					all.Go(func() { a.run(ctx, r, i, flood) })
				}
				all.Wait()
				return nil
			})
			if err != nil {
				return err
			}
			r.Own.Count("pixel_abuse_messages", "messages of the bad ones that were sent", a.sent.Load())
			r.Own.Count("pixel_abuse_answers", "messages that they got, their errors among them", a.answers.Load())
			r.Own.Count("pixel_abuse_closed", "times that a gateway closed the connection of a bad one", a.closed.Load())
			return r.Settle(ctx)
		}
	},
}

// abusers count what they did. Valid pixels of theirs go to the cell (0, 0) in
// white, the colour of no write of a group.
type abusers struct{ sent, answers, closed atomic.Uint64 }

// rubbish is what one of them says, over and over.
var rubbish = []func(i int) (kind int, message []byte){
	func(int) (int, []byte) {
		return websocket.TextMessage, []byte(`{"type":"pixel_update","x":1e99,"y":-3,"color":"red"}`)
	},
	func(i int) (int, []byte) {
		r := rand.New(rand.NewPCG(uint64(i), 0))
		b := make([]byte, 200)
		for n := range b {
			b[n] = byte(r.Uint32())
		}
		return websocket.BinaryMessage, b
	},
	func(int) (int, []byte) { return websocket.TextMessage, []byte(strings.Repeat("[", 5000)) },
	func(int) (int, []byte) {
		return websocket.TextMessage, []byte(`{"type":"pixel_update","x":0,"y":0,"color":"#FFFFFF"}`)
	}, // a flood of what is right
	func(int) (int, []byte) { return websocket.TextMessage, make([]byte, 1<<20) }, // too big
	func(int) (int, []byte) {
		return websocket.TextMessage, []byte(`{"type":"set_username","username":"` + strings.Repeat("x", 60_000) + `"}`)
	},
}

// run behaves badly until ctx ends.
func (a *abusers) run(ctx context.Context, r *Run, i int, perSecond float64) {
	subprotocol := ""
	if i%3 == 1 {
		subprotocol = protocol.Subprotocol
	}
	for ctx.Err() == nil {
		ws, err := r.raw(ctx, false, subprotocol)
		if err != nil {
			if wait(ctx, 100*time.Millisecond) != nil {
				return
			}
			continue
		}
		a.talk(ctx, ws, rubbish[i%len(rubbish)], perSecond)
		// Who was thrown out comes back, but not without end.
		if wait(ctx, 50*time.Millisecond) != nil {
			return
		}
	}
}

func (a *abusers) talk(ctx context.Context, ws *websocket.Conn, say func(int) (int, []byte), perSecond float64) {
	var reading sync.WaitGroup
	var ended atomic.Bool
	reading.Go(func() {
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				ended.Store(true)
				return
			}
			a.answers.Add(1)
		}
	})
	begin := time.Now()
	for n := 0; ctx.Err() == nil && !ended.Load(); n++ {
		if wait(ctx, time.Until(begin.Add(time.Duration(float64(n)/perSecond*float64(time.Second))))) != nil {
			break
		}
		kind, message := say(n)
		_ = ws.SetWriteDeadline(time.Now().Add(time.Second)) // a dead connection fails below
		if ws.WriteMessage(kind, message) != nil {
			break
		}
		a.sent.Add(1)
	}
	if ctx.Err() == nil {
		a.closed.Add(1)
	}
	_ = ws.Close() // whoever closed it first
	reading.Wait()
}
