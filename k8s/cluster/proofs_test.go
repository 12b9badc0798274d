//go:build cluster

package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/cloud-pixel/playground/services/canvas"
)

// All pods are ready, each Service answers, the page is told where the others
// are, and what is for the cluster alone is not on the services' ports.
func TestHealthy(t *testing.T) {
	settle(t)
	ws, api, page := addresses(t)
	for app, n := range map[string]int{"websocket-gateway": 4, "canvas-api": 3, "frontend": 2, "redis": 1} {
		if got := len(running(t, app)); got != n {
			t.Errorf("%d pods of %s are ready, not %d", got, app, n)
		}
	}
	gateways := "http" + strings.TrimSuffix(strings.TrimPrefix(ws, "ws"), "/ws")
	for _, url := range []string{gateways, api, page} {
		if body, _ := request(t, http.MethodGet, url+"/health", ""); !strings.Contains(string(body), `"ok"`) {
			t.Errorf("%s/health: %s", url, body)
		}
		if resp, err := short.Get(url + "/metrics"); err != nil {
			t.Error(err)
		} else if resp.Body.Close(); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s/metrics: %s", url, resp.Status)
		}
	}
	if body, _ := request(t, http.MethodGet, page+"/", ""); !strings.Contains(string(body), "<title>") {
		t.Errorf("the page: %.200s", body)
	}
	if body, _ := request(t, http.MethodGet, page+"/config.js", ""); !strings.Contains(string(body), ws) || !strings.Contains(string(body), api) {
		t.Errorf("config.js says %s, not %s and %s", body, ws, api)
	}
	report(t, "4 gateways, 3 apis, 2 frontends and Redis are ready; each Service answers; /metrics is on no service's port")
}

// What one draws, others at other gateways see, and so does REST.
func TestDrawing(t *testing.T) {
	settle(t)
	c := gather(t, 12, 0)
	gateways := c.counts()
	if len(gateways) < 2 {
		t.Fatalf("all came to the same gateway: %v", gateways)
	}
	for i, p := range c.people {
		if _, err := p.Draw(t.Context(), canvas.Pixel{X: uint16(i), Y: 1, Color: canvas.Color(0x00FF00 + i)}); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.drawn++
		p.mu.Unlock()
	}
	report(t, "12 people at %d gateways: %v", len(gateways), c.end(t))
}

// Each new connection comes to any gateway with the same probability.
func TestSpread(t *testing.T) {
	settle(t)
	const n = 2000
	c := gather(t, n, 0)
	counts := c.counts()
	if len(counts) != 4 {
		t.Fatalf("%v", counts)
	}
	chi := 0.0
	for _, k := range counts {
		d := float64(k) - n/4
		chi += d * d / (n / 4)
	}
	// The 99.9th percentile of chi-square with 3 degrees of freedom.
	if chi > 16.27 {
		t.Errorf("%v: chi-square %.1f; by chance that is more than 16.27 once in a thousand times", counts, chi)
	}
	c.end(t)
	report(t, "%d connections: %s; chi-square %.2f (16.27 at p = 0.001)", n, share(counts), chi)
}

// even tells whether all gateways have about the same, and how many there are.
func even(counts map[string]int, gateways, people int) bool {
	if len(counts) != gateways {
		return false
	}
	for _, n := range counts {
		part := float64(n) * float64(gateways) / float64(people)
		// 22 to 27 % of four; a tenth of the people at ten have more chance.
		low, high := 0.88, 1.08
		if gateways > 4 {
			low, high = 0.80, 1.20
		}
		if part < low || part > high {
			return false
		}
	}
	return true
}

