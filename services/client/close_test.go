package client

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/cloud-pixel/playground/services/protocol"
)

func TestCloseCodesThatEndTheClient(t *testing.T) {
	for code, want := range map[int]error{
		protocol.CloseNotFound: ErrNotFound,
		protocol.CloseReplaced: ErrReplaced,
		protocol.ClosePolicy:   ErrPolicy,
	} {
		bubble(t, func(t *testing.T) {
			g := newGateway(t, func(p *peer) {
				p.follow(0)
				p.close(code, "because")
			})
			o := g.options(Binary)
			o.MaxOutbox = 1
			c := start(t, o)
			<-c.Done()
			if !errors.Is(c.Err(), want) || !strings.Contains(c.Err().Error(), "because") {
				t.Errorf("%d: ended with %v, want %v", code, c.Err(), want)
			}
			if s := c.Stats(); s.Attempts != 1 || s.Disconnects[code] != 1 || c.State() != Offline {
				t.Errorf("%d: %+v", code, s)
			}
			if err := c.WaitFor(within(t), 100); !errors.Is(err, want) {
				t.Errorf("%d: waiting: %v, want %v", code, err, want)
			}
		})
	}
}

func TestRefusedHelloEndsTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.follow(0)
			p.send(protocol.Error{Code: protocol.CodeInvalidHello, Message: "Invalid hello"})
			p.drain()
		})
		c := start(t, g.options(Binary))
		<-c.Done()
		if !errors.Is(c.Err(), ErrHello) {
			t.Errorf("ended with %v", c.Err())
		}
	})
}

// How long a client stays away after each kind of ending, with jitter at its
// greatest, and after which time of connection.
func TestPausesBetweenAttempts(t *testing.T) {
	const ms = time.Millisecond
	for _, f := range []struct {
		name   string
		lives  time.Duration
		end    func(*peer)
		pauses []time.Duration
	}{
		{"broken at once", 0, func(*peer) {}, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2000 * ms, 2000 * ms}},
		{"broken after a stable time", 10 * time.Second, func(*peer) {}, []time.Duration{100 * ms, 100 * ms, 100 * ms}},
		{"told when", 2 * time.Second, func(p *peer) { p.close(protocol.CloseRestart, "retry=340") }, []time.Duration{340 * ms, 340 * ms, 340 * ms}},
		{"told at once", 2 * time.Second, func(p *peer) { p.close(protocol.CloseRestart, "retry=0") }, []time.Duration{0, 0, 0}},
		{"told at once again and again", 0, func(p *peer) { p.close(protocol.CloseRestart, "retry=0") }, []time.Duration{100 * ms, 200 * ms, 400 * ms}},
		{"told too long", 2 * time.Second, func(p *peer) { p.close(protocol.CloseRestart, "retry=999999999") }, []time.Duration{time.Minute, time.Minute}},
		{"told nothing", 2 * time.Second, func(p *peer) { p.close(protocol.CloseRestart, "later") }, []time.Duration{100 * ms, 200 * ms}},
		{"going away", 0, func(p *peer) { p.close(protocol.CloseGoingAway, "") }, []time.Duration{100 * ms, 200 * ms}},
		{"slow", 0, func(p *peer) { p.close(protocol.CloseSlow, "slow") }, []time.Duration{100 * ms, 200 * ms}},
		{"unavailable", 0, func(p *peer) { p.close(protocol.CloseUnavailable, "") }, []time.Duration{100 * ms, 200 * ms}},
	} {
		t.Run(f.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGateway(t, func(p *peer) {
					p.follow(0)
					time.Sleep(f.lives)
					f.end(p)
				})
				o := g.options(Binary)
				o.Rand = func() float64 { return 1 }
				o.URLs = []string{"ws://a/", "ws://b/", "ws://c/"}
				c := start(t, o)
				for range len(f.pauses) + 1 {
					time.Sleep(f.lives)
					synctest.Wait()
					time.Sleep(time.Minute + time.Second)
				}
				_ = c.Close()
				times, hosts := g.dials()
				for i, want := range f.pauses {
					if got := times[i+1].Sub(times[i]) - f.lives; got != want {
						t.Errorf("pause %d: %v, want %v", i, got, want)
					}
				}
				if !slices.Equal(hosts[:3], []string{"a", "b", "c"}) {
					t.Errorf("gateways in turn: %v", hosts[:3])
				}
			})
		})
	}
}

func TestNobodyThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		nobody := newPipes()
		_ = nobody.Close()
		o := Options{URLs: []string{"ws://nobody/"}, Dialer: &websocket.Dialer{NetDialContext: nobody.DialContext}}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := Dial(ctx, o); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("got %v, want the deadline and why", err)
		}
	})
}

func TestGatewayWithoutTheCodec(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) { p.drain() })
		g.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := websocket.Upgrader{}
			ws, err := u.Upgrade(w, r, nil)
			if err == nil {
				_ = ws.Close()
			}
		})
		o := g.options(Binary)
		o.Rand = func() float64 { return 1 } // time passes between attempts
		c := start(t, o)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if c.LastError() == nil {
			t.Fatal("no error")
		}
		if !strings.Contains(c.LastError().Error(), protocol.Subprotocol) {
			t.Errorf("got %v", c.LastError())
		}
	})
}

func TestGatewayThatRefusesTheUpgrade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(*peer) {})
		g.server.Handler = http.NotFoundHandler()
		o := g.options(Binary)
		o.Rand = func() float64 { return 1 }
		c := start(t, o)
		time.Sleep(time.Second)
		if err := c.LastError(); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("got %v", err)
		}
		if s := c.Stats(); s.Attempts != s.Failures || s.Attempts != 4 { // at 0, 100, 300, 700 ms
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestSilentGatewayIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.follow(0)
			if p.n > 1 {
				p.drain()
				return
			}
			for range 10 { // pings keep the connection
				time.Sleep(30 * time.Second)
				_ = p.ws.WriteControl(websocket.PingMessage, []byte("position"), time.Now().Add(time.Second))
				if got := <-p.pongs; got != "position" {
					t.Errorf("pong %q", got)
				}
			}
			p.drain()
		})
		o := g.options(Binary)
		var lostAt time.Time
		lost := make(chan struct{})
		o.OnDisconnect = func(code int, _ string) {
			if lostAt = time.Now(); code != websocket.CloseAbnormalClosure {
				t.Errorf("code %d", code)
			}
			close(lost)
		}
		began := time.Now()
		c := start(t, o)
		<-lost
		if got := lostAt.Sub(began); got != 10*30*time.Second+DefaultIdleTimeout {
			t.Errorf("left after %v", got)
		}
		if c.Stats().Pings != 10 {
			t.Errorf("%d pings", c.Stats().Pings)
		}
	})
}

// Whoever ends the client, it says goodbye, ends its goroutines and waits for
// nothing.
func TestEnding(t *testing.T) {
	for name, end := range map[string]func(*Client, context.CancelFunc){
		"close":   func(c *Client, _ context.CancelFunc) { _ = c.Close() },
		"context": func(c *Client, cancel context.CancelFunc) { cancel(); <-c.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				left := make(chan error, 1)
				g := newGateway(t, func(p *peer) {
					p.follow(0)
					p.drain()
					left <- p.ended
				})
				c, err := New(g.options(Binary))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				c.Start(ctx)
				c.Start(ctx) // once is enough
				if err := c.WaitReady(within(t)); err != nil {
					t.Fatal(err)
				}
				end(c, cancel)
				if err := <-left; !websocket.IsCloseError(err, protocol.CloseNormal) {
					t.Errorf("the gateway saw %v", err)
				}
				if !errors.Is(c.Err(), ErrClosed) || c.Stats().Attempts != 1 || len(c.Stats().Disconnects) != 0 {
					t.Errorf("%v, %+v", c.Err(), c.Stats())
				}
			})
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{},
		{URLs: []string{"http://a"}},
		{URLs: []string{"ws://"}},
		{URLs: []string{"%"}},
		{URLs: []string{"ws://a"}, Canvas: "Bad Name"},
		{URLs: []string{"ws://a"}, Codec: 7},
		{URLs: []string{"ws://a"}, Name: "a\x00"},
		{URLs: []string{"ws://a"}, API: "a:80"},
		{URLs: []string{"ws://a"}, MaxOutbox: -1},
		{URLs: []string{"ws://a"}, LastOp: 1 << 60},
		{URLs: []string{"ws://a"}, Backoff: Backoff{Factor: 0.5}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is accepted", o.URLs)
		}
	}
}
