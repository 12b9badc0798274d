package fault

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Owner returns which of the processes has the local TCP socket at an address
// (Linux, proc(5)). Names are by process id. An unknown one is "".
func Owner(processes map[int]string, client net.Addr) string {
	tcp, ok := client.(*net.TCPAddr)
	if !ok {
		return ""
	}
	inode := socket(tcp)
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

// socket returns the inode of the IPv4 socket whose local end is the address.
func socket(at *net.TCPAddr) string {
	ip := at.IP.To4()
	if ip == nil {
		return ""
	}
	// As the kernel prints it on a little-endian machine.
	host := []byte{ip[3], ip[2], ip[1], ip[0]}
	local := fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(host)), at.Port)
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // read only
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && fields[1] == local && fields[9] != "0" {
			return fields[9]
		}
	}
	return ""
}
