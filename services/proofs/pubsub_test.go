package proofs

import (
	"context"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// repairs is what the gateways have counted of live messages.
type repairs struct {
	live, gaps, duplicates, repaired, lost float64
}

func repairsOf(t *testing.T, ctx context.Context, p fleet.Process) repairs {
	t.Helper()
	return repairs{
		live:       metric(t, ctx, p, "pixel_replica_live_messages_total"),
		gaps:       metric(t, ctx, p, "pixel_replica_gaps_total"),
		duplicates: metric(t, ctx, p, "pixel_replica_duplicate_messages_total"),
		repaired:   metric(t, ctx, p, "pixel_replica_repaired_operations_total"),
		lost:       metric(t, ctx, p, "pixel_store_subscription_events_total", `event="lost"`),
	}
}

// liveFleet is a playground with a proxy before its Redis, and a crowd that
// draws on it.
type liveFleet struct {
	*fleet.Fleet
	redis string // the URL of Redis itself
	proxy *redisProxy
	all   painters
}

func startLive(t *testing.T, ctx context.Context) *liveFleet {
	t.Helper()
	redis := redisServer(t)
	l := &liveFleet{redis: redis.URL(), proxy: startProxy(t, redis.Addr(), seed(t))}
	l.Fleet = startFleet(t, ctx, fleet.Options{
		Gateways: 4, APIs: 2, Frontends: 1, Redis: l.proxy.url(), Canvas: "30x20",
		Env: []string{"CHECKPOINT_INTERVAL=200ms"},
	})
	allReady(t, ctx, l.Fleet)
	c := outageCrowd(t, l.Fleet)
	c.numbered, c.anonymous = pick(12, 20), 0
	l.all = c.start(t, ctx)
	return l
}

// check checks everything that was promised, at the end.
func (l *liveFleet) check(t *testing.T, ctx context.Context) {
	t.Helper()
	w := readTruth(t, ctx, l.redis)
	w.checkPainters(t, l.all)
	l.all.checkSeen(t, ctx, w)
	w.checkAPIs(t, ctx, l.Fleet)
	w.checkGateways(t, ctx, l.Fleet)
	awaitCheckpoint(t, ctx, l.redis, w)
	w.checkStored(t, ctx, l.redis)
	for _, p := range l.all {
		if s := p.Stats(); s.Resyncs != 0 || len(s.Disconnects) != 0 {
			t.Errorf("%s noticed: %+v", p.name, s)
		}
	}
	t.Logf("%d operations; %v", w.head, l.proxy)
}

// Live messages are lost, repeated, late and in disorder, and subscriptions
// break. Nobody who watches notices.
func TestPubSubIsLost(t *testing.T) {
	ctx := limit(t)
	l := startLive(t, ctx)
	l.all.awaitAcks(t, ctx, 5)
	l.proxy.afflict(liveFaults{drop: .1, repeat: .1, late: .1, delay: .05, cut: .005})
	l.all.awaitAcks(t, ctx, pick[uint64](60, 600))
	for _, p := range processes(t, l.Fleet, fleet.Gateway) {
		// Enough of each fault that it proves something.
		eventually(t, ctx, p.Pod+" has repaired what was lost", func() bool {
			r := repairsOf(t, ctx, p)
			return r.gaps > 0 && r.duplicates > 0 && r.repaired > 0 && r.lost > 0
		})
	}
	l.all.settle(t, ctx)
	l.proxy.afflict(liveFaults{})
	l.check(t, ctx)
	for _, p := range processes(t, l.Fleet, fleet.Gateway) {
		t.Logf("%s: %+v", p.Pod, repairsOf(t, ctx, p))
	}
}

// No live message comes at all. Everything still reaches everybody, because
// replicas compare themselves with the head of the log; while many draw, and
// also the last operation before a silence, after which nothing shows a gap.
func TestPubSubIsSilent(t *testing.T) {
	ctx := limit(t)
	l := startLive(t, ctx)
	l.all.awaitAcks(t, ctx, 5)

	l.proxy.afflict(noLive)
	gateways := processes(t, l.Fleet, fleet.Gateway)
	before := make(map[string]repairs)
	for _, p := range gateways {
		before[p.Pod] = repairsOf(t, ctx, p)
	}
	// Under way when it began.
	floor := l.all[0].floor.Load()
	for _, p := range l.all {
		reach(t, ctx, p, floor)
	}
	l.all.awaitAcks(t, ctx, pick[uint64](30, 500))
	for _, p := range l.all {
		reach(t, ctx, p, l.all[0].floor.Load())
	}
	l.all.settle(t, ctx)

	// Silence; then one operation, from each gateway in turn.
	for i := range len(gateways) {
		p := l.all[i]
		if err := p.one(ctx); err != nil {
			t.Fatal(err)
		}
		if err := p.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		last := p.floor.Load()
		for _, other := range l.all {
			reach(t, ctx, other, last)
		}
	}
	for _, p := range gateways {
		r := repairsOf(t, ctx, p)
		t.Logf("%s: %+v, before %+v", p.Pod, r, before[p.Pod])
		if r.repaired < before[p.Pod].repaired+float64(len(gateways)) {
			t.Errorf("%s repaired %v operations", p.Pod, r.repaired-before[p.Pod].repaired)
		}
		if r.gaps != before[p.Pod].gaps {
			t.Errorf("%s saw gaps, though it saw no message: the proxy lets some pass", p.Pod)
		}
	}
	if l.proxy.dropped.Load() == 0 {
		t.Error("no message was dropped")
	}
	l.proxy.afflict(liveFaults{})
	l.check(t, ctx)
}

// reach waits until a painter has seen the log up to seq. What replicas find
// out by themselves they find within about a second.
func reach(t *testing.T, ctx context.Context, p *steadyPainter, seq uint64) {
	t.Helper()
	soon, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.WaitFor(soon, seq); err != nil {
		t.Fatalf("%s is at %d; the log has %d: %v", p.name, p.Position().Seq, seq, err)
	}
}
