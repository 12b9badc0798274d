package store

import (
	"context"
	"testing"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

func TestSubscriptionsAreOfOneCanvas(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		s := protocol.NewSession()
		a, b := e.create(t, "a"), e.create(t, "b")
		one, two := e.subscribe(t, "a"), e.another(t, Options{}).subscribe(t, "a")
		e.append(t, "b", b, s, 1)
		a = e.append(t, "a", a, s, 1, 2).Position
		e.append(t, "a", a, s, 3)
		for _, sub := range []*Subscription{one, two} {
			if first := next(t, sub, Live).Entry; first.Epoch != a.Epoch || first.First != 1 || first.Last() != 2 {
				t.Fatalf("%+v", first)
			}
			if second := next(t, sub, Live).Entry; second.First != 3 {
				t.Fatalf("%+v", second)
			}
		}
	})
}

func TestUnreadableMessageIsAnEvent(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		e.create(t, "main")
		sub := e.subscribe(t, "main")
		record := encodeRecord(&canvas.Entry{First: 1, Ops: []canvas.Op{paint(protocol.NewSession(), 1)[0].Op}})
		record[0] = 2
		e.do(t, e.publish, keysOf("main").channel(), record)
		wantError(t, next(t, sub, Unreadable).Err, ErrVersion)
		e.do(t, e.publish, keysOf("main").channel(), "")
		wantError(t, next(t, sub, Unreadable).Err, ErrMalformed)
	})
}

func TestSubscriptionEnds(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		at, s := e.create(t, "main"), protocol.NewSession()
		// By Close, also while events wait that nobody reads.
		sub := e.Subscribe(t.Context(), "main")
		next(t, sub, Confirmed)
		for n := range uint64(2 * maxQueuedEvents) {
			at = e.append(t, "main", at, s, n+1).Position
		}
		until(t, "the queue is full", func() bool { return len(sub.Events()) == maxQueuedEvents })
		if err := sub.Close(); err != nil {
			t.Fatal(err)
		}
		for range sub.Events() { // what waits, then the end
			continue
		}
		if err := sub.Close(); err != nil {
			t.Fatalf("a second time: %v", err)
		}
		// By its context.
		ctx, cancel := context.WithCancel(t.Context())
		sub = e.Subscribe(ctx, "main")
		next(t, sub, Confirmed)
		cancel()
		for range sub.Events() {
			continue
		}
	})
}

func TestSubscriptionOutlivesTheServer(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		t.Run(map[bool]string{false: "redis-server", true: "cluster"}[cluster], func(t *testing.T) {
			e := ownRedis(t, embedded.Options{Cluster: cluster, AppendFsync: "always"})
			at, s := e.create(t, "main"), protocol.NewSession()
			sub := e.subscribe(t, "main")
			if err := e.server.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := next(t, sub, Lost).Err; err == nil {
				t.Fatal("lost without an error")
			}
			if err := e.server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			next(t, sub, Confirmed)
			// After a restart the Cluster's client needs to find its way again.
			until(t, "an append succeeds", func() bool {
				_, err := e.Append(t.Context(), "main", at, paint(s, 1))
				return err == nil
			})
			if live := next(t, sub, Live).Entry; live.First != 1 {
				t.Fatalf("%+v", live)
			}
		})
	}
}

// A server that vanishes without closing its connections gives no error.
func TestSilentServerIsNoticed(t *testing.T) {
	e := ownRedis(t, embedded.Options{})
	sub := e.subscribe(t, "main")
	if err := e.server.Pause(); err != nil {
		t.Fatal(err)
	}
	next(t, sub, Lost)
	if err := e.server.Resume(); err != nil {
		t.Fatal(err)
	}
	next(t, sub, Confirmed)
}

func TestSubscriptionBeforeTheServer(t *testing.T) {
	e := ownRedis(t, embedded.Options{})
	if err := e.server.Kill(); err != nil {
		t.Fatal(err)
	}
	sub := e.Subscribe(context.WithoutCancel(t.Context()), "main")
	t.Cleanup(func() { _ = sub.Close() })
	if err := e.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	next(t, sub, Confirmed) // nothing was lost, so nothing says so
}
