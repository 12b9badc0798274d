package store

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// dials counts the connections that a client makes.
type dials struct{ n atomic.Int64 }

func (d *dials) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d.n.Add(1)
		return next(ctx, network, addr)
	}
}

func (d *dials) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (d *dials) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A command that times out is tried once, and its caller hears of it: else an
// earlier try could still be under way when the caller tries again. Each try
// would take a new connection, since the one that timed out is of no use.
func TestEachCallIsTriedOnce(t *testing.T) {
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	})
	defer accepting.Wait()
	defer silent.Close()
	s, err := Open(Options{URL: "redis://" + silent.Addr().String(), ReadTimeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var d dials
	s.client.AddHook(&d)
	if _, err := s.Meta(t.Context(), "main"); err == nil {
		t.Fatal("a server that never answers has answered")
	}
	if n := d.n.Load(); n != 1 {
		t.Errorf("%d tries", n)
	}
}
