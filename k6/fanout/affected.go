package fanout

import (
	"time"

	"github.com/cloud-pixel/playground/k6/metrics"
)

// affected is a client that was connected to a gateway when it was broken.
type affected struct {
	member *Member
	pod    string
	at     time.Time
}

// dueTo is how long after a gateway was broken the loss of a connection to it
// is still due to that.
const dueTo = 5 * time.Second

// Mark notes that a gateway is broken now, on purpose, and returns how many
// clients that concerns: how it goes for them is measured apart, and what
// others lose is not explained by it.
func (g *Group) Mark(pod string) int {
	on := g.On(pod)
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range on {
		g.affected = append(g.affected, affected{m, pod, now})
	}
	return len(on)
}

// cause returns the fault that explains a cut. The caller holds mu.
func (g *Group) cause(m *Member, c *Cut) (affected, bool) {
	for _, a := range g.affected {
		if a.member == m && a.explains(c) {
			return a, true
		}
	}
	return affected{}, false
}

func (a *affected) explains(c *Cut) bool {
	return c.Pod == a.pod && !c.At.Before(a.at) && c.At.Sub(a.at) <= dueTo
}

// measureAffected adds how it went for those who were concerned, and for the
// others.
func (g *Group) measureAffected(s *metrics.Set) {
	g.mu.Lock()
	defer g.mu.Unlock()
	back, soon, explained, cuts := uint64(0), uint64(0), 0, 0
	times := metrics.NewTimes()
	for _, a := range g.affected {
		for _, c := range a.member.cuts {
			if !a.explains(&c) {
				continue
			}
			explained++
			if c.Back.IsZero() {
				break
			}
			back++
			took := c.Back.Sub(a.at)
			metrics.Note(times, took)
			if took.Milliseconds() <= soonMillis {
				soon++
			}
			break
		}
	}
	for _, m := range g.members {
		cuts += len(m.cuts)
	}
	n := uint64(len(g.affected))
	s.Count("pixel_affected", "clients that were connected to a gateway when it was broken on purpose", n).Final = true
	s.Rate("pixel_affected_back", "of these, the ones that had everything again in the end", back, n)
	s.Rate("pixel_affected_back_soon", "of these, the ones that had everything again within 500 ms of the fault", soon, n)
	s.Trend(affectedTime, "from the fault until such a client had everything again", times)
	s.Count("pixel_unaffected_cut", "connections lost that no fault explains", uint64(max(0, cuts-explained))).Final = true
}

const affectedTime = "pixel_affected_recovery_time"
