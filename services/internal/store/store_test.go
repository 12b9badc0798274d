package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/protocol"
)

func TestCreate(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		before := time.Now().Add(-time.Minute)
		first, created, err := e.Create(t.Context(), "main", canvas.Spec{Width: 50, Height: 40, Background: 0x00ABCD}, 2)
		if err != nil || !created || first.Epoch.IsZero() || first.Created.Before(before) {
			t.Fatalf("%+v, %v, %v", first, created, err)
		}
		// What is stored wins.
		second, created, err := e.Create(t.Context(), "main", spec, 2)
		if err != nil || created || second != first {
			t.Fatalf("%+v, %v, %v", second, created, err)
		}
		if m := e.meta(t, "main"); m != first {
			t.Fatalf("%+v", m)
		}
		if _, _, err := e.Create(t.Context(), "b", spec, 2); err != nil {
			t.Fatal(err)
		}
		_, _, err = e.Create(t.Context(), "c", spec, 2)
		wantError(t, err, ErrTooMany)
		_, err = e.Meta(t.Context(), "c")
		wantError(t, err, ErrNotFound)
		if _, _, err := e.Create(t.Context(), "main", spec, 1); err != nil {
			t.Fatalf("one that exists, beyond the maximum: %v", err)
		}
		if ids, err := e.Canvases(t.Context()); err != nil || !slices.Equal(sorted(ids), []string{"b", "main"}) {
			t.Fatalf("%v, %v", ids, err)
		}
		for _, id := range []string{"", "-a", "A", "a b"} {
			_, _, err := e.Create(t.Context(), id, spec, 0)
			wantError(t, err, ErrInvalid)
			_, err = e.Meta(t.Context(), id)
			wantError(t, err, ErrNotFound)
		}
		_, _, err = e.Create(t.Context(), "d", canvas.Spec{}, 0)
		wantError(t, err, ErrInvalid)
	})
}

func sorted(s []string) []string { slices.Sort(s); return s }

func TestMaximumHoldsUnderConcurrency(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		var created atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if _, made, err := e.Create(t.Context(), fmt.Sprint("canvas-", i), spec, 3); err == nil && made {
					created.Add(1)
				}
			})
		}
		all.Wait()
		if created.Load() != 3 {
			t.Fatalf("%d canvases", created.Load())
		}
	})
}

// The log against a model: whatever comes, each operation is in it once, in the
// order in which it was first sent, and time goes forward.
func TestLogAgainstAModel(t *testing.T) {
	onEach(t, func(t *testing.T, e *env) {
		n := 0
		rapid.Check(t, func(r *rapid.T) {
			n++
			id := fmt.Sprint("canvas-", n)
			at := e.create(t, id)
			sessions := []protocol.Session{protocol.NewSession(), protocol.NewSession(), protocol.NewSession()}
			last := map[protocol.Session]SessionState{}
			var want []canvas.Op
			var time int64
			for range rapid.IntRange(1, 8).Draw(r, "batches") {
				var batch []AppendOp
				for range rapid.IntRange(1, 8).Draw(r, "operations") {
					s := sessions[rapid.IntRange(0, 2).Draw(r, "session")]
					batch = append(batch, paint(s, rapid.Uint64Range(1, 12).Draw(r, "number"))...)
				}
				first := uint64(len(want)) + 1
				for _, o := range batch {
					if o.Op.Number > last[o.Session].Number {
						want = append(want, o.Op)
						last[o.Session] = SessionState{o.Op.Number, uint64(len(want))}
					}
				}
				a, err := e.Append(t.Context(), id, at, batch)
				if err != nil {
					r.Fatal(err)
				}
				at = a.Position
				if at.Seq != uint64(len(want)) || a.Count != len(want)+1-int(first) || a.Count > 0 && (a.First != first || a.Time < time) {
					r.Fatalf("%+v, want %d operations from %d after %d", a, len(want)+1-int(first), first, time)
				}
				time = max(time, a.Time)
				for s, state := range a.Sessions {
					if state != last[s] {
						r.Fatalf("session at %+v, want %+v", state, last[s])
					}
				}
			}
			entries, _, err := e.Read(t.Context(), id, 0, 100)
			if err != nil {
				r.Fatal(err)
			}
			var got []canvas.Op
			for _, entry := range entries {
				got = append(got, entry.Ops...)
			}
			if !equalEntries(&canvas.Entry{Ops: got}, &canvas.Entry{Ops: want}) {
				r.Fatalf("log %+v, want %+v", got, want)
			}
		})
	})
}

