package client

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
)

var codecs = []Codec{Binary, JSON}

func flush(t testing.TB, c *Client) {
	t.Helper()
	if err := c.Flush(within(t)); err != nil {
		t.Fatalf("flush: %v; %+v", err, c.Stats())
	}
}

func TestSendsInOrderUntilAcknowledged(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				session := protocol.NewSession()
				g := newGateway(t, func(p *peer) {
					p.connected(epochA, 0)
					if p.hello() != session {
						t.Error("another session")
					}
					if m, ok := (<-p.in).(protocol.SetName); !ok || m.Name != "Zoë" {
						t.Errorf("a name was to come, got %T", m)
					}
					wantNumbers(t, "received", p.draws(5), 8, 9, 10, 11, 12)
					time.Sleep(time.Second)
					p.send(protocol.Ack{Number: 10, Seq: 3}, protocol.Ack{Number: 10, Seq: 3}, protocol.Ack{Number: 12, Seq: 5})
					p.drain()
				})
				o := g.options(codec)
				o.Session, o.LastOp, o.Name = session, 7, " Zoë "
				var acked []Acked
				o.OnAck = func(a Acked) { acked = append(acked, a) }
				c := start(t, o)
				draw(t, c, 5)
				if c.Stats().Outbox != 5 {
					t.Error("operations do not wait in the outbox")
				}
				flush(t, c)
				synctest.Wait()
				if s := c.Stats(); s.Sent != 5 || s.Resent != 0 || s.Acked != 5 || s.Outbox != 0 {
					t.Errorf("stats: %+v", s)
				}
				if len(acked) != 5 || acked[0].Op != 8 || acked[0].Seq != 3 || acked[4].Seq != 5 || acked[0].Sends != 1 || acked[0].Arrived.Sub(acked[0].Sent) != time.Second {
					t.Errorf("acked: %+v", acked)
				}
			})
		})
	}
}

func TestStrokesAndTraces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type key struct{}
		pixels := make([]canvas.Pixel, 4096)
		for i := range pixels {
			pixels[i] = canvas.Pixel{X: uint16(i % 16), Y: uint16(i % 12), Color: canvas.Color(i)}
		}
		want := slices.Clone(pixels)
		g := newGateway(t, func(p *peer) {
			p.follow(0)
			p.hello()
			for i := range 10 {
				d := (<-p.in).(protocol.Draw)
				if !slices.Equal(d.Pixels, want) || d.Trace != (canvas.Trace{7}) {
					t.Errorf("stroke %d is another one", i)
				}
				p.send(protocol.Ack{Number: d.Number, Seq: d.Number})
			}
			p.drain()
		})
		o := g.options(Binary)
		o.Trace = func(ctx context.Context) canvas.Trace { return ctx.Value(key{}).(canvas.Trace) }
		c := start(t, o)
		ctx := context.WithValue(context.Background(), key{}, canvas.Trace{7})
		for range 10 {
			if _, err := c.Draw(ctx, pixels...); err != nil {
				t.Fatal(err)
			}
		}
		clear(pixels) // the caller's slice is the caller's
		flush(t, c)
	})
}