// Sockets stick, so whatever is new is empty: in minutes it is not, and nobody
// loses anything on the way.
func TestSpreadsAgain(t *testing.T) {
	settle(t)
	const n = 2000
	for _, step := range []struct {
		name     string
		gateways int
		do       func()
	}{
		{"a kill", 4, func() { kill(t, running(t, "websocket-gateway")[0].Name); awaitReady(t, "gateway", 4) }},
		{"a rollout", 4, func() {
			mustKubectl(t, "rollout", "restart", "deployment/gateway")
			awaitReady(t, "gateway", 4)
		}},
		{"a scale-up from 4 to 10", 10, func() {
			mustKubectl(t, "scale", "deployment", "gateway", "--replicas=10")
			awaitReady(t, "gateway", 10)
		}},
	} {
		t.Run(step.name, func(t *testing.T) {
			c := gather(t, n, 0)
			// One draws, so that there is something to lose.
			c.drawing.Go(func() { c.people[0].draw(t.Context(), 1, 500*time.Millisecond) })
			step.do()
			eventually(t, time.Minute, "all are back", func() bool { _, away := c.cuts(); return away == 0 })
			before, began := c.counts(), time.Now()
			lost, _ := c.cuts()
			eventually(t, 12*time.Minute, "all gateways have their share again", func() bool {
				_, away := c.cuts()
				return away == 0 && even(c.counts(), step.gateways, n)
			})
			after, took := c.counts(), time.Since(began)
			moved, _ := c.cuts()
			report(t, "after %s: %s → %s in %v; %d of %d were sent elsewhere for it", step.name, share(before), share(after), took.Round(time.Second), moved-lost, n)
		})
	}
	settle(t)
}

// Twenty people draw; every 15 s a gateway is killed.
func TestGatewaysAreKilled(t *testing.T) {
	settle(t)
	c := gather(t, 20, 100*time.Millisecond)
	affected := 0
	for range 4 {
		pause(t, 15*time.Second)
		counts := c.counts()
		// Of those that have anybody.
		pods := slices.DeleteFunc(names(running(t, "websocket-gateway")), func(pod string) bool { return counts[pod] == 0 })
		victim := pods[rand.IntN(len(pods))]
		affected += counts[victim]
		kill(t, victim)
	}
	pause(t, 10*time.Second)
	awaitReady(t, "gateway", 4)
	r := c.end(t)
	if len(r.Outs) < affected || affected == 0 {
		t.Errorf("%d were at gateways that were killed, %d lost a connection", affected, len(r.Outs))
	}
	if p95 := r.within(0.95); p95 >= 500*time.Millisecond {
		t.Errorf("p95 of the recovery is %v", p95)
	}
	report(t, "4 gateways killed in 60 s under 20 people: %d affected, all are back; %v", affected, r)
}

// Redis is deleted, with and without a farewell: the canvas is on its volume,
// people wait, and everything goes on.
func TestRedisIsDeleted(t *testing.T) {
	for _, how := range []struct {
		name string
		args []string
	}{
		{"deleted", []string{"--wait=false"}},
		{"killed", []string{"--grace-period=0", "--force", "--wait=false"}},
	} {
		t.Run(how.name, func(t *testing.T) {
			settle(t)
			var before, after corev1.Pod
			object(t, &before, "pod", "redis-0")
			c := gather(t, 20, 100*time.Millisecond)
			pause(t, 5*time.Second)
			began := time.Now()
			mustKubectl(t, append([]string{"delete", "pod", "redis-0"}, how.args...)...)
			eventually(t, 3*time.Minute, "another Redis is ready", func() bool {
				pods := running(t, "redis")
				return len(pods) == 1 && pods[0].UID != before.UID
			})
			away := time.Since(began)
			object(t, &after, "pod", "redis-0")
			pause(t, 10*time.Second)
			r := c.end(t)
			if after.UID == before.UID {
				t.Error("it is the same pod")
			}
			report(t, "Redis %s and back after %v, under 20 people: %v", how.name, away.Round(100*time.Millisecond), r)
		})
	}
}

// Each deployment is rolled under load: nobody notices.
func TestRollouts(t *testing.T) {
	for name, n := range map[string]int32{"gateway": 4, "api": 3, "frontend": 2} {
		t.Run(name, func(t *testing.T) {
			settle(t)
			_, _, page := addresses(t)
			c := gather(t, 20, 100*time.Millisecond)
			c.startREST(t, 20*time.Millisecond)
			pages := visit(t, page)
			pause(t, 3*time.Second)
			old := names(running(t, apps[name]))
			began := time.Now()
			mustKubectl(t, "rollout", "restart", "deployment/"+name)
			awaitReady(t, name, n)
			took := time.Since(began)
			pause(t, 10*time.Second)
			for _, pod := range names(running(t, apps[name])) {
				if slices.Contains(old, pod) {
					t.Errorf("%s was not replaced", pod)
				}
			}
			visits := pages()
			r := c.end(t)
			if longest := r.within(1); longest > time.Second {
				t.Errorf("somebody was out for %v", longest)
			}
			if name == "gateway" && len(r.Outs) == 0 {
				t.Error("nobody had to move: nothing was proven")
			}
			report(t, "rollout of %s in %v under 20 people: %v; %d loads of the page, none failed", name, took.Round(time.Second), r, visits)
		})
	}
}

