package gateway

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/cloud-pixel/playground/services/internal/store"
	"github.com/cloud-pixel/playground/services/protocol"
)

// Connections stick to their gateway, so one that came back, or was added,
// stays empty while the others are full. When the gateways have been uneven for
// long enough, the fullest closes what it has above the mean, slowly, and those
// clients connect again through the balancer; then the next one is the fullest,
// and so on until all have about the same.
//
// Uneven means more than chance: the balancer in front sends each connection
// anywhere, and what that makes is nobody's fault. A bound on the fullest alone
// would not do: three gateways just below 1.25 times the mean leave a fourth
// with a quarter of its share.
const (
	// unevenFactor is how far the fullest is above the mean, or the emptiest
	// below it, before it is worth a disturbance, however many connections
	// prove that it is no chance. With four gateways that is 27 or 23 %.
	unevenFactor = 1.08
	// surplusLeast is the surplus below which nothing is.
	surplusLeast = 8
	// surplusShare is how much of its connections a gateway closes in a second.
	surplusShare = 0.02
	// settledShare of the mean is the surplus at which it is enough; or half
	// the deviation that chance alone makes, when that is more.
	settledShare = 0.03
	// chancePoint is the normal deviate that is exceeded once in 1000 times.
	chancePoint = 3.09
	// balanceLimit is the time in which it must be done, balancePause the time
	// until it is tried again: a balancer that sends clients back where they
	// were cannot be helped, and they are not to be moved for ever.
	balanceLimit = 15 * time.Minute
	balancePause = time.Hour
)

// balance decides when to send clients away. Owned by the goroutine of the
// presence, which has the numbers.
type balance struct {
	gateway *Gateway
	since   time.Time // when the gateways became uneven; zero: they are not
	acting  bool      // that has lasted, and is not mended yet
	began   time.Time // when the acting began
	pausing time.Time // until when nothing is done
	looked  time.Time // last
}

// spread is how connections are spread over gateways.
type spread struct {
	gateways    int
	fullest     string // of several the first by name
	most, least int
	mean        float64
	chi         float64 // chi-square against an equal share for each
}

func spreadOf(counts map[string]int) spread {
	s := spread{gateways: len(counts), least: math.MaxInt}
	total := 0
	for name, n := range counts {
		total += n
		s.least = min(s.least, n)
		if n > s.most || n == s.most && (s.fullest == "" || name < s.fullest) {
			s.fullest, s.most = name, n
		}
	}
	if total == 0 {
		return s
	}
	s.mean = float64(total) / float64(len(counts))
	for _, n := range counts {
		d := float64(n) - s.mean
		s.chi += d * d / s.mean
	}
	return s
}

// byChance is what chi-square exceeds once in 1000 times when each of n
// gateways is as likely for a connection as the others (the approximation of
// Wilson and Hilferty, at most 3 % too great).
func byChance(n int) float64 {
	d := float64(n - 1)
	root := 1 - 2/(9*d) + chancePoint*math.Sqrt(2/(9*d))
	return d * root * root * root
}

// surplus is what the fullest gateway has above the mean.
func (s spread) surplus() float64 { return float64(s.most) - s.mean }

// uneven tells whether the spread is worth a disturbance.
func (s spread) uneven() bool {
	return s.gateways > 1 && s.surplus() >= surplusLeast && s.chi > byChance(s.gateways) &&
		(float64(s.most) > unevenFactor*s.mean || unevenFactor*float64(s.least) < s.mean)
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
	case now.Before(b.pausing):
		return 0
	case b.acting && s.settled():
		b.acting, b.since = false, time.Time{}
		return 0
	case b.acting && now.Sub(b.began) > balanceLimit:
		b.acting, b.since = false, time.Time{}
		b.pausing = now.Add(balancePause)
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
		b.acting, b.began = true, now
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
	was := b.pausing
	n := b.decide(now, pod, counts(pods), b.gateway.o.BalanceAfter)
	if b.pausing != was {
		b.gateway.logger.Warn("clients that were sent away come back to the fullest gateways: what is in front of the gateways does not spread connections",
			"connections", counts(pods), "again", b.pausing)
	}
	for _, c := range b.gateway.sample(n) {
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