func TestDrawRefusesWhatIsNoOperation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) { p.drain() })
		o := g.options(JSON)
		o.MaxOutbox = 2
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		pixel := canvas.Pixel{}
		for _, pixels := range [][]canvas.Pixel{nil, {pixel, pixel}, {{Color: 1 << 24}}} {
			if _, err := c.Draw(ctx, pixels...); !errors.Is(err, ErrOperation) {
				t.Errorf("%v: %v, want ErrOperation", pixels, err)
			}
		}
		draw(t, c, 2)
		if _, err := c.Draw(ctx, pixel); !errors.Is(err, ErrOutboxFull) {
			t.Errorf("got %v, want ErrOutboxFull", err)
		}
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := c.Draw(gone, pixel); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
		if err := c.SetName("a\nb"); !errors.Is(err, ErrName) {
			t.Errorf("got %v, want ErrName", err)
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		c.Start(ctx) // too late
		if _, err := c.Draw(ctx, pixel); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if err := c.Flush(ctx); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestTransientRefusalGoesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.follow(0)
			wantNumbers(t, "first", p.draws(4), 1, 2, 3, 4)
			p.send(protocol.Ack{Number: 1, Seq: 1})
			refused := time.Now()
			for _, n := range []uint64{2, 3, 4} {
				p.send(protocol.Error{Code: protocol.CodeRateLimited, Number: n, RetryAfter: 400})
			}
			wantNumbers(t, "again", p.draws(4), 2, 3, 4, 5)
			if waited := time.Since(refused); waited != 500*time.Millisecond { // and half of it by half of the jitter
				t.Errorf("sent again after %v", waited)
			}
			p.send(protocol.Ack{Number: 5, Seq: 5})
			p.drain()
		})
		o := g.options(Binary)
		o.Rand = func() float64 { return 0.5 }
		var refused []Refused
		o.OnRefused = func(r Refused) { refused = append(refused, r) }
		c := start(t, o)
		draw(t, c, 4)
		time.Sleep(200 * time.Millisecond)
		draw(t, c, 1) // does not overtake
		flush(t, c)
		if s := c.Stats(); s.Sent != 8 || s.Resent != 3 || s.Acked != 5 || s.Refused[protocol.CodeRateLimited] != 3 {
			t.Errorf("stats: %+v", s)
		}
		if len(refused) != 3 || refused[0].Op != 2 || refused[0].Final || refused[0].RetryAfter != 400*time.Millisecond {
			t.Errorf("refused: %+v", refused)
		}
	})
}

func TestPermanentRefusalIsReportedOnce(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGateway(t, func(p *peer) {
					p.connected(epochA, 0)
					if p.n == 1 {
						p.draws(3)
						return // the refusal of 2 is lost with the connection
					}
					wantNumbers(t, "again", p.draws(3), 1, 2, 3)
					p.send(protocol.Error{Code: protocol.CodeOutOfBounds, Message: "Invalid pixel data", Number: 2}, protocol.Ack{Number: 3, Seq: 2})
					p.drain()
				})
				o := g.options(codec)
				var refused []Refused
				o.OnRefused = func(r Refused) { refused = append(refused, r) }
				c := start(t, o)
				draw(t, c, 3)
				flush(t, c)
				if s := c.Stats(); s.Acked != 2 || s.Resent != 3 {
					t.Errorf("stats: %+v", s)
				}
				if len(refused) != 1 || refused[0].Op != 2 || !refused[0].Final || refused[0].Code != protocol.CodeOutOfBounds {
					t.Errorf("refused: %+v", refused)
				}
			})
		})
	}
}

func TestOutboxGoesFirstOnANewConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			if p.n == 1 {
				p.follow(0)
				p.hello()
				p.draws(4)
				p.send(protocol.Ack{Number: 1, Seq: 1})
				p.send(protocol.Error{Code: protocol.CodeBusy, Number: 2, RetryAfter: 60_000}) // does not outlive the connection
				time.Sleep(time.Second)
				return
			}
			p.hello()
			wantNumbers(t, "again", p.draws(5), 2, 3, 4, 5, 6)
			p.follow(0)
			p.send(protocol.Ack{Number: 6, Seq: 6})
			p.drain()
		})
		o := g.options(Binary)
		o.OnDisconnect = nil
		c := start(t, o)
		draw(t, c, 4)
		time.Sleep(500 * time.Millisecond)
		draw(t, c, 2)
		flush(t, c)
		if s := c.Stats(); s.Sent != 9 || s.Resent != 3 || s.Acked != 6 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestDegradedWaitsForLive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var states []State
		g := newGateway(t, func(p *peer) {
			p.follow(0)
			p.send(protocol.Status{State: protocol.Degraded})
			p.draws(1)
			p.send(protocol.Error{Code: protocol.CodeDegraded, Number: 1, RetryAfter: 100})
			time.Sleep(time.Hour)
			select {
			case m := <-p.in:
				t.Errorf("%T while degraded", m)
			default:
			}
			p.send(protocol.Status{State: protocol.Live})
			p.draws(1)
			// A degraded that comes late does not wait for a live that was.
			p.send(protocol.Error{Code: protocol.CodeDegraded, Number: 1, RetryAfter: 100})
			p.draws(1)
			p.send(protocol.Ack{Number: 1, Seq: 1}, protocol.Status{State: protocol.Draining})
			p.close(protocol.CloseRestart, "retry=60000")
		})
		o := g.options(Binary)
		o.IdleTimeout = -1
		o.OnState = func(s State) { states = append(states, s) }
		c := start(t, o)
		draw(t, c, 1)
		if err := c.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []State{Connecting, Live, Degraded, Live, Draining, Offline}; !slices.Equal(states, want) {
			t.Errorf("states %v, want %v", states, want)
		}
	})
}

