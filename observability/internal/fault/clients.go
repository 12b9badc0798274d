package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// Clients is a crowd of badly behaved clients.
type Clients struct {
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Stop ends all of them and waits.
func (c *Clients) Stop() error {
	c.stop()
	c.running.Wait()
	return nil
}

// crowd runs n clients; each lives as life says, and again when that returns,
// until ctx ends.
func crowd(ctx context.Context, n int, life func(ctx context.Context, i int)) *Clients {
	ctx, cancel := context.WithCancel(ctx)
	c := &Clients{stop: cancel}
	for i := range n {
		c.running.Go(func() {
			for ctx.Err() == nil {
				life(ctx, i)
				wait(ctx, 100*time.Millisecond) // a gateway that is away is not flooded
			}
		})
	}
	return c
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// dial opens a WebSocket that is closed when ctx ends.
func dial(ctx context.Context, url string, narrow bool) (*websocket.Conn, func(), error) {
	d := net.Dialer{}
	if narrow {
		// A slow line holds a few kilobytes, where the loopback device has
		// megabytes. Both before the connection is made: the window is agreed
		// upon then, and the sender sizes its buffer by the segments.
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			return errors.Join(c.Control(func(fd uintptr) {
				err = errors.Join(
					syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10),
					syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536))
			}), err)
		}
	}
	dialer := websocket.Dialer{NetDialContext: d.DialContext, HandshakeTimeout: 5 * time.Second, ReadBufferSize: 1 << 10}
	conn, answer, err := dialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, nil, err
	}
	_ = answer.Body.Close()
	unhook := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, func() { unhook(); _ = conn.Close() }, nil
}

// Deaf clients stop reading as soon as they are connected.
func Deaf(ctx context.Context, urls []string, n int) *Clients {
	return crowd(ctx, n, func(ctx context.Context, i int) {
		conn, end, err := dial(ctx, urls[i%len(urls)], true)
		if err != nil {
			return
		}
		defer end()
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
		// Long enough to be closed for it, in which the socket fills up.
		for ctx.Err() == nil {
			wait(ctx, time.Second)
			if err := conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second)); err != nil {
				return
			}
		}
	})
}

// Mute clients read and answer no ping.
func Mute(ctx context.Context, urls []string, n int) *Clients {
	return crowd(ctx, n, func(ctx context.Context, i int) {
		conn, end, err := dial(ctx, urls[i%len(urls)], false)
		if err != nil {
			return
		}
		defer end()
		conn.SetPingHandler(func(string) error { return nil })
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	})
}

// Crowd clients are connected, and do nothing else.
func Crowd(ctx context.Context, url string, n int) *Clients {
	return crowd(ctx, n, func(ctx context.Context, _ int) {
		conn, end, err := dial(ctx, url, false)
		if err != nil {
			return
		}
		defer end()
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	})
}

// Rubbish clients send so many messages a second that say nothing.
func Rubbish(ctx context.Context, urls []string, n, perSecond int) *Clients {
	return crowd(ctx, n, func(ctx context.Context, i int) {
		conn, end, err := dial(ctx, urls[i%len(urls)], false)
		if err != nil {
			return
		}
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			for {
				if _, _, err := conn.NextReader(); err != nil {
					return
				}
			}
		}()
		defer func() { end(); <-heard }()
		for ctx.Err() == nil {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"pixel_update","x":"east"`)); err != nil {
				return
			}
			wait(ctx, time.Second/time.Duration(perSecond))
		}
	})
}

// Flapping clients stay for a time, lose their connection, come back where they
// were after being away, and report how long that took.
func Flapping(ctx context.Context, urls []string, n int, stay, away time.Duration) *Clients {
	at := make([]position, n)
	return crowd(ctx, n, func(ctx context.Context, i int) {
		p := &at[i]
		conn, end, err := dial(ctx, urls[i%len(urls)]+p.query(), false)
		if err != nil {
			return
		}
		defer end()
		// The connection is gone after so long, whatever comes.
		if err := conn.SetReadDeadline(time.Now().Add(stay)); err != nil {
			return
		}
		for {
			var m struct {
				Type  string
				Epoch string
				Seq   uint64
			}
			if err := conn.ReadJSON(&m); err != nil {
				break
			}
			if m.Epoch != "" {
				p.epoch = m.Epoch
			}
			p.seq = max(p.seq, m.Seq)
			if m.Type == "connected" && !p.lost.IsZero() {
				report := fmt.Appendf(nil, `{"type":"telemetry","kind":"recovery","millis":%d,"vantage":"other"}`, time.Since(p.lost).Milliseconds())
				if err := conn.WriteMessage(websocket.TextMessage, report); err != nil {
					break
				}
			}
		}
		p.lost = time.Now()
		end()
		wait(ctx, away)
	})
}

// position is what a client keeps while it is away.
type position struct {
	epoch string
	seq   uint64
	lost  time.Time
}

func (p position) query() string {
	if p.epoch == "" {
		return ""
	}
	return fmt.Sprintf("?epoch=%s&since=%d", p.epoch, p.seq)
}
