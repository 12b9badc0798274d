package proofs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Who has left leaves nothing behind: thousands come and go, politely or not,
// and the gateway holds what it held before, as does Redis.
func TestChurn(t *testing.T) {
	ctx := limit(t)
	server := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{Redis: server.URL(), Canvas: "64x64", Env: []string{"CHECKPOINT_INTERVAL=500ms"}})
	gateway, urls := gatewayOf(t, f)
	store := redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = store.Close() })

	// The watcher stays.
	var present atomic.Pointer[protocol.Presence]
	watcher := connect(t, ctx, client.Options{URLs: urls, Name: "watcher", OnPresence: func(p protocol.Presence) { present.Store(&p) }})
	alone := func() bool {
		p := present.Load()
		return p != nil && p.Active == 1 && len(p.Users) == 1 && p.Users[0].Name == "watcher" &&
			metric(t, ctx, gateway, "pixel_connections") == 1
	}

	half := pick(200, 5000)
	var drew atomic.Int64
	draw(t, ctx, watcher, []canvas.Pixel{{Color: 1}})
	drew.Add(1)
	soon(t, ctx, "a checkpoint", func() bool { return lasting(t, ctx, store)["{canvas:main}:checkpoint"] == 1 })
	churn := func() {
		t.Helper()
		var next atomic.Int64
		var coming sync.WaitGroup
		for range 8 {
			coming.Go(func() {
				for n := int(next.Add(1)); n <= half && ctx.Err() == nil; n = int(next.Add(1)) {
					if err := visit(ctx, urls[0], gateway.Addr, n, &drew); err != nil {
						t.Errorf("visit %d: %v", n, err)
						return
					}
				}
			})
		}
		coming.Wait()
		if t.Failed() {
			t.FailNow()
		}
		soon(t, ctx, "the watcher is alone again", alone)
	}
	churn()
	before, keys, memory := leastOf(t, ctx, gateway), lasting(t, ctx, store), redisMemory(t, ctx, store)
	churn()
	after, memoryAfter := leastOf(t, ctx, gateway), redisMemory(t, ctx, store)
	t.Logf("after %d visits %v", half, before)
	t.Logf("after %d visits %v; %d drew; Redis %d, then %d KiB", 2*half, after, drew.Load(), memory>>10, memoryAfter>>10)

	// A visit that leaves 512 bytes behind is more than the short form's bound.
	if most := before.heap + pick(int64(half)*512, before.heap/20); after.heap > most {
		t.Errorf("the heap went from %d to %d KiB over %d visits", before.heap>>10, after.heap>>10, half)
	}
	// A probe or two may be under way at each measurement.
	if after.goroutines > before.goroutines+5 {
		t.Errorf("goroutines went from %d to %d over %d visits", before.goroutines, after.goroutines, half)
	}
	if after.descriptors > before.descriptors+5 {
		t.Errorf("descriptors went from %d to %d over %d visits", before.descriptors, after.descriptors, half)
	}
	var health struct {
		Connections int
		Users       []string
	}
	if err := json.Unmarshal(ask(t, ctx, gateway, "http://"+gateway.Addr+"/health"), &health); err != nil {
		t.Fatal(err)
	}
	if health.Connections != 1 || len(health.Users) != 1 {
		t.Errorf("the gateway tells of %d connections, %v", health.Connections, health.Users)
	}

	// Each operation is in the log, and its session is known for a day. Nothing
	// else may be there, and no session that does not end.
	if now := lasting(t, ctx, store); fmt.Sprint(now) != fmt.Sprint(keys) {
		t.Errorf("Redis holds other keys than before: %v, before %v", now, keys)
	}
	checkSessions(t, ctx, store, drew.Load())
	w := readTruth(t, ctx, server.URL())
	if w.head != uint64(drew.Load()) {
		t.Errorf("the log holds %d operations, want %d", w.head, drew.Load())
	}
	w.checkClient(t, ctx, "the watcher", watcher)
	// A session and an entry of the log for each who drew, and what Redis needs
	// for itself.
	if grown := memoryAfter - memory; grown > drew.Load()*2048+256<<10 {
		t.Errorf("Redis grew by %d KiB over %d visits", grown>>10, half)
	}
}

// visit is one client's short life. They come in both codecs, by the name of a
// person or without, and leave in all the ways there are. Few draw: what is drawn stays in memory for those
// who resume, which is not what is measured here.
func visit(ctx context.Context, url, addr string, n int, drew *atomic.Int64) error {
	if n%20 == 19 {
		return knock(ctx, addr, n)
	}
	line := &wires{}
	o := client.Options{URLs: []string{url}, NoGrid: n%3 == 0, Codec: bothCodecs[n%2], Dialer: line.dialer()}
	if n%4 < 2 {
		o.Name = fmt.Sprintf("visitor %d", n)
	}
	draws := n%1000 == 50 || n%1000 == 553
	o.Anonymous = n%7 == 0 && !draws // what they drew could be lost with them
	c, err := client.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer c.Close()
	if draws {
		if _, err := c.Draw(ctx, canvas.Pixel{X: uint16(n % 64), Y: uint16(n / 100 % 64), Color: canvas.Color(n)}); err != nil {
			return err
		}
		if err := c.Flush(ctx); err != nil {
			return err
		}
		drew.Add(1)
	}
	if n%5 < 2 {
		line.sever() // without a word
	}
	return nil
}

// knock begins a handshake and leaves in the middle of it, or right after it,
// before the answer was read.
func knock(ctx context.Context, addr string, n int) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	request := "GET /ws HTTP/1.1\r\nHost: " + addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if n%40 == 19 {
		request = request[:len(request)/2]
	}
	if _, err = io.WriteString(c, request); err != nil {
		return err
	}
	return c.Close()
}

// scan calls f for each key.
func scan(t *testing.T, ctx context.Context, store *redis.Client, f func(key string)) {
	t.Helper()
	keys := store.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		f(keys.Val())
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
}

func isSession(key string) bool { return strings.Contains(key, ":session:") }

// lasting returns the keys that are there, but for those that come and go by
// themselves.
func lasting(t *testing.T, ctx context.Context, store *redis.Client) map[string]int {
	t.Helper()
	n := make(map[string]int)
	scan(t, ctx, store, func(key string) {
		if !isSession(key) && !strings.HasSuffix(key, ":lease") {
			n[key]++
		}
	})
	return n
}

// checkSessions checks that there are at most so many, and that all will end.
func checkSessions(t *testing.T, ctx context.Context, store *redis.Client, most int64) {
	t.Helper()
	var n int64
	scan(t, ctx, store, func(key string) {
		if !isSession(key) {
			return
		}
		n++
		if left, err := store.TTL(ctx, key).Result(); err != nil || left <= 0 {
			t.Errorf("a session never ends: %v, %v", left, err)
		}
	})
	if n > most {
		t.Errorf("Redis knows %d sessions, %d clients drew", n, most)
	}
}

func redisMemory(t *testing.T, ctx context.Context, store *redis.Client) int64 {
	t.Helper()
	text, err := store.Info(ctx, "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "used_memory_dataset:")
	var n int64
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
