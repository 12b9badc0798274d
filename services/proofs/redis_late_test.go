package proofs

import (
	"net/http"
	"sync"
	"testing"

	"github.com/cloud-pixel/playground/services/fleet"
)

// Services and clients that are there before Redis wait for it, and go to work
// by themselves when it appears.
func TestRedisComesLast(t *testing.T) {
	ctx := limit(t)
	redis := redisServer(t)
	if err := redis.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	f := startFleet(t, ctx, outageOptions(redis.URL(), "HANDSHAKE_TIMEOUT="+pick("500ms", "5s"))) // listens, and no more
	c := outageCrowd(t, f)
	c.urls = append(c.urls, wsURL(t, f)) // some go through the balancer
	all := c.join(t, ctx)
	all.draw(t, ctx)
	for _, p := range all {
		eventually(t, ctx, p.name+" has tried", func() bool { return p.Stats().Failures > 0 })
	}
	all.numbered().awaitWaiting(t, ctx)
	all.limit(0)
	awaitReadiness(t, ctx, f, false)
	for _, p := range append(processes(t, f, fleet.Gateway), processes(t, f, fleet.API)...) {
		if _, err := get(ctx, "http://"+p.Addr+"/livez"); err != nil {
			t.Errorf("%s would be killed because Redis is away: %v", p.Pod, err)
		}
	}
	users := &apiUsers{t: t, floor: all[0].floor}
	var asking sync.WaitGroup
	for _, p := range processes(t, f, fleet.API) {
		for _, route := range apiRoutes {
			asking.Go(func() {
				status, _, err := users.ask(ctx, http.MethodGet, "http://"+p.Addr+route, "")
				if err != nil || status != http.StatusServiceUnavailable {
					t.Errorf("%s%s before there is a Redis: %d, %v", p.Pod, route, status, err)
				}
			})
		}
	}
	asking.Wait()
	for _, p := range all {
		if s := p.Stats(); s.Connected != 0 {
			t.Errorf("%s was let in by %s before there was a Redis", p.name, p.Pod())
		}
	}

	if err := redis.Start(ctx); err != nil {
		t.Fatal(err)
	}
	allReady(t, ctx, f)
	for _, p := range all {
		if err := p.WaitReady(ctx); err != nil {
			t.Fatalf("%s: %v (last: %v)", p.name, err, p.LastError())
		}
	}
	all.limit(c.ahead)
	all.awaitAcks(t, ctx, uint64(c.ahead)+20)
	all.settle(t, ctx)
	w := readTruth(t, ctx, redis.URL())
	w.checkPainters(t, all)
	all.checkSeen(t, ctx, w)
	w.checkEverywhere(t, ctx, f, redis.URL())
	for _, p := range all {
		if s := p.Stats(); s.Connected != 1 {
			t.Errorf("%s needed %d connections", p.name, s.Connected)
		}
	}
}