// visit loads the page again and again until the returned function is called,
// which returns how often.
func visit(t *testing.T, page string) func() int {
	t.Helper()
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		visits := 0
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- visits
				return
			case <-tick.C:
			}
			visits++
			resp, err := short.Get(page + "/")
			if err != nil {
				t.Errorf("the page: %v", err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("the page: %s", resp.Status)
			}
		}
	}()
	return func() int { close(stop); return <-done }
}

// Gateways go from 4 to 10 and back, apis from 3 to 5 and back, under load.
func TestScaling(t *testing.T) {
	settle(t)
	c := gather(t, 20, 100*time.Millisecond)
	c.startREST(t, 20*time.Millisecond)
	began := time.Now()
	scale := func(gateways, apis int32) {
		mustKubectl(t, "scale", "deployment", "gateway", fmt.Sprintf("--replicas=%d", gateways))
		mustKubectl(t, "scale", "deployment", "api", fmt.Sprintf("--replicas=%d", apis))
		awaitReady(t, "gateway", gateways)
		awaitReady(t, "api", apis)
	}
	scale(10, 5)
	// Those who come now are at the new gateways, too, which go first.
	late := gather(t, 20, 100*time.Millisecond)
	pause(t, 10*time.Second)
	if n := len(late.counts()); n < 6 {
		t.Errorf("20 people came to %d gateways only", n)
	}
	scale(4, 3)
	eventually(t, time.Minute, "the pods that are too many have ended", func() bool {
		var pods corev1.PodList
		object(t, &pods, "pods", "-l", "app=websocket-gateway")
		return len(pods.Items) == 4
	})
	took := time.Since(began)
	r, l := c.end(t), late.end(t)
	for _, longest := range []time.Duration{r.within(1), l.within(1)} {
		if longest > time.Second {
			t.Errorf("somebody was out for %v", longest)
		}
	}
	if len(l.Outs) == 0 {
		t.Error("nobody was at a gateway that went: nothing was proven")
	}
	report(t, "gateways 4 → 10 → 4 and apis 3 → 5 → 3 in %v under 20 people: %v; and 20 more who came at ten: %v", took.Round(time.Second), r, l)
}

// The node of Redis is drained: at no time is more than one pod of a deployment
// missing, and Redis, of which there is one, is not taken away.
func TestDrain(t *testing.T) {
	settle(t)
	c := gather(t, 20, 100*time.Millisecond)
	var redis corev1.Pod
	object(t, &redis, "pod", "redis-0")
	node := redis.Spec.NodeName
	t.Cleanup(func() {
		// Whatever happened, the node is to be used again.
		if out, err := kubectl(t.Context(), "uncordon", node); err != nil && t.Context().Err() == nil {
			t.Error(out, err)
		}
	})
	least := map[string]int32{"gateway": 4, "api": 3, "frontend": 2}
	ended := make(chan string, 1)
	go func() {
		out, err := kubectl(t.Context(), "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=40s",
			"--pod-selector=app.kubernetes.io/part-of=pixel-playground")
		if err == nil {
			out = ""
		}
		ended <- out
	}()
	said := ""
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for going := true; going; {
		select {
		case said = <-ended:
			going = false
		case <-tick.C:
			for name := range least {
				least[name] = min(least[name], deployment(t, name).Status.AvailableReplicas)
			}
		}
	}
	if said == "" {
		t.Error("the drain went through, with Redis")
	}
	if !strings.Contains(said, "disruption budget") {
		t.Errorf("the drain does not say that a budget forbids it:\n%s", said)
	}
	for name, n := range map[string]int32{"gateway": 4, "api": 3, "frontend": 2} {
		if least[name] < n-1 {
			t.Errorf("of %s only %d were left", name, least[name])
		}
	}
	var now corev1.Pod
	object(t, &now, "pod", "redis-0")
	if now.UID != redis.UID {
		t.Error("Redis was taken away")
	}
	if out, err := kubectl(t.Context(), "uncordon", node); err != nil {
		t.Fatal(out, err)
	}
	settle(t)
	r := c.end(t)
	report(t, "kubectl drain of the node: refused because of Redis after 40 s; at least %d gateways, %d apis and %d frontend were there; under 20 people: %v", least["gateway"], least["api"], least["frontend"], r)
}
