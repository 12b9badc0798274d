//go:build unix && !(linux && (amd64 || arm64) && !race)

package nowait

import "syscall"

// The net package has made the sockets non-blocking.

func receive(fd int, b []byte) (int, error) { return syscall.Read(fd, b) }

func peek(fd int, b []byte) (int, error) {
	n, _, err := syscall.Recvfrom(fd, b, syscall.MSG_PEEK)
	return n, err
}

func send(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
