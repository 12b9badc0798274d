//go:build unix

package gateway

import (
	"net"
	"syscall"
)

// rawWriter writes to a socket without ever waiting for it. Calls must not
// overlap.
type rawWriter struct {
	raw  syscall.RawConn
	step func(fd uintptr) bool // made once: a closure per write would be garbage
	b    []byte
	n    int
	err  error
}

func (w *rawWriter) init(c net.Conn) {
	if s, ok := c.(syscall.Conn); ok {
		w.raw, _ = s.SyscallConn() // nil: everything goes through WriteAll
	}
	w.step = func(fd uintptr) bool {
		w.n, w.err = syscall.Write(int(fd), w.b)
		return true // never wait
	}
}

func (w *rawWriter) tryWrite(b []byte) (int, error) {
	if w.raw == nil {
		return 0, nil
	}
	w.b = b
	err := w.raw.Write(w.step)
	w.b = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == syscall.EAGAIN || w.err == syscall.EINTR:
		return 0, nil
	case w.err != nil:
		return 0, w.err
	}
	return w.n, nil
}
