package gateway

import (
	"math/rand/v2"
	"time"

	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Connections stick to their gateway, so one that came back, or was added,
// stays empty while the others are full. A gateway that has had more than
// surplusFactor times the mean for long enough closes what is above the mean,
// slowly, and those clients connect again through the balancer.
const (
	surplusFactor = 1.25
	// surplusShare is how much of its connections it closes in a second.
	surplusShare = 0.02
	// surplusLeast is the surplus below which nothing is worth a disturbance.
	surplusLeast = 8
)

// balance decides when to send clients away. Owned by the goroutine of the
// presence, which has the numbers.
type balance struct {
	gateway *Gateway
	since   time.Time // of the surplus; zero: none
	acted   time.Time
}

// surplus returns how many connections pod has above the mean, or 0 when that
// is not much, or another gateway has more: only one acts at a time.
func surplus(pod string, counts map[string]int) int {
	if len(counts) < 2 {
		return 0
	}
	total, mine := 0, counts[pod]
	for name, n := range counts {
		total += n
		if n > mine || n == mine && name < pod {
			return 0
		}
	}
	mean := float64(total) / float64(len(counts))
	over := float64(mine) - mean
	if float64(mine) <= surplusFactor*mean || over < surplusLeast {
		return 0
	}
	return int(over)
}

// observe looks at the numbers of all gateways and acts on them.
func (b *balance) observe(now time.Time, pod string, pods []store.Pod) {
	if b.gateway.o.BalanceAfter == 0 || b.gateway.draining.Load() {
		return
	}
	numbers := counts(pods)
	over := surplus(pod, numbers)
	if over == 0 {
		b.since = time.Time{}
		return
	}
	if b.since.IsZero() {
		b.since, b.acted = now, now
	}
	if now.Sub(b.since) < b.gateway.o.BalanceAfter {
		b.acted = now
		return
	}
	n := min(over, int(max(1, surplusShare*float64(numbers[pod])*now.Sub(b.acted).Seconds())))
	b.acted = now
	for _, c := range b.gateway.sample(n) {
		c.close(protocol.CloseRestart, "retry=0")
		b.gateway.metrics.rebalanced.Inc()
	}
}

// sample returns n connections, chosen at random.
func (g *Gateway) sample(n int) []*conn {
	all := g.conns()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}
