package proofs

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/canvas"
	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/embedded"
	"github.com/cloud-pixel/playground/services/internal/store"
)

// outageSpec is small, so that everybody paints over everybody.
var outageSpec = canvas.Spec{Width: 30, Height: 20, Background: canvas.White}

// queueLimit is what may wait of one connection. In the short form it is so
// little that it runs over in every outage.
const (
	shortQueueLimit = 2 << 10
	fullQueueLimit  = 256 << 10 // the default
)

// outageFleet starts the playground in its full shape. The short form makes
// short what it would have to wait for.
func outageFleet(t *testing.T, ctx context.Context, redisURL string, env ...string) *fleet.Fleet {
	t.Helper()
	f := startFleet(t, ctx, outageOptions(redisURL, env...))
	allReady(t, ctx, f)
	return f
}

func outageOptions(redisURL string, env ...string) fleet.Options {
	short := []string{
		"REDIS_TIMEOUT=500ms", "REDIS_DIAL_TIMEOUT=500ms", "READ_TIMEOUT=300ms",
		fmt.Sprintf("MAX_QUEUE_BYTES_PER_CONNECTION=%d", shortQueueLimit), "CHECKPOINT_INTERVAL=200ms",
	}
	return fleet.Options{
		Gateways: 4, APIs: 3, Frontends: 2, Redis: redisURL, Canvas: "30x20",
		Env: append(pick(short, nil), env...),
	}
}

// awaitReadiness waits until every gateway and api says that it is ready, or that
// it is not.
func awaitReadiness(t *testing.T, ctx context.Context, f *fleet.Fleet, want bool) {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range append(s.Of(fleet.Gateway), s.Of(fleet.API)...) {
		eventually(t, ctx, fmt.Sprintf("%s is ready: %v", p.Pod, want), func() bool {
			_, err := get(ctx, "http://"+p.Addr+"/readyz")
			if err != nil && !strings.HasPrefix(err.Error(), "503") {
				return false
			}
			return (err == nil) == want
		})
	}
}

// outageCrowd is the load of these proofs.
func outageCrowd(t *testing.T, f *fleet.Fleet) crowd {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	urls, err := s.GatewayURLs()
	if err != nil {
		t.Fatal(err)
	}
	return crowd{
		numbered: pick(16, 40), anonymous: pick(4, 8), spec: outageSpec, ahead: 60,
		pace: pick(20*time.Millisecond, 100*time.Millisecond), api: s.URL, urls: urls,
	}
}