func TestAnonymousIsLikeAnOldClient(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				g := newGateway(t, func(p *peer) {
					p.connected(epochA, 0)
					if p.n > 1 {
						if m, ok := <-p.in; ok {
							t.Errorf("%+v on a new connection", m)
						}
						return
					}
					for range 3 {
						m, ok := (<-p.in).(protocol.Draw)
						if !ok || m.Number != 0 {
							t.Errorf("%+v, want an operation without a number", m)
						}
					}
					time.Sleep(time.Second)
				})
				o := g.options(codec)
				o.Anonymous = true
				left := make(chan struct{}, 1)
				o.OnDisconnect = func(int, string) { left <- struct{}{} }
				c := start(t, o)
				draw(t, c, 3)
				flush(t, c)
				<-left
				if s := c.Stats(); s.Sent != 3 || s.Resent != 0 || c.Author() != 0 {
					t.Errorf("stats: %+v", s)
				}
			})
		})
	}
}

func TestNamesAndPings(t *testing.T) {
	for _, codec := range codecs {
		t.Run(codec.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				names := make(chan string, 10)
				g := newGateway(t, func(p *peer) {
					p.connected(epochA, 0)
					for m := range p.in {
						switch m := m.(type) {
						case protocol.SetName:
							names <- m.Name
						case protocol.Ping:
							if p.n == 2 {
								return
							}
							time.Sleep(30 * time.Millisecond)
							p.send(protocol.Pong{Time: 1})
						case protocol.Draw:
							return
						}
					}
				})
				c, err := New(g.options(codec))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				ctx := within(t)
				if _, err := c.Ping(ctx); !errors.Is(err, ErrNotConnected) {
					t.Errorf("got %v, want ErrNotConnected", err)
				}
				states := make(chan State, 100)
				c.opts.OnState = func(s State) { states <- s }
				c.Start(context.Background())
				for <-states != Live {
				}
				if took, err := c.Ping(ctx); err != nil || took != 30*time.Millisecond {
					t.Errorf("ping took %v, %v", took, err)
				}
				if err := c.SetName("one"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if err := c.SetName(""); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if err := c.SetName("two"); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				draw(t, c, 1) // ends the connection; the next one is told the name
				for <-states != Live {
				}
				if _, err := c.Ping(ctx); !errors.Is(err, ErrNotConnected) {
					t.Errorf("got %v, want ErrNotConnected", err)
				}
				for _, want := range []string{"one", "", "two", "two"} {
					if got := <-names; got != want {
						t.Errorf("name %q, want %q", got, want)
					}
				}
			})
		})
	}
}

func TestOldOperationsAreReportedNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGateway(t, func(p *peer) {
			p.follow(0)
			if p.n == 1 {
				wantNumbers(t, "first", p.draws(1), 1)
				time.Sleep(13 * time.Hour)
				return
			}
			wantNumbers(t, "later", p.draws(1), 2)
			p.send(protocol.Ack{Number: 2, Seq: 2})
			p.drain()
		})
		o := g.options(Binary)
		o.IdleTimeout = -1
		var refused []Refused
		o.OnRefused = func(r Refused) { refused = append(refused, r) }
		lost := make(chan struct{}, 1)
		var c *Client
		o.OnDisconnect = func(int, string) {
			if _, err := c.Draw(context.Background(), canvas.Pixel{}); err != nil { // callbacks may call
				t.Error(err)
			}
			lost <- struct{}{}
		}
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		draw(t, c, 1)
		c.Start(context.Background())
		<-lost
		flush(t, c)
		if len(refused) != 1 || refused[0].Op != 1 || !refused[0].Expired || c.Stats().Expired != 1 {
			t.Errorf("refused: %+v", refused)
		}
	})
}
