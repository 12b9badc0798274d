package store

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/protocol"
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

// A command whose connection breaks is tried once, and its caller hears of it:
// else an earlier try could still be under way when the caller tries again.
// Each try would take a new connection.
func TestEachCallIsTriedOnce(t *testing.T) {
	broken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := broken.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 64)) // it takes the command and dies
			_ = c.Close()
		}
	})
	defer serving.Wait()
	defer broken.Close()
	for _, name := range []string{"append", "meta"} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(Options{URL: "redis://" + broken.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var d dials
			s.client.AddHook(&d)
			if name == "append" {
				_, err = s.Append(t.Context(), "main", canvas.Position{}, paint(protocol.NewSession(), 1))
			} else {
				_, err = s.Meta(t.Context(), "main")
			}
			if err == nil {
				t.Fatal("a server that dies has answered")
			}
			if n := d.n.Load(); n != 1 {
				t.Errorf("%d tries", n)
			}
		})
	}
}
