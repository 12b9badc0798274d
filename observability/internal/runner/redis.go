package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/fault"
	"github.com/cloud-pixel/playground/observability/internal/load"
)

// injectRedis begins the faults that are Redis' own.
func (w *world) injectRedis(ctx context.Context, f drill.Fault) (func() error, error) {
	switch f.Kind {
	case "redis-stop":
		p, err := w.stack.Part("redis-server")
		if err != nil {
			return nil, err
		}
		return func() error { return p.Signal(syscall.SIGCONT) }, p.Signal(syscall.SIGSTOP)
	case "redis-maxmemory":
		return w.maxMemory(ctx, f.Headroom)
	case "redis-roll-back":
		return func() error { return nil }, w.rollBack(ctx)
	case "redis-write-rubbish":
		return w.rubbish(ctx)
	case "lease-held":
		return w.holdLeases(ctx)
	default:
		return nil, fmt.Errorf("runner: nobody knows how to do %q", f.Kind)
	}
}

// maxMemory bounds Redis' memory: to half of what it uses, or so that the
// headroom is left.
func (w *world) maxMemory(ctx context.Context, headroom float64) (func() error, error) {
	info, err := w.redis.Info(ctx, "memory").Result()
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	text, _, _ := strings.Cut(rest, "\r")
	used, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	bound := used / 2
	if headroom > 0 {
		bound = used / (1 - headroom)
	}
	set := func(ctx context.Context, bytes float64) error {
		return w.redis.ConfigSet(ctx, "maxmemory", strconv.FormatFloat(bytes, 'f', 0, 64)).Err()
	}
	return func() error { return set(context.WithoutCancel(ctx), 0) }, set(ctx, bound)
}

// rollBack brings Redis back with the files that it had some seconds ago.
func (w *world) rollBack(ctx context.Context) error {
	p, err := w.stack.Part("redis-server")
	if err != nil {
		return err
	}
	older := w.data + ".older"
	if err := os.CopyFS(older, os.DirFS(w.data)); err != nil {
		return err
	}
	// Something has to be drawn that the copy does not have.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * time.Second):
	}
	if err := p.Kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(w.data); err != nil {
		return err
	}
	if err := os.Rename(older, w.data); err != nil {
		return err
	}
	return p.Start()
}

// rubbish writes an entry of a version that no release knows behind a canvas of
// its own, which every gateway follows, and takes it away at the end.
func (w *world) rubbish(ctx context.Context) (func() error, error) {
	const id = "rubbish"
	if err := w.create(ctx, id, 20); err != nil {
		return nil, err
	}
	urls, err := w.gateways()
	if err != nil {
		return nil, err
	}
	stop, err := load.Paint(ctx, urls, load.Painting{Canvas: id, Side: 20, Clients: 8, Pixels: 1, Every: 300 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	key := "{canvas:" + id + "}:"
	head := uint64(0)
	for head < 20 { // everybody follows
		text, err := w.redis.Get(ctx, key+"head").Result()
		if err == nil {
			head, err = strconv.ParseUint(text, 10, 64)
		}
		if err != nil && !errors.Is(err, redis.Nil) { // nobody has drawn yet
			return nil, err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := stop(); err != nil {
		return nil, err
	}
	following := make([]string, len(urls))
	for i, u := range urls {
		following[i] = u + "?canvas=" + id
	}
	watching := fault.Mute(ctx, following, len(urls))
	at, err := w.redis.Incr(ctx, key+"head").Result()
	if err != nil {
		return nil, err
	}
	entry := strconv.FormatInt(at, 10) + "-0"
	if err := w.redis.Do(ctx, "XADD", key+"log", entry, "e", "\x7Ffrom another time").Err(); err != nil {
		return nil, err
	}
	return func() error {
		ctx := context.WithoutCancel(ctx)
		_ = watching.Stop()
		if err := w.redis.Do(ctx, "XDEL", key+"log", entry).Err(); err != nil {
			return err
		}
		return w.redis.Decr(ctx, key+"head").Err()
	}, nil
}

// holdLeases keeps all checkpoints from being written.
func (w *world) holdLeases(ctx context.Context) (func() error, error) {
	var keys []string
	for _, id := range []string{"main", "canary", "canary-quiet"} {
		keys = append(keys, "{canvas:"+id+"}:lease")
	}
	end := background(ctx, 200*time.Millisecond, func(int) error {
		for _, key := range keys {
			if err := w.redis.Set(ctx, key, "a stranger", 10*time.Second).Err(); err != nil {
				return err
			}
		}
		return nil
	})
	return func() error {
		err := end()
		return errors.Join(err, w.redis.Del(context.WithoutCancel(ctx), keys...).Err())
	}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
