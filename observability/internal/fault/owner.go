package fault

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
)

// Owner returns which of the processes has the other end of a TCP connection of
// this machine (Linux). Names are by process id. An unknown one is "".
func Owner(processes map[int]string, conn net.Conn) string {
	inode := socket(conn)
	if inode == "" {
		return ""
	}
	want := "socket:[" + inode + "]"
	for pid, name := range processes {
		descriptors, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			continue
		}
		// The newest has the highest number, mostly.
		for _, d := range slices.Backward(descriptors) {
			if to, err := os.Readlink(d); err == nil && to == want {
				return name
			}
		}
	}
	return ""
}

// socket returns the inode of the socket at the other end. It asks the kernel
// for that one (sock_diag(7)): a list of all, as in /proc/net/tcp, grows with
// each that was just closed, by whomever.
func socket(conn net.Conn) string {
	s, err := netlink.SocketGet(conn.RemoteAddr(), conn.LocalAddr())
	if err != nil || s.INode == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(s.INode), 10)
}
