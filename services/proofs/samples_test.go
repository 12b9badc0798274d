package proofs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloud-pixel/playground/services/fleet"
)

// samples are what a fleet's processes held at several moments.
type samples struct {
	pods []string // in the order in which they were first seen
	all  []sample
}

type sample struct {
	at    time.Time
	of    map[string]footprint // by pod
	pid   map[string]int
	redis int64 // bytes
	log   int64 // operations
}

// take measures each process after a collection.
func (s *samples) take(t *testing.T, ctx context.Context, f *fleet.Fleet, store *redis.Client, log int64) {
	t.Helper()
	one := sample{at: time.Now(), of: make(map[string]footprint), pid: make(map[string]int), redis: redisMemory(t, ctx, store), log: log}
	state, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range state.Processes {
		one.of[p.Pod], one.pid[p.Pod] = measure(t, ctx, p), p.PID
		if !slices.Contains(s.pods, p.Pod) {
			s.pods = append(s.pods, p.Pod)
		}
	}
	s.all = append(s.all, one)
}

// steady returns the pods that were never killed.
func (s *samples) steady() (pods []string) {
	for _, pod := range s.pods {
		if !slices.ContainsFunc(s.all, func(one sample) bool { return one.pid[pod] != s.all[0].pid[pod] }) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// quarters returns the medians of a figure over the second and the last quarter
// of the time.
func (s *samples) quarters(figure func(sample) int64) (second, last int64) {
	first := s.all[0].at
	whole := s.all[len(s.all)-1].at.Sub(first)
	median := func(from, to time.Duration) int64 {
		var all []int64
		for _, one := range s.all {
			if at := one.at.Sub(first); at >= from && at <= to {
				all = append(all, figure(one))
			}
		}
		if len(all) == 0 { // rounds were slow
			return figure(s.all[len(s.all)/2])
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return median(whole/4, whole/2), median(whole*3/4, whole)
}

// show prints a table of some of the samples.
func (s *samples) show(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%8s", "after")
	for _, pod := range s.pods {
		fmt.Fprintf(&b, "  %20s", pod)
	}
	fmt.Fprintf(&b, "  %10s  %8s\n", "redis KiB", "log")
	const rows = 12
	for i, one := range s.all {
		if len(s.all) > rows && i != len(s.all)-1 && i*rows/len(s.all) == (i-1)*rows/len(s.all) && i > 0 {
			continue
		}
		fmt.Fprintf(&b, "%8s", one.at.Sub(s.all[0].at).Round(100*time.Millisecond))
		for _, pod := range s.pods {
			f := one.of[pod]
			fmt.Fprintf(&b, "  %8d KiB %3dg %3dd", f.heap>>10, f.goroutines, f.descriptors)
		}
		fmt.Fprintf(&b, "  %10d  %8d\n", one.redis>>10, one.log)
	}
	t.Logf("heap after a collection, goroutines, descriptors:\n%s", b.String())
}

// check requires that nothing has grown. Bytes are compared only after a long
// run: until then caches fill.
func (s *samples) check(t *testing.T, long bool) {
	t.Helper()
	for _, pod := range s.steady() {
		for _, row := range []struct {
			name   string
			figure func(footprint) int64
			slack  int64
			always bool
		}{
			{"bytes of heap", func(f footprint) int64 { return f.heap }, 64 << 10, false},
			{"goroutines", func(f footprint) int64 { return int64(f.goroutines) }, 10, true},
			{"descriptors", func(f footprint) int64 { return int64(f.descriptors) }, 10, true},
		} {
			second, last := s.quarters(func(one sample) int64 { return row.figure(one.of[pod]) })
			if (long || row.always) && last > second+max(second/10, row.slack) {
				t.Errorf("%s: from the second quarter to the last it went from %d to %d %s", pod, second, last, row.name)
			}
		}
	}
	if second, last := s.quarters(func(one sample) int64 { return one.redis }); long && last > second+second/10+256<<10 {
		t.Errorf("Redis: from the second quarter to the last it went from %d to %d bytes", second, last)
	}
}
