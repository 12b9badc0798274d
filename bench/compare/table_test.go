package main

import (
	"strings"
	"testing"
)

func measured(p99 float64, warnings ...string) *result {
	r := &result{Owed: 100, Deliveries: 100, PerSecond: 1000, PerCPUSecond: 5000, Warnings: warnings}
	r.Latency.P50, r.Latency.P99 = p99/2, p99
	return r
}

func lost(p99 float64) *result {
	r := measured(p99)
	r.Deliveries, r.Missing = 99, 1
	return r
}

func TestBestRound(t *testing.T) {
	const busy, full = "something else used 50 % of a processor", "the machine had no time to spare: latency is that of a full machine"
	for _, test := range []struct {
		name   string
		rounds []*result
		p99    float64
		clean  int
		broken bool
	}{
		{"the lowest p99", []*result{measured(5), measured(3), measured(4)}, 3, 3, false},
		{"a disturbed round does not count", []*result{measured(5), measured(1, busy)}, 5, 1, false},
		{"a full machine is no disturbance", []*result{measured(5), measured(4, full)}, 4, 2, false},
		{"nothing clean: the best sound one", []*result{measured(5, busy), lost(1), measured(4, busy)}, 4, 0, false},
		{"nothing sound: it shows", []*result{lost(2), lost(1)}, 1, 0, true},
	} {
		k := key{row{100, 50}, "binary-1", "always"}
		table := &table{o: options{plan: quick}, cells: map[key][]*result{k: test.rounds}}
		best, clean := table.best(k)
		if best.Latency.P99 != test.p99 || clean != test.clean || best.broken() != test.broken {
			t.Errorf("%s: p99 %v, %d clean, broken %v", test.name, best.Latency.P99, clean, best.broken())
		}
		if got := len(table.faults()) > 0; got != test.broken {
			t.Errorf("%s: reported as a fault: %v", test.name, got)
		}
	}
}

// What the peer loses is its own affair.
func TestPeerMayFallBehind(t *testing.T) {
	table := &table{o: options{plan: quick}, cells: map[key][]*result{{row{100, 50}, "centrifuge", "always"}: {lost(1)}}}
	if faults := table.faults(); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestTableShowsWhatWasAsked(t *testing.T) {
	o := options{plan: quick}
	o.rows = o.rows[:1]
	table := &table{o: o, cells: map[key][]*result{
		{o.rows[0], "json-1", "always"}:     {measured(2)},
		{o.rows[0], "binary-1", "always"}:   {measured(2)},
		{o.rows[0], "centrifuge", "always"}: {measured(4)},
	}}
	var out strings.Builder
	table.print(&out)
	for _, want := range []string{"✓ p50 < 1.2, ✓ p99 < 3, ✗ 70.0 k, ✓ all", "| 0.50 | 0.50 | 1.00", "1/1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-full", "-rows", "1000x200,100x50", "-shapes", "json-1", "-rounds", "5"})
	if err != nil || len(o.rows) != 2 || o.rows[0] != (row{1000, 200}) || o.rounds != 5 || !o.extras {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"-rows=many", "-shapes=fast", "rest"} {
		if _, err := parse([]string{bad}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
