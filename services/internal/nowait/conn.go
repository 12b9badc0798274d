//go:build unix

package nowait

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// Conn is a connection whose calls are not told to the runtime. Make it with
// [Wrap]. Reads must not overlap each other, nor must writes, TryWrite among
// them; all else may be called concurrently, as with any [net.Conn].
type Conn struct {
	net.Conn
	raw   syscall.RawConn
	read  operation
	peek  operation
	write operation
}

// operation is a call that is made again and again. Its closure is made once:
// one for each call would be garbage.
type operation struct {
	step func(fd uintptr) (done bool)
	b    []byte
	n    int
	err  error
	wait bool // park when the socket is not ready
}

func (o *operation) init(call func(fd int, b []byte) (int, error)) {
	o.step = func(fd uintptr) bool {
		for {
			o.n, o.err = call(int(fd), o.b)
			switch {
			case errors.Is(o.err, syscall.EINTR):
				continue
			case errors.Is(o.err, syscall.EAGAIN):
				return !o.wait
			}
			return true
		}
	}
}

// do makes the call on b by way, which is a method of the RawConn.
func (o *operation) do(way func(func(uintptr) bool) error, b []byte, wait bool) (int, error) {
	o.b, o.wait, o.n, o.err = b, wait, 0, nil
	err := way(o.step)
	o.b = nil
	if err == nil {
		err = o.err
	}
	if err != nil {
		return 0, err
	}
	return o.n, nil
}

// Wrap returns c with such calls. It returns nil when c is not a TCP
// connection of this machine's kernel (an encrypted one, a pipe): use c then.
func Wrap(c net.Conn) *Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	w := &Conn{Conn: c, raw: raw}
	w.read.init(receive)
	w.peek.init(peek)
	w.write.init(send)
	return w
}

// Read implements [net.Conn].
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := c.read.do(c.raw.Read, b, true)
	if err != nil {
		return 0, c.named("read", err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [net.Conn].
func (c *Conn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		n, err := c.write.do(c.raw.Write, b[done:], true)
		done += n
		if err != nil {
			return done, c.named("write", err)
		}
	}
	return done, nil
}

// TryWrite writes what the socket takes at once, which may be nothing.
func (c *Conn) TryWrite(b []byte) (int, error) {
	n, err := c.write.do(c.raw.Write, b, false)
	if errors.Is(err, syscall.EAGAIN) {
		return 0, nil
	}
	return n, err
}

// Quiet tells whether the connection is whole and there is nothing to read: of
// one that waits in a pool the sign that it can be used. It must not overlap a
// Read.
func (c *Conn) Quiet() bool {
	var one [1]byte
	_, err := c.peek.do(c.raw.Read, one[:], false)
	return errors.Is(err, syscall.EAGAIN)
}

// CloseWrite ends this side's direction.
func (c *Conn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// named makes an error what the net package makes of it, which calls the
// operation of a RawConn by another name.
func (c *Conn) named(op string, err error) error {
	if raw := (*net.OpError)(nil); errors.As(err, &raw) {
		err = raw.Err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
