package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

// The contract of the store holds on each of these. redis-server must be
// installed: an imitation alone proves nothing about Redis.
var kinds = []struct {
	name  string
	start func(context.Context) (*embedded.Server, error)
}{
	{"redis-server", func(ctx context.Context) (*embedded.Server, error) {
		return embedded.StartRedis(ctx, embedded.Options{})
	}},
	{"cluster", func(ctx context.Context) (*embedded.Server, error) {
		return embedded.StartRedis(ctx, embedded.Options{Cluster: true})
	}},
	{"miniredis", func(ctx context.Context) (*embedded.Server, error) {
		return embedded.StartMemory(ctx, embedded.Options{})
	}},
}

var (
	sharedMu sync.Mutex
	shared   = map[string]*embedded.Server{}
)

func TestMain(m *testing.M) {
	code := m.Run()
	for name, s := range shared {
		if err := s.Close(); err != nil {
			fmt.Println(name, err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

// env is an empty Redis and a store on it.
type env struct {
	*Store
	kind   string
	server *embedded.Server
}

// onEach runs a test on an empty server of each kind.
func onEach(t *testing.T, test func(t *testing.T, e *env)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			e := newEnv(t, sharedServer(t, k.name), Options{})
			e.kind = k.name
			if err := e.client.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			test(t, e)
		})
	}
}

func sharedServer(t *testing.T, kind string) *embedded.Server {
	t.Helper()
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if s := shared[kind]; s != nil {
		return s
	}
	for _, k := range kinds {
		if k.name == kind {
			s, err := k.start(t.Context())
			if err != nil {
				t.Fatalf("%v: these tests need it (Debian: apt-get install redis-server)", err)
			}
			shared[kind] = s
			return s
		}
	}
	t.Fatalf("no kind %q", kind)
	return nil
}

// ownRedis starts a redis-server for a test that stops it or changes how it
// works.
func ownRedis(t *testing.T, o embedded.Options) *env {
	t.Helper()
	server, err := embedded.StartRedis(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return newEnv(t, server, Options{})
}

func newEnv(t *testing.T, server *embedded.Server, o Options) *env {
	t.Helper()
	o.URL = server.URL()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &env{Store: s, kind: server.Kind(), server: server}
}

// another is a second process on the same Redis.
func (e *env) another(t *testing.T, o Options) *env {
	t.Helper()
	return newEnv(t, e.server, o)
}

var spec = canvas.Spec{Width: 300, Height: 270, Background: canvas.White} // 2×2 tiles

// create makes a canvas and returns its position.
func (e *env) create(t *testing.T, id string) canvas.Position {
	t.Helper()
	m, _, err := e.Create(t.Context(), id, spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	return canvas.Position{Epoch: m.Epoch}
}

// append appends numbered operations of one session, which must succeed.
func (e *env) append(t *testing.T, id string, at canvas.Position, s protocol.Session, numbers ...uint64) *Appended {
	t.Helper()
	a, err := e.Append(t.Context(), id, at, paint(s, numbers...))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// read reads the log from its beginning and checks that it has no hole.
func (e *env) read(t *testing.T, id string) []canvas.Op {
	t.Helper()
	var ops []canvas.Op
	for {
		entries, head, err := e.Read(t.Context(), id, uint64(len(ops)), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if entry.First != uint64(len(ops))+1 {
				t.Fatalf("entry at %d after %d operations", entry.First, len(ops))
			}
			ops = append(ops, entry.Ops...)
		}
		if uint64(len(ops)) == head {
			return ops
		}
	}
}

// paint makes one-pixel operations; the pixel tells the number.
func paint(s protocol.Session, numbers ...uint64) []AppendOp {
	ops := make([]AppendOp, len(numbers))
	for i, n := range numbers {
		ops[i] = AppendOp{Session: s, TTL: time.Hour, Op: canvas.Op{
			Kind:   canvas.Paint,
			Pixels: []canvas.Pixel{{X: uint16(n % 300), Y: uint16(n / 300 % 270), Color: canvas.Color(n) & 0xFFFFFF}},
			Author: s.Author(), Number: n, Received: 1_700_000_000_000_000 + int64(n%1000),
		}}
	}
	return ops
}

// get returns the text at a key, empty when there is none.
func (e *env) get(t *testing.T, key string) string {
	t.Helper()
	v, _ := e.client.Get(t.Context(), key).Result() // an absent key is an error
	return v
}

func (e *env) do(t *testing.T, args ...any) any {
	t.Helper()
	v, err := e.client.Do(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

func wantStale(t *testing.T, err error) canvas.Position {
	t.Helper()
	var stale *StaleError
	if !errors.As(err, &stale) {
		t.Fatalf("got %v, want a stale epoch", err)
	}
	return stale.Current
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// next returns the next event of a subscription, which must be of a kind.
func next(t *testing.T, sub *Subscription, kind EventKind) Event {
	t.Helper()
	select {
	case e, open := <-sub.Events():
		if !open || e.Kind != kind {
			t.Fatalf("got event %+v (open: %v), want kind %d", e, open, kind)
		}
		return e
	case <-time.After(30 * time.Second):
		t.Fatalf("no event of kind %d came", kind)
	}
	return Event{}
}

// subscribe returns a subscription that is confirmed.
func (e *env) subscribe(t *testing.T, id string) *Subscription {
	t.Helper()
	sub := e.Subscribe(context.WithoutCancel(t.Context()), id)
	t.Cleanup(func() { _ = sub.Close() })
	next(t, sub, Confirmed)
	return sub
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
