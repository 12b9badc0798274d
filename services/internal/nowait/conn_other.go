//go:build !unix

package nowait

import "net"

// Conn does not exist on this system.
type Conn struct{ *net.TCPConn }

// Wrap returns nil: use c.
func Wrap(net.Conn) *Conn { return nil }

// TryWrite writes nothing.
func (*Conn) TryWrite([]byte) (int, error) { return 0, nil }

// Quiet tells nothing.
func (*Conn) Quiet() bool { return false }
