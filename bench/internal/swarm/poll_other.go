//go:build !linux

package swarm

import (
	"context"
	"errors"
	"time"
)

// errLinux is the answer of other systems: the swarm waits by epoll(7).
var errLinux = errors.New("swarm: needs Linux")

type poller struct{}

func newPoller() (*poller, error) { return nil, errLinux }

func (*poller) add(*Conn) error { return errLinux }
func (*poller) remove(*Conn)    {}
func (*poller) wait() []int     { return nil }
func (*poller) close() error    { return nil }

func read(int, []byte) (int, error)  { return 0, errLinux }
func write(int, []byte) (int, error) { return 0, errLinux }
func closeFD(int) error              { return nil }
func nap(d time.Duration)            { time.Sleep(d) }

func upgrade(context.Context, string, string) (int, []byte, error) { return -1, nil, errLinux }
