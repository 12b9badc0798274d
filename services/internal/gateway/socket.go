package gateway

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloud-pixel/playground/services/internal/hub"
	"github.com/cloud-pixel/playground/services/internal/nowait"
)

// socket is the network connection under a WebSocket. The WebSocket library
// reads from it and writes the handshake to it; from then on only the hub
// writes, so that nothing lands inside a frame that is half sent. What the
// library writes by itself after the handshake (close frames after violations
// of the protocol) goes through the hub's queue.
type socket struct {
	net.Conn
	opened time.Time

	// conn is set when the handshake is over.
	conn atomic.Pointer[hub.Conn]

	nowait *nowait.Conn // Conn, for writes that do not wait; nil: every write goes through WriteAll

	// violation is the code of the close frame with which the WebSocket
	// library answered a violation of the protocol; 0: none. The reader's.
	violation int

	// turns counts the writes of the hub; turned tells of them. Whatever waited
	// in the hub for this connection alone when one began is in it.
	turns  atomic.Uint64
	turned chan struct{}

	closeOnce sync.Once
}

// hijacker hands the WebSocket library our socket instead of the bare one.
type hijacker struct {
	http.ResponseWriter
	socket *socket
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.socket = &socket{Conn: c, opened: time.Now(), turned: make(chan struct{}, 1)}
	if fast := nowait.Wrap(c); fast != nil {
		h.socket.Conn, h.socket.nowait = fast, fast
	}
	return h.socket, rw, nil
}

// closeHeader is the first byte of a close frame (RFC 6455, section 5.2).
const closeHeader = 0x88

// Write is what the WebSocket library calls, after the handshake only from
// inside a read.
func (s *socket) Write(b []byte) (int, error) {
	if c := s.conn.Load(); c != nil {
		if len(b) >= 4 && b[0] == closeHeader {
			s.violation = int(binary.BigEndian.Uint16(b[2:]))
		}
		c.Frame(b)
		return len(b), nil
	}
	return s.Conn.Write(b)
}

// SetWriteDeadline is what the WebSocket library calls before it writes; once
// the hub writes, deadlines are the hub's.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if s.conn.Load() != nil {
		return nil
	}
	return s.Conn.SetWriteDeadline(t)
}

// TryWrite implements [hub.Sink].
func (s *socket) TryWrite(b []byte) (int, error) {
	s.turns.Add(1)
	select {
	case s.turned <- struct{}{}:
	default:
	}
	if s.nowait == nil {
		return 0, nil
	}
	return s.nowait.TryWrite(b)
}

// WriteAll implements [hub.Sink].
func (s *socket) WriteAll(b []byte, timeout time.Duration) (int, error) {
	if err := s.Conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	return n, errors.Join(err, s.Conn.SetWriteDeadline(time.Time{}))
}

// Close implements [hub.Sink].
func (s *socket) Close() error {
	var err error
	s.closeOnce.Do(func() { err = s.Conn.Close() })
	return err
}

// linger ends the connection such that the other side gets to read the close
// frame: closing a socket with unread input resets it, and the reset overtakes
// what was written. So end our direction, read on for a moment, then close.
func (s *socket) linger(limit time.Duration) {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = s.Conn.SetReadDeadline(time.Now().Add(limit))
		var waste [4096]byte
		for total := 0; total < 8<<20; {
			n, err := s.Conn.Read(waste[:])
			if err != nil {
				break
			}
			total += n
		}
	}
	_ = s.Close()
}
