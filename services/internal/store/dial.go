package store

import (
	"context"
	"net"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/internal/nowait"
)

// dialer connects as go-redis does, to a connection whose calls cost less.
func dialer(c *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(c)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if fast := nowait.Wrap(conn); fast != nil {
			return pooled{Conn: fast, syscalls: conn.(syscall.Conn)}, nil
		}
		return conn, nil
	}
}

// pooled is a connection of which go-redis can ask whether it is still whole.
// It does so each time that it takes one from its pool, by peeking into the
// socket; where that finds nothing, as it nearly always does, we know it at a
// lower price.
type pooled struct {
	*nowait.Conn
	syscalls syscall.Conn
}

// SyscallConn implements [syscall.Conn] for the check of go-redis.
func (p pooled) SyscallConn() (syscall.RawConn, error) {
	raw, err := p.syscalls.SyscallConn()
	return check{RawConn: raw, conn: p.Conn}, err
}

type check struct {
	syscall.RawConn
	conn *nowait.Conn
}

// Read calls f only when there is something for it to find. The check of
// go-redis takes it for a healthy connection when f is not called.
func (c check) Read(f func(fd uintptr) bool) error {
	if c.conn.Quiet() {
		return nil
	}
	return c.RawConn.Read(f)
}