func TestPing(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		e := ownRedis(t, embedded.Options{Cluster: cluster})
		if err := e.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
		err := e.Ping(t.Context())
		wantError(t, err, ErrUnusable)
		if !strings.Contains(err.Error(), "allkeys-lru") || !strings.Contains(err.Error(), "noeviction") {
			t.Fatalf("%v does not say what to do", err)
		}
		if err := e.server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := e.Ping(t.Context()); err == nil {
			t.Fatal("no error from no server")
		}
	}
}

func TestPingBelievesAServerThatDoesNotTell(t *testing.T) {
	var logged bytes.Buffer
	e := newEnv(t, sharedServer(t, "miniredis"), Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	for range 2 {
		if err := e.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(logged.String(), "noeviction"); n != 1 {
		t.Fatalf("%d warnings: %s", n, logged.String())
	}
}

func TestOptions(t *testing.T) {
	for _, url := range []string{
		"redis://localhost:1/0", "rediss://u:p@localhost:1", "redis://localhost:1?cluster=true", "redis://h:1?cluster=false",
		"redis://h:1?addr=h:2&addr=h:3", "redis://h:1?master_name=m&addr=h:2",
	} {
		if err := (Options{URL: url}).Validate(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for name, o := range map[string]Options{
		"empty":     {},
		"scheme":    {URL: "http://h:1"},
		"parameter": {URL: "redis://h:1?no_such=1"},
		"cluster":   {URL: "redis://h:1?cluster=maybe"},
		"rubbish":   {URL: "redis://user:secret@h:1:2:%zz"},
		"cap":       {URL: "redis://h:1", LogCap: -1},
		"time-out":  {URL: "redis://h:1", ReadTimeout: -1},
		"pool":      {URL: "redis://h:1", PoolSize: -1},
	} {
		err := o.Validate()
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Open(o); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestPasswordBesideTheURL(t *testing.T) {
	e := ownRedis(t, embedded.Options{})
	e.do(t, "CONFIG", "SET", "requirepass", "secret")
	wrong := e.another(t, Options{Password: "wrong"})
	if err := wrong.Ping(t.Context()); err == nil {
		t.Fatal("no error for a wrong password")
	}
	if err := e.another(t, Options{Password: "secret"}).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	e := newEnv(t, sharedServer(t, "redis-server"), Options{Registerer: registry})
	e.do(t, "FLUSHALL")
	at, s := e.create(t, "main"), protocol.NewSession()
	e.append(t, "main", at, s, 1, 2, 2)
	_, err := e.Append(t.Context(), "main", canvas.Position{}, paint(s, 3))
	wantStale(t, err)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) != 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	for name, c := range map[string]struct {
		metric prometheus.Collector
		want   float64
	}{
		"appends": {e.metrics.outcome[opAppend][outcomeOK], 1},
		"stale":   {e.metrics.outcome[opAppend][outcomeStale], 1},
		"up":      {e.metrics.up, 1},
	} {
		if got := testutil.ToFloat64(c.metric); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if _, err := Open(Options{URL: e.server.URL(), Registerer: registry}); err == nil {
		t.Error("two stores in one registry")
	}
}

func TestUpTellsThatRedisIsAway(t *testing.T) {
	e := ownRedis(t, embedded.Options{})
	if _, err := e.Canvases(t.Context()); err != nil || testutil.ToFloat64(e.metrics.up) != 1 {
		t.Fatal(err)
	}
	if err := e.server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Canvases(t.Context()); err == nil || testutil.ToFloat64(e.metrics.up) != 0 {
		t.Fatalf("%v, up %v", err, testutil.ToFloat64(e.metrics.up))
	}
}
