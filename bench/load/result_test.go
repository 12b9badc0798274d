package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/bench/internal/swarm"
	"github.com/cloud-pixel/playground/services/fleet"
)

// quietResult is one that nothing disturbed.
func quietResult() *Result {
	r := &Result{Clients: 10, Writes: 100, Owed: 1000, Seconds: 10, CPU: map[string]float64{"gateway": 1, "api": 0.5, "redis": 0.5, "frontend": 7}}
	r.Machine.Seconds, r.Machine.Busy = 10, 4
	return r
}

func TestWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		disturb func(r *Result)
		want    string
	}{
		"before":    {func(r *Result) { r.Machine.LoadBefore = 2 }, "not idle before"},
		"foreign":   {func(r *Result) { r.Machine.Foreign = 1 }, "something else used 10 %"},
		"steal":     {func(r *Result) { r.Machine.Steal = 1 }, "the host took 10 %"},
		"late":      {func(r *Result) { r.Generator.LateP99 = 6 }, "more than 6.0 ms late"},
		"saturated": {func(r *Result) { r.Generator.ReaderBusy = 0.9 }, "busy for 90 %"},
		"full":      {func(r *Result) { r.Machine.Busy = 1e6 }, "no time to spare"},
	} {
		r := quietResult()
		if r.warn(); len(r.Warnings) > 0 {
			t.Fatalf("warnings without a reason: %q", r.Warnings)
		}
		test.disturb(r)
		r.warn()
		if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], test.want) {
			t.Errorf("%s: %q", name, r.Warnings)
		}
	}
}

func TestForeignTime(t *testing.T) {
	at := time.Now()
	used := func(gateway, generator time.Duration) map[string]fleet.Usage {
		return map[string]fleet.Usage{"gateway": {CPU: gateway}, "generator": {CPU: generator}}
	}
	before := moment{machine: machine{at: at, busy: 100 * time.Second}, used: used(time.Second, time.Second)}
	after := moment{machine: machine{at: at.Add(10 * time.Second), busy: 112 * time.Second}, used: used(5*time.Second, 3*time.Second)}
	r := &Result{Clients: 1}
	r.fill(before, after, swarm.Sent{Late: histogramOf()}, 10*time.Second)
	if r.CPU["gateway"] != 4 || r.Machine.Busy != 12 || r.Machine.Foreign != 6 {
		t.Errorf("%+v", r)
	}
}

func TestCounts(t *testing.T) {
	r := quietResult()
	r.BytesPerDelivery = 95_000
	r.count(&swarm.Record{
		Latency: histogramOf(), Acked: histogramOf(), Single: 900, Covered: 90, InRanges: 50, Gaps: 1,
		Refused: map[string]uint64{"busy": 2},
	})
	if r.Deliveries != 950 || r.Conflated != 40 || r.Missing != 10 {
		t.Errorf("%d deliveries, %d conflated, %d missing", r.Deliveries, r.Conflated, r.Missing)
	}
	// The frontend's time is not a server's.
	if r.PerSecond != 95 || r.PerCPUSecond != 475 || r.BytesPerDelivery != 100 {
		t.Errorf("%v a second, %v a CPU second, %v bytes", r.PerSecond, r.PerCPUSecond, r.BytesPerDelivery)
	}
	if want := []string{"10 missing", "1 gaps", "2 refused: busy"}; !slices.Equal(r.faults(), want) {
		t.Errorf("faults %q, want %q", r.faults(), want)
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-json", "-clients", "10", "-canvas", "20x30", "-env", "A=1,B=2"})
	if err != nil || o.codec != "json" || o.width != 20 || o.height != 30 || len(o.env) != 2 || o.senders() != 10 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"-clients=0", "-rate=0", "-duration=11m", "-codec=xml", "-appendfsync=no", "-canvas=large", "-writers=101", "-block=0", "-system=other", "rest"} {
		if _, err := parse([]string{bad}); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if _, err := parse([]string{"-rate=200000", "-duration=10m"}); err == nil || !strings.Contains(err.Error(), "told apart") {
		t.Errorf("too many writes: %v", err)
	}
}

func TestDescriptors(t *testing.T) {
	if err := allowDescriptors(10); err != nil {
		t.Error(err)
	}
	if err := allowDescriptors(1 << 40); err == nil || !strings.Contains(err.Error(), "open files") {
		t.Errorf("got %v", err)
	}
}
