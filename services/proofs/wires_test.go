package proofs

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/gorilla/websocket"
)

// wires are the network of some clients. The test can stop their reading, as a
// laptop that goes to sleep does, and cut all of their connections at once, as
// a router that dies does. Its methods may be called by any goroutine.
type wires struct {
	// narrow keeps the kernel from hiding a client that does not read: there
	// are a few kilobytes of buffers on the way to it, as on a slow line, where
	// the loopback device has megabytes.
	narrow bool

	mu    sync.Mutex
	open  map[*wire]struct{}
	held  chan struct{} // closed when reading goes on; nil: nothing is held
	taken int           // connections so far
	down  bool          // no more
}

// dialer returns what clients dial with.
func (w *wires) dialer() *websocket.Dialer {
	d := net.Dialer{KeepAlive: -1}
	if w.narrow {
		// Both before the connection is made: the window is agreed upon then,
		// and the sender sizes its buffer by the segments.
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			return errors.Join(c.Control(func(fd uintptr) {
				err = errors.Join(
					syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10),
					syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536))
			}), err)
		}
	}
	return &websocket.Dialer{
		NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			one := w.add(c)
			if one == nil {
				return nil, errors.Join(net.ErrClosed, c.Close())
			}
			return one, nil
		},
		ReadBufferSize:  1 << 10,
		WriteBufferSize: 4 << 10,
		WriteBufferPool: &writeBuffers,
	}
}

var writeBuffers sync.Pool

func (w *wires) add(c net.Conn) *wire {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil
	}
	if w.open == nil {
		w.open = make(map[*wire]struct{})
	}
	one := &wire{Conn: c, wires: w, gone: make(chan struct{})}
	w.open[one] = struct{}{}
	w.taken++
	return one
}

// dialed returns how many connections were made since the beginning.
func (w *wires) dialed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken
}

// hold stops all reading: what has arrived stays where it is.
func (w *wires) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = make(chan struct{})
	}
}

// release lets everybody read on.
func (w *wires) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != nil {
		close(w.held)
		w.held = nil
	}
}

// sever is cut for good: nobody comes back.
func (w *wires) sever() {
	w.mu.Lock()
	w.down = true
	w.mu.Unlock()
	w.cut()
}

// cut resets all connections and returns how many there were.
func (w *wires) cut() int {
	w.mu.Lock()
	all := make([]*wire, 0, len(w.open))
	for c := range w.open {
		all = append(all, c)
	}
	w.mu.Unlock()
	for _, c := range all {
		c.reset()
	}
	return len(all)
}

// wire is one connection.
type wire struct {
	net.Conn
	wires *wires
	once  sync.Once
	gone  chan struct{} // closed with it
}

// Read waits while reading is held; what a read that began earlier has brought
// waits, too.
func (c *wire) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wires.mu.Lock()
	held := c.wires.held
	c.wires.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-c.gone:
			return 0, net.ErrClosed
		}
	}
	return n, err
}

// Close ends the connection in an orderly way.
func (c *wire) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.wires.mu.Lock()
		delete(c.wires.open, c)
		c.wires.mu.Unlock()
		close(c.gone)
		err = c.Conn.Close()
	})
	return err
}

// reset ends it without a word to the client's protocol; the gateway gets a
// reset.
func (c *wire) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
