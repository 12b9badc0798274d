package gateway

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestUneven(t *testing.T) {
	for _, row := range []struct {
		name    string
		pods    map[string]int
		uneven  bool
		fullest string
		surplus float64
	}{
		{"nobody knows of anybody", nil, false, "", 0},
		{"alone", map[string]int{"a": 1000}, false, "a", 0},
		{"all the same", map[string]int{"a": 100, "b": 100, "c": 100, "d": 100}, false, "a", 0},
		{"one came back empty", map[string]int{"a": 400, "b": 400, "c": 400, "d": 0}, true, "a", 100},
		{"by chance", map[string]int{"a": 118, "b": 82}, false, "a", 18},
		{"more than by chance", map[string]int{"a": 124, "b": 76}, true, "a", 24},
		{"the last of a rollout", map[string]int{"a": 465, "b": 576, "c": 337, "d": 622}, true, "d", 122},
		{"no chance, and not much", map[string]int{"a": 10700, "b": 9300}, false, "a", 700},
		{"no chance, and worth it", map[string]int{"a": 10900, "b": 9100}, true, "a", 900},
		{"another one has more", map[string]int{"a": 400, "b": 401, "c": 0}, true, "b", 134},
		{"of two the first in the alphabet", map[string]int{"b": 300, "a": 300, "c": 0}, true, "a", 100},
		{"too few to disturb anybody", map[string]int{"a": 15, "b": 0}, false, "a", 7.5},
		{"few, but worth it", map[string]int{"a": 16, "b": 0}, true, "a", 8},
		{"this one is not much fuller, but another is empty", map[string]int{"a": 108, "b": 107, "c": 107, "d": 107, "e": 107, "f": 107, "g": 107, "h": 107, "i": 107, "j": 5}, true, "a", 11.1},
		{"all are empty", map[string]int{"a": 0, "b": 0}, false, "a", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := spreadOf(row.pods)
			if s.uneven() != row.uneven || s.fullest != row.fullest || math.Abs(s.surplus()-row.surplus) > 1e-9 {
				t.Errorf("%+v: uneven %t, surplus %v", s, s.uneven(), s.surplus())
			}
			if s.uneven() && s.settled() {
				t.Error("it is uneven and settled")
			}
		})
	}
}

// Sending clients away ends, in minutes, with about as many at each gateway,
// whatever it began with, though the balancer sends everybody anywhere; and no
// more are sent away than that takes.
func TestSurplusSettles(t *testing.T) {
	for _, row := range []struct {
		name string
		pods []int
	}{
		{"one of four was killed and came back", []int{667, 667, 666, 0}},
		{"the last of a rollout is empty", []int{780, 640, 500, 80}},
		{"after a rollout", []int{465, 576, 337, 622}},
		{"from four to ten", []int{500, 500, 500, 500, 0, 0, 0, 0, 0, 0}},
		{"two, and few clients", []int{40, 0}},
		{"many clients", []int{10000, 10000, 10000, 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(len(row.pods))))
			pods, deciders, total := map[string]int{}, map[string]*balance{}, 0
			for i, n := range row.pods {
				name := fmt.Sprintf("gateway-%d", i)
				pods[name], deciders[name] = n, &balance{}
				total += n
			}
			names := slices.Sorted(maps.Keys(pods))
			mean := float64(total) / float64(len(pods))
			now, moved, settled := time.Now(), 0, time.Duration(0)
			const step, after = 2 * time.Second, time.Minute
			for at := time.Duration(0); at < 20*time.Minute; at += step {
				actors := 0
				seen := maps.Clone(pods)
				for _, name := range names {
					n := deciders[name].decide(now.Add(at), name, seen, after)
					if n == 0 {
						continue
					}
					if at < after {
						t.Fatalf("%s acts after %v", name, at)
					}
					if float64(n) > max(1, surplusShare*float64(seen[name])*step.Seconds()) {
						t.Fatalf("%s, which has %d, closes %d in %v", name, seen[name], n, step)
					}
					actors++
					moved += n
					pods[name] -= n
					for range n {
						pods[names[random.IntN(len(names))]]++
					}
				}
				if actors > 1 {
					t.Fatalf("%d act at once: %v", actors, seen)
				}
				if actors == 1 {
					settled = at + step
				}
			}
			t.Logf("%v after %v; %d of %d were sent away", pods, settled, moved, total)
			if settled > 10*time.Minute {
				t.Errorf("it took %v", settled)
			}
			if moved > 2*total {
				t.Errorf("%d were sent away, of %d", moved, total)
			}
			for name, n := range pods {
				// 0.22 to 0.27 of all, for four gateways and many clients.
				if low, high := 0.88*mean-surplusLeast/2, 1.08*mean+surplusLeast/2; float64(n) < low || float64(n) > high {
					t.Errorf("%s ends with %d, which is not from %.0f to %.0f", name, n, low, high)
				}
			}
		})
	}
}

// The critical values are those of the tables.
func TestByChance(t *testing.T) {
	for n, want := range map[int]float64{2: 10.83, 3: 13.82, 4: 16.27, 10: 27.88, 20: 43.82} {
		if got := byChance(n); got < want || got > 1.035*want {
			t.Errorf("chi-square of %d gateways at 0.001: %.2f, not %.2f", n, got, want)
		}
	}
}

// A balancer that always sends clients back is not tried for ever.
func TestSurplusThatStays(t *testing.T) {
	b, now := &balance{}, time.Now()
	closed, rounds := 0, 0
	const day = 24 * time.Hour
	for at := time.Duration(0); at < day; at += 2 * time.Second {
		if n := b.decide(now.Add(at), "a", map[string]int{"a": 1000, "b": 0}, time.Minute); n > 0 {
			closed, rounds = closed+n, rounds+1
		}
	}
	if part := float64(rounds) * 2 / day.Seconds(); closed == 0 || part > 0.21 {
		t.Errorf("%d are sent away in a day, in %.0f %% of the time", closed, 100*part)
	}
}

// What mends itself in time is left alone.
func TestSurplusThatPasses(t *testing.T) {
	b, now := &balance{}, time.Now()
	uneven, even := map[string]int{"a": 500, "b": 0}, map[string]int{"a": 250, "b": 250}
	for at := range 120 {
		counts := uneven
		if at%50 == 49 {
			counts = even
		}
		if n := b.decide(now.Add(time.Duration(at)*time.Second), "a", counts, time.Minute); n != 0 {
			t.Fatalf("%d are sent away after %d s", n, at)
		}
	}
}
