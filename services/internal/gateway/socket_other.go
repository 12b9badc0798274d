//go:build !unix

package gateway

import "net"

// rawWriter has no way to write without waiting on this system: every write
// goes through WriteAll, in a goroutine of the hub.
type rawWriter struct{}

func (*rawWriter) init(net.Conn) {}

func (*rawWriter) tryWrite([]byte) (int, error) { return 0, nil }
