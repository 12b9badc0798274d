package proofs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// claims is what a gateway counts of its deliveries.
type claims struct {
	owed, undelivered, confirmed, unconfirmed float64
	operation, conflated, picture             float64 // delivered, by form
}

func (c claims) delivered() float64 { return c.operation + c.conflated + c.picture }

// settled tells whether nothing is on its way: all that is owed is delivered or
// given up, and of all that is delivered it is known whether it arrived.
func (c claims) settled() bool {
	return c.owed == c.delivered()+c.undelivered && c.delivered() == c.confirmed+c.unconfirmed
}

func claimsOf(t *testing.T, ctx context.Context, p fleet.Process) claims {
	t.Helper()
	get := func(name string, labels ...string) float64 {
		return metric(t, ctx, p, "pixel_hub_"+name+"_operations_total", labels...)
	}
	return claims{
		owed: get("owed"), undelivered: get("undelivered"), confirmed: get("confirmed"), unconfirmed: get("unconfirmed"),
		operation: get("delivered", `form="operation"`), conflated: get("delivered", `form="range"`), picture: get("delivered", `form="picture"`),
	}
}

// What gateways count as delivered is what their clients have counted as
// received, to the operation: on a gateway whose clients stay, clients of killed
// gateways and slow ones among them. On one whose clients leave in the middle,
// what they saw lies between what is confirmed and what is delivered. Killed
// gateways never claimed as confirmed what their clients did not see. And each
// client's own balance holds over all resumptions.
func TestDeliveryReconciles(t *testing.T) {
	ctx := limit(t)
	random := rand.New(rand.NewPCG(seed(t), 0))
	redis := redisServer(t)
	f := startFleet(t, ctx, fleet.Options{
		Gateways: 4, Redis: redis.URL(), Canvas: gatheringCanvas,
		Env: []string{"PING_INTERVAL=100ms", "BALANCE_AFTER=0s", "MESSAGES_PER_SECOND=0", "PIXELS_PER_SECOND=0"},
	})
	urls, err := allReady(t, ctx, f).GatewayURLs()
	if err != nil {
		t.Fatal(err)
	}
	const stays, left = "gateway-0", "gateway-1" // the others are killed
	options := func(i int, urls ...string) client.Options {
		o := client.Options{URLs: urls}
		if i%2 == 1 {
			o.Codec, o.API = client.JSON, baseURL(t, f)
		}
		return o
	}
	people := newGathering(stroke)
	for i := range 24 {
		at := map[int][]string{0: urls[:1], 1: urls[1:2], 2: {urls[2], urls[3], urls[0]}}[i%3]
		people.all = append(people.all, watch(t, ctx, fmt.Sprintf("painter %d", i), options(i, at...)))
	}
	var all []*client.Client
	for _, w := range people.all {
		all = append(all, w.Client)
	}
	for i := range 4 { // who look only now and then, so that they are conflated
		w := watch(t, ctx, fmt.Sprintf("dawdler %d", i), options(i, urls[0]))
		people.dawdle(ctx, w, pick(600, 3000))
		all = append(all, w.Client)
	}
	var leavers []*client.Client
	for i := range 12 {
		leavers = append(leavers, connect(t, ctx, options(i, urls[1])))
	}
	all = append(all, leavers...)

	people.start(ctx, pace{window: 4})
	killed := map[string]claims{} // what they had claimed when they were asked last
	for n := range pick(4, 24) {
		people.await(t, ctx, 300)
		for _, c := range leavers[:min(3, len(leavers))] { // in the middle of everything
			_ = c.Close()
		}
		leavers = leavers[min(3, len(leavers)):]
		pod := []string{"gateway-2", "gateway-3"}[n%2]
		if n > 1 {
			pod = []string{"gateway-2", "gateway-3"}[random.IntN(2)]
		}
		s, err := f.Await(ctx, pod+" is back", func(s fleet.State) bool { _, up := s.Pod(pod); return up })
		if err != nil {
			t.Fatal(err)
		}
		p, _ := s.Pod(pod)
		if _, err := get(ctx, "http://"+p.Addr+"/livez"); err != nil {
			continue // the state still tells of the one that was killed last
		}
		c, before := claimsOf(t, ctx, p), killed[pod]
		if n < 2 { // at first it has clients, who must have proved something
			soon(t, ctx, pod+" has confirmed something", func() bool { c = claimsOf(t, ctx, p); return c.confirmed > 0 })
		}
		before.confirmed += c.confirmed
		before.owed += c.owed
		killed[pod] = before
		if err := f.Signal(pod, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	people.await(t, ctx, 300)
	if err := people.stop(); err != nil {
		t.Fatal(err)
	}
	head := readTruth(t, ctx, redis.URL()).head
	for _, c := range all {
		if c.Err() == nil {
			if err := c.WaitFor(ctx, head); err != nil {
				t.Fatal(err)
			}
		}
	}

	if _, err := f.Ready(ctx, 4, 1, 1); err != nil {
		t.Fatal(err)
	}
	now := map[string]claims{}
	for _, p := range allReady(t, ctx, f).Of(fleet.Gateway) {
		soon(t, ctx, p.Pod+" has settled all accounts", func() bool {
			now[p.Pod] = claimsOf(t, ctx, p)
			return now[p.Pod].settled()
		})
	}
	saw := map[string]client.Received{}
	for i, c := range all {
		s := c.Stats()
		for pod, n := range s.Gateways {
			sum := saw[pod]
			sum.Connections += n.Connections
			sum.Operations += n.Operations
			sum.Conflated += n.Conflated
			sum.Pictured += n.Pictured
			saw[pod] = sum
		}
		if e := s.Epoch; c.Err() == nil && (e.Began+e.Ops+e.Skipped != head || c.Position().Seq != head) {
			t.Errorf("client %d began at %d, got %d operations and %d by pictures, and is at %d of %d", i, e.Began, e.Ops, e.Skipped, c.Position().Seq, head)
		}
	}
	for pod, c := range now {
		t.Logf("%s counts %+v; its clients %+v; before it was killed it had confirmed %v", pod, c, saw[pod], killed[pod].confirmed)
	}

	at, n := now[stays], saw[stays]
	if at.operation+at.conflated != float64(n.Operations) || at.conflated != float64(n.Conflated) || at.picture != float64(n.Pictured) {
		t.Errorf("%s delivered %+v, its clients received %+v", stays, at, n)
	}
	if at.undelivered != 0 || at.unconfirmed != 0 {
		t.Errorf("%s has lost nobody, and yet %+v", stays, at)
	}
	if at.conflated == 0 {
		t.Error("nothing was conflated: that part was not proven")
	}
	between := func(pod string, low, high float64) {
		if got := float64(saw[pod].Operations + saw[pod].Pictured); got < low || got > high {
			t.Errorf("the clients of %s received %v operations; by its account at least %v and at most %v", pod, got, low, high)
		}
	}
	between(left, now[left].confirmed, now[left].delivered())
	if now[left].undelivered+now[left].unconfirmed == 0 {
		t.Errorf("nobody left %s in the middle: that part was not proven", left)
	}
	resumed := 0.0
	for _, pod := range []string{"gateway-2", "gateway-3"} {
		between(pod, killed[pod].confirmed+now[pod].confirmed, 1<<53)
		resumed += killed[pod].confirmed
	}
	if resumed == 0 || saw[stays].Connections <= uint64(len(people.all)/3+4) {
		t.Errorf("no client came from a killed gateway to %s: %+v", stays, saw[stays])
	}
}