// after waits for a time, which only the full form does.
func after(t *testing.T, ctx context.Context, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

// outage is one way to take Redis away, and to bring it back with all it had.
type outage struct {
	rounds    int
	lasts     time.Duration // in the full form
	away, ret func(*testing.T, context.Context, *embedded.Server)
	// unknown: appends are under way whose outcome only a repetition shows.
	unknown bool
}

// Redis dies while everybody draws, and comes back with its data.
func TestRedisIsKilledUnderLoad(t *testing.T) {
	proveOutage(t, outage{
		rounds: pick(2, 5), lasts: 5 * time.Second,
		away: func(t *testing.T, _ context.Context, s *embedded.Server) {
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
		},
		ret: func(t *testing.T, ctx context.Context, s *embedded.Server) {
			if err := s.Start(ctx); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// Redis stands still in the midst of appends: each is in its hands, with an
// outcome that nobody knows, and is tried again until it is known.
func TestRedisIsPaused(t *testing.T) {
	proveOutage(t, outage{
		rounds: pick(2, 4), lasts: 10 * time.Second, unknown: true,
		away: func(t *testing.T, ctx context.Context, s *embedded.Server) {
			if err := s.Pause(); err != nil {
				t.Fatal(err)
			}
			eventually(t, ctx, "redis-server stands still", func() bool {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
				if err != nil {
					t.Fatal(err)
				}
				_, rest, _ := strings.Cut(string(stat), ") ")
				return strings.HasPrefix(rest, "T")
			})
		},
		ret: func(t *testing.T, _ context.Context, s *embedded.Server) {
			if err := s.Resume(); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func proveOutage(t *testing.T, o outage) {
	ctx := limit(t)
	redis := redisServer(t)
	f := outageFleet(t, ctx, redis.URL())
	all := outageCrowd(t, f).start(t, ctx)
	epoch := all[0].Position().Epoch
	users := useAPIs(t, ctx, f, all[0].floor)
	for round := range o.rounds {
		all.awaitAcks(t, ctx, pick[uint64](20, 40))
		users.awaitAnswers(ctx, 10)
		before := memory(t, f)

		o.away(t, ctx, redis)
		users.outage()
		all.awaitTold(t, ctx, client.Degraded)
		all.awaitWaiting(t, ctx)
		users.awaitAway(ctx, 3)
		if full {
			if round == 0 {
				all[:16].flood(t, ctx, 700) // two at each gateway
			}
			after(t, ctx, o.lasts)
		}
		visitOutage(t, ctx, all[round%len(all)])
		checkMemory(t, before, memory(t, f), len(all), false)
		users.outage()
		o.ret(t, ctx, redis)

		all.awaitTold(t, ctx, client.Live)
		checkMemory(t, before, memory(t, f), len(all), true)
	}
	all.awaitAcks(t, ctx, 15)
	users.awaitAnswers(ctx, 10)
	users.stop()
	all.settle(t, ctx)
	retried, found := 0.0, 0.0
	for _, p := range processes(t, f, fleet.Gateway) {
		retried += metric(t, ctx, p, "pixel_append_retries_total")
		found += metric(t, ctx, p, "pixel_append_duplicates_total")
	}
	if retried == 0 || o.unknown && found == 0 {
		t.Errorf("%v appends were repeated, of which %v operations were in the log: this proves nothing", retried, found)
	}

	w := readTruth(t, ctx, redis.URL())
	if w.epoch != epoch {
		t.Errorf("the epoch is %v after %v, though Redis has lost nothing", w.epoch, epoch)
	}
	w.checkPainters(t, all)
	users.check(w)
	all.checkSeen(t, ctx, w)
	all.checkTold(t, o.rounds)
	if all.refusals() == 0 {
		t.Error("no queue was ever full: the outages were too short, or the queues are too long")
	}
	w.checkAPIs(t, ctx, f)
	awaitCheckpoint(t, ctx, redis.URL(), w)
	w.checkStored(t, ctx, redis.URL())
	t.Logf("%d operations; %v appends tried again, %v operations found there; apis answered %d requests, refused %d, of those %d surely in an outage", w.head, retried, found, users.answered.Load(), users.refused.Load(), users.away.Load())
}

// visitOutage connects while Redis is away: one gets the last picture, and is
// told.
func visitOutage(t *testing.T, ctx context.Context, p *steadyPainter) {
	t.Helper()
	visitor := connect(t, ctx, client.Options{URLs: []string{p.gateway}})
	defer func() { _ = visitor.Close() }() // its error is none
	if visitor.Grid() == nil {
		t.Error("who comes in an outage sees no picture")
	}
	eventually(t, ctx, "who comes in an outage is told", func() bool { return visitor.State() == client.Degraded })
}

// awaitCheckpoint waits until the checkpoint stands at the end of the log.
func awaitCheckpoint(t *testing.T, ctx context.Context, redisURL string, w *truth) {
	t.Helper()
	s, err := store.Open(store.Options{URL: redisURL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	eventually(t, ctx, "the checkpoint holds the whole log", func() bool {
		m, err := s.CheckpointMark(ctx, mainCanvas)
		if err != nil {
			t.Fatal(err)
		}
		return m != nil && m.Position == canvas.Position{Epoch: w.epoch, Seq: w.head}
	})
}

// checkTold checks that each painter was told of so many outages, and of the
// end of each, on one connection that lived through all.
func (all painters) checkTold(t *testing.T, outages int) {
	t.Helper()
	for _, p := range all {
		states, _ := p.told()
		degraded, before := 0, client.Offline
		for _, s := range states {
			if s == client.Degraded && before != s {
				degraded++
			}
			before = s
		}
		if degraded < outages || before != client.Live {
			t.Errorf("%s: %d outages, and it was told %v", p.name, outages, states)
		}
		s := p.Stats()
		if len(s.Disconnects) != 0 || s.Connected != 1 {
			t.Errorf("%s lost its connection: %v", p.name, s.Disconnects)
		}
	}
}

// refusals returns how often painters were told to come again later.
func (all painters) refusals() (n uint64) {
	for _, p := range all {
		for _, of := range p.Stats().Refused {
			n += of
		}
	}
	return n
}

// checkMemory compares what processes use with what they used before. Of each
// connection may wait what the limits of queues let wait, as it was read and as
// it is encoded for the log; once it has passed, it is in the history of recent
// entries. Go's heap may grow to twice what is in use before it is collected.
func checkMemory(t *testing.T, before, now map[string]int64, clients int, passed bool) {
	t.Helper()
	const (
		control = 64 << 10 // answers that may wait for one connection
		history = 32 << 20
		spare   = 24 << 20 // pictures, what was just decoded
	)
	perGateway := int64(clients+3) / 4
	bound := 2*perGateway*(2*pick[int64](shortQueueLimit, fullQueueLimit)+control) + spare
	if passed {
		bound += 2 * history
	}
	worst, where := int64(0), ""
	for _, pod := range slices.Sorted(maps.Keys(now)) {
		if d := now[pod] - before[pod]; d > worst {
			worst, where = d, pod
		}
		if full && now[pod]-before[pod] > bound {
			t.Errorf("%s uses %d MiB, %d before the outage; at most %d more are explained", pod, now[pod]>>20, before[pod]>>20, bound>>20)
		}
	}
	t.Logf("memory has grown by %d MiB at most (%s); the bound is %d MiB", worst>>20, where, bound>>20)
}
