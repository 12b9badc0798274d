package gateway

import "testing"

func TestSurplus(t *testing.T) {
	for _, row := range []struct {
		name string
		pods map[string]int
		want int // of pod "a"
	}{
		{"nobody knows of anybody", nil, 0},
		{"alone", map[string]int{"a": 1000}, 0},
		{"all the same", map[string]int{"a": 100, "b": 100, "c": 100, "d": 100}, 0},
		{"one came back empty", map[string]int{"a": 400, "b": 399, "c": 399, "d": 0}, 100},
		{"just at the bound", map[string]int{"a": 125, "b": 75}, 0},
		{"just over the bound", map[string]int{"a": 126, "b": 74}, 26},
		{"another one has more", map[string]int{"a": 400, "b": 401, "c": 0}, 0},
		{"of two the first in the alphabet acts", map[string]int{"a": 300, "b": 300, "c": 0}, 100},
		{"of two the other one acts", map[string]int{"a": 300, "A": 300, "c": 0}, 0},
		{"too few to disturb anybody", map[string]int{"a": 15, "b": 0}, 0},
		{"few, but worth it", map[string]int{"a": 16, "b": 0}, 8},
		{"this one is empty", map[string]int{"a": 0, "b": 500}, 0},
		{"all are empty", map[string]int{"a": 0, "b": 0}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := surplus("a", row.pods); got != row.want {
				t.Errorf("surplus of %v is %d, want %d", row.pods, got, row.want)
			}
		})
	}
}

// Sending away the surplus never makes another gateway send it back, and ends.
func TestSurplusSettles(t *testing.T) {
	pods := map[string]int{"a": 1000, "b": 900, "c": 0, "d": 10}
	acted := 0
	for round := 0; ; round++ {
		if round > 1000 {
			t.Fatalf("it goes on for ever: %v", pods)
		}
		actors := 0
		for pod := range pods {
			over := surplus(pod, pods)
			if over == 0 {
				continue
			}
			actors++
			// The balancer spreads those who come back evenly: at worst for
			// this, one after the other to all.
			pods[pod] -= over
			names := []string{"a", "b", "c", "d"}
			for i := range over {
				pods[names[i%len(names)]]++
			}
			acted += over
			break
		}
		if actors == 0 {
			break
		}
	}
	if acted > 3000 {
		t.Errorf("%d connections were moved to spread 1910: %v", acted, pods)
	}
	for pod, n := range pods {
		if float64(n) > surplusFactor*1910/4+surplusLeast {
			t.Errorf("%s keeps %d connections: %v", pod, n, pods)
		}
	}
}
