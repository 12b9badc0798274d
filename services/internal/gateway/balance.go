package gateway

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Connections stick to their gateway, so one that came back, or was added,
// stays empty while the others are full. When one gateway has had more than
// surplusFactor times the mean for long enough, the fullest closes what it has
// above the mean, slowly, and those clients connect again through the balancer;
// then the next one is the fullest, and so on until all have about the same.
// Stopping at surplusFactor would not do: three gateways just below it leave a
// fourth with a quarter of its share.
const (
	surplusFactor = 1.25
	// surplusShare is how much of its connections a gateway closes in a second.
	surplusShare = 0.02
	// surplusLeast is the surplus below which nothing is worth a disturbance.
	surplusLeast = 8
	// settledShare of the mean is the surplus at which it is enough; or half
	// the deviation that chance alone makes, when that is more.
	settledShare = 0.03
)

// balance decides when to send clients away. Owned by the goroutine of the
// presence, which has the numbers.
type balance struct {
	gateway *Gateway
	since   time.Time // when the gateways became uneven; zero: they are not
	acting  bool      // that has lasted, and is not mended yet
	looked  time.Time // last
}

// spread is how connections are spread over gateways.
type spread struct {
	fullest string // of several the first by name
	most    int
	mean    float64
}

func spreadOf(counts map[string]int) spread {
	s := spread{}
	total := 0
	for name, n := range counts {
		total += n
		if n > s.most || n == s.most && (s.fullest == "" || name < s.fullest) {
			s.fullest, s.most = name, n
		}
	}
	if len(counts) > 0 {
		s.mean = float64(total) / float64(len(counts))
	}
	return s
}

// surplus is what the fullest gateway has above the mean.
func (s spread) surplus() float64 { return float64(s.most) - s.mean }

// uneven tells whether the surplus is worth a disturbance.
func (s spread) uneven() bool {
	return float64(s.most) > surplusFactor*s.mean && s.surplus() >= surplusLeast
}

// settled tells whether nothing more is to be gained.
func (s spread) settled() bool {
	return s.surplus() <= max(settledShare*s.mean, math.Sqrt(s.mean)/2)
}

// decide returns how many connections pod has to close now, given those of all
// gateways. after is how long they must have been uneven. All gateways see the
// same numbers, so in each round one acts.
func (b *balance) decide(now time.Time, pod string, counts map[string]int, after time.Duration) int {
	elapsed := now.Sub(b.looked)
	b.looked = now
	s := spreadOf(counts)
	switch {
	case b.acting && s.settled():
		b.acting, b.since = false, time.Time{}
		return 0
	case b.acting:
	case !s.uneven():
		b.since = time.Time{}
		return 0
	case b.since.IsZero():
		b.since = now
		return 0
	case now.Sub(b.since) < after:
		return 0
	default:
		b.acting = true
	}
	if s.fullest != pod {
		return 0
	}
	return int(min(s.surplus(), max(1, surplusShare*float64(s.most)*elapsed.Seconds())))
}

// observe looks at the numbers of all gateways and acts on them.
func (b *balance) observe(now time.Time, pod string, pods []store.Pod) {
	if b.gateway.o.BalanceAfter == 0 || b.gateway.draining.Load() {
		return
	}
	for _, c := range b.gateway.sample(b.decide(now, pod, counts(pods), b.gateway.o.BalanceAfter)) {
		c.close(protocol.CloseRestart, "retry=0")
		b.gateway.metrics.rebalanced.Inc()
	}
}

// sample returns n connections, chosen at random.
func (g *Gateway) sample(n int) []*conn {
	if n == 0 {
		return nil
	}
	all := g.conns()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))]
}
