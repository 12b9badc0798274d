package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is the outcome of a measurement. Times are milliseconds unless their
// name says otherwise, CPU time is in seconds, memory in bytes.
type Result struct {
	System   string  `json:"system"`
	Codec    string  `json:"codec"`
	Gateways int     `json:"gateways"`
	APIs     int     `json:"apis"`
	Fsync    string  `json:"appendfsync"`
	Clients  int     `json:"clients"`
	Rate     float64 `json:"rate"`
	Seconds  float64 `json:"seconds"` // from the first measured write to the last arrival

	Latency Times `json:"latency"` // from when a write was due to its arrival at each client
	Acked   Times `json:"acked"`   // to its acknowledgement

	Writes     uint64 `json:"writes"`
	Owed       uint64 `json:"owed"`       // writes × clients
	Deliveries uint64 `json:"deliveries"` // of pixels
	Conflated  uint64 `json:"conflated"`  // superseded, and covered by what came
	Missing    uint64 `json:"missing"`
	Gaps       uint64 `json:"gaps"`
	Repeats    uint64 `json:"repeats"`
	// Pictures is how many were compared at the end, Unequal how many of them
	// were not the same.
	Pictures int               `json:"pictures"`
	Unequal  int               `json:"unequal"`
	Refused  map[string]uint64 `json:"refused,omitempty"`
	Closed   map[string]uint64 `json:"closed,omitempty"`
	Problem  string            `json:"problem,omitempty"` // why it ended early

	PerSecond        float64 `json:"deliveriesPerSecond"`
	PerCPUSecond     float64 `json:"deliveriesPerCPUSecond"` // of gateways, apis and Redis
	BytesPerDelivery float64 `json:"bytesPerDelivery"`       // on the wire, of all that the clients read

	CPU               map[string]float64 `json:"cpu"`                 // by kind of process, of the measurement
	Memory            map[string]int64   `json:"memory"`              // resident, at the end
	BytesPerConnected float64            `json:"memoryPerConnection"` // of gateways, at rest

	Generator struct {
		LateP50    float64 `json:"lateP50"`
		LateP99    float64 `json:"lateP99"`
		LateMax    float64 `json:"lateMax"`
		Held       uint64  `json:"held"`       // writes that a socket did not take at once
		ReaderBusy float64 `json:"readerBusy"` // share of the time
	} `json:"generator"`
	Machine struct {
		LoadBefore float64 `json:"loadBefore"`
		Seconds    float64 `json:"seconds"`
		Busy       float64 `json:"busy"`    // CPU seconds
		Foreign    float64 `json:"foreign"` // CPU seconds of what is not part of this
		Steal      float64 `json:"steal"`   // CPU seconds that the host took
	} `json:"machine"`
	Warnings []string `json:"warnings,omitempty"`
}

// Times are percentiles in milliseconds.
type Times struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func timesOf(h *hdrhistogram.Histogram) Times {
	ms := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Times{P50: ms(50), P95: ms(95), P99: ms(99), Max: float64(h.Max()) / 1000}
}

func (t Times) String() string {
	return fmt.Sprintf("p50 %.2f ms\tp95 %.2f ms\tp99 %.2f ms\tmax %.1f ms", t.P50, t.P95, t.P99, t.Max)
}

// faults returns what must not be, in words.
func (r *Result) faults() (all []string) {
	for _, f := range []struct {
		n    uint64
		what string
	}{
		{r.Missing, "missing"}, {r.Gaps, "gaps"}, {r.Repeats, "repeats"}, {uint64(r.Unequal), "unequal pictures"},
	} {
		if f.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	for _, m := range []struct {
		counts map[string]uint64
		what   string
	}{{r.Refused, "refused"}, {r.Closed, "closed"}} {
		for _, why := range slices.Sorted(maps.Keys(m.counts)) {
			all = append(all, fmt.Sprintf("%d %s: %s", m.counts[why], m.what, why))
		}
	}
	if r.Problem != "" {
		all = append(all, r.Problem)
	}
	return all
}

func (r *Result) print(w io.Writer) {
	shape := fmt.Sprintf("%d gateways, %d apis", r.Gateways, r.APIs)
	if r.System == reference {
		shape = "1 process"
	}
	fmt.Fprintf(w, "%d clients × %.0f writes/s, %s, %s, %s, appendfsync %s, %.1f s\n\n", r.Clients, r.Rate, r.System, r.Codec, shape, r.Fsync, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "latency, due → arrival\t%v\n", r.Latency)
	fmt.Fprintf(t, "due → acknowledged\t%v\n", r.Acked)
	fmt.Fprintf(t, "delivered\t%d of %d\t%.2f %%\t%d conflated\t%d missing\n", r.Deliveries, r.Owed, percent(r.Deliveries, r.Owed), r.Conflated, r.Missing)
	fmt.Fprintf(t, "deliveries\t%.0f /s\t%.0f per server CPU s\t%.1f B each\t\n", r.PerSecond, r.PerCPUSecond, r.BytesPerDelivery)
	fmt.Fprintf(t, "pictures\t%d compared\t%d unequal\t%d gaps\t%d repeats\n", r.Pictures, r.Unequal, r.Gaps, r.Repeats)
	for _, kind := range slices.Sorted(maps.Keys(r.CPU)) {
		at := ""
		if kind == "gateway" {
			at = fmt.Sprintf("%.1f KB a connection at rest", r.BytesPerConnected/1000)
		}
		fmt.Fprintf(t, "%s\t%.2f CPU s\t%.1f MB\t%s\t\n", kind, r.CPU[kind], float64(r.Memory[kind])/1e6, at)
	}
	fmt.Fprintf(t, "the generator was late by\tp50 %.2f ms\tp99 %.2f ms\tmax %.1f ms\treader busy %.0f %%\n", r.Generator.LateP50, r.Generator.LateP99, r.Generator.LateMax, 100*r.Generator.ReaderBusy)
	_ = t.Flush() // what w refuses shows
	if faults := r.faults(); len(faults) > 0 {
		fmt.Fprintf(w, "faults: %s\n", strings.Join(faults, "; "))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}

func percent(part, whole uint64) float64 { return 100 * float64(part) / float64(max(1, whole)) }
