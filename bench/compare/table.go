package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// key names a cell: a load on a shape with a setting of Redis.
type key struct {
	row   row
	shape string
	fsync string
}

// joins is what bench/load writes about clients who join.
type joins struct {
	CPU   float64 `json:"cpu"`
	Bytes float64 `json:"bytes"`
	Ready struct {
		P99 float64 `json:"p99"`
	} `json:"ready"`
	Failed   int      `json:"failed"`
	Warnings []string `json:"warnings"`
}

// table has all results, by cell and round.
type table struct {
	o      options
	cells  map[key][]*result
	joins  map[string]*joins // by codec
	append *result
}

// best returns the result that counts: of the sound and clean ones that with
// the lowest p99, and how many of those there were. Where there is none, what
// is wrong must not hide: then the last one counts.
func (t *table) best(k key) (best *result, clean int) {
	for _, r := range t.cells[k] {
		if r.broken() || !r.clean() {
			continue
		}
		clean++
		if best == nil || r.Latency.P99 < best.Latency.P99 {
			best = r
		}
	}
	if all := t.cells[k]; best == nil && len(all) > 0 {
		best = all[len(all)-1]
		for _, r := range all {
			if !r.broken() && (best.broken() || r.Latency.P99 < best.Latency.P99) {
				best = r
			}
		}
	}
	return best, clean
}

// measureExtras measures joins and appends.
func (t *table) measureExtras(ctx context.Context) error {
	t.joins = map[string]*joins{}
	for _, codec := range []string{"json", "binary"} {
		fmt.Fprintf(os.Stderr, "1,000 joins, %s\n", codec)
		j := &joins{}
		if err := load(ctx, t.o, j, "-joins", "1000", "-join-over", "5s", "-codec", codec); err != nil {
			return err
		}
		t.joins[codec] = j
	}
	fmt.Fprintln(os.Stderr, "appends")
	a := &result{}
	if err := load(ctx, t.o, a, appendArgs...); err != nil {
		return err
	}
	t.append = a
	return nil
}

// appendArgs are a load whose cost is the append: few clients, so that there
// is hardly any fan-out, which send what is due together.
var appendArgs = []string{"-codec", "binary", "-clients", "8", "-rate", "50000", "-block", "50", "-duration", "10s"}

func (t *table) print(w io.Writer) {
	fmt.Fprintln(w, "\nBest of the clean rounds. Latency in ms from when a write was due to its arrival at each client. CPU seconds are those of gateways, apis and Redis together.")
	for _, fsync := range t.o.fsync {
		fmt.Fprintf(w, "\nappendfsync %s\n\n", fsync)
		tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
		fmt.Fprintln(tw, "| clients × writes/s\t| system\t| p50\t| p95\t| p99\t| delivered\t| conflated\t| deliveries/s\t| per CPU s\t| B each\t| servers' MB\t| KB a connection\t| late p99\t| clean\t| asked\t|")
		fmt.Fprintln(tw, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
		for _, r := range t.o.rows {
			for _, name := range t.o.shapes {
				t.line(tw, r, name, fsync)
			}
		}
		_ = tw.Flush() // what w refuses shows
	}
	t.ratios(w)
	t.printExtras(w)
}

// cell returns the best result of a shape; the peer has one for all settings
// of Redis.
func (t *table) cell(r row, name, fsync string) (*result, int, int) {
	if shapeNamed(name).peer {
		fsync = t.o.fsync[0]
	}
	k := key{r, name, fsync}
	best, clean := t.best(k)
	return best, clean, len(t.cells[k])
}

func (t *table) line(w io.Writer, r row, name, fsync string) {
	best, clean, rounds := t.cell(r, name, fsync)
	if best == nil {
		return
	}
	memory := int64(0)
	for _, kind := range []string{"gateway", "api", "redis"} {
		memory += best.Memory[kind]
	}
	owed := float64(max(1, best.Owed))
	fmt.Fprintf(w, "| %v\t| %s\t| %.1f\t| %.1f\t| %.1f\t| %.2f %%\t| %.2f %%\t| %s\t| %s\t| %.0f\t| %.0f\t| %.1f\t| %.1f\t| %d/%d\t| %s\t|\n",
		r, name, best.Latency.P50, best.Latency.P95, best.Latency.P99,
		100*float64(best.Deliveries)/owed, 100*float64(best.Conflated)/owed,
		thousands(best.PerSecond), thousands(best.PerCPUSecond), best.BytesPerDelivery,
		float64(memory)/1e6, best.PerConnection/1000, best.Generator.LateP99, clean, rounds, verdict(shapeNamed(name).targets[r], best))
}

// thousands writes a number in thousands or millions.
func thousands(v float64) string {
	if v >= 1e6 {
		return fmt.Sprintf("%.2f M", v/1e6)
	}
	return fmt.Sprintf("%.1f k", v/1e3)
}

// verdict says what was asked for, each with whether it was met.
func verdict(want target, got *result) string {
	var all []string
	say := func(ok bool, format string, args ...any) {
		mark := "✓ "
		if !ok {
			mark = "✗ "
		}
		all = append(all, mark+fmt.Sprintf(format, args...))
	}
	if want.p50 > 0 {
		say(got.Latency.P50 < want.p50, "p50 < %g", want.p50)
	}
	if want.p99 > 0 {
		say(got.Latency.P99 < want.p99, "p99 < %g", want.p99)
	}
	if want.perCPUSecond > 0 {
		say(got.PerCPUSecond >= want.perCPUSecond, "%s", thousands(want.perCPUSecond))
	}
	if want.all {
		say(got.Deliveries == got.Owed, "all")
	}
	if want.memory > 0 {
		say(got.PerConnection < want.memory, "< %.0f KB", want.memory/1000)
	}
	if got.broken() {
		say(false, "sound")
	}
	return strings.Join(all, ", ")
}

// ratios compares our shape of the peer's size with each of the peer's.
func (t *table) ratios(w io.Writer) {
	const ours = "json-1"
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer tw.Flush()
	fmt.Fprintf(tw, "\n%s as a multiple of the peer (latency, bytes, memory: below 1 is better; deliveries per CPU second: above 1 is)\n\n", ours)
	fmt.Fprintln(tw, "| clients × writes/s\t| appendfsync\t| peer\t| p50\t| p99\t| deliveries/s\t| per CPU s\t| B each\t| memory a connection\t|")
	fmt.Fprintln(tw, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, r := range t.o.rows {
		for _, fsync := range t.o.fsync {
			for _, name := range t.o.shapes {
				a, _, _ := t.cell(r, ours, fsync)
				b, _, _ := t.cell(r, name, fsync)
				if !shapeNamed(name).peer || a == nil || b == nil {
					continue
				}
				note := name
				if b.broken() {
					note += " (fell behind)"
				}
				fmt.Fprintf(tw, "| %v\t| %s\t| %s\t| %.2f\t| %.2f\t| %.2f\t| %.2f\t| %.2f\t| %.2f\t|\n", r, fsync, note,
					a.Latency.P50/b.Latency.P50, a.Latency.P99/b.Latency.P99, a.PerSecond/b.PerSecond,
					a.PerCPUSecond/b.PerCPUSecond, a.BytesPerDelivery/b.BytesPerDelivery, a.PerConnection/b.PerConnection)
			}
		}
	}
}

func (t *table) printExtras(w io.Writer) {
	for _, codec := range []string{"json", "binary"} {
		if j := t.joins[codec]; j != nil {
			fmt.Fprintf(w, "\n1,000 joins in 5 s, %s: %.2f CPU s (asked: < 1.5), %.1f KB each (asked: < 64), ready p99 %.0f ms, %d failed %s\n",
				codec, j.CPU, j.Bytes/1000, j.Ready.P99, j.Failed, strings.Join(j.Warnings, "; "))
		}
	}
	if a := t.append; a != nil {
		fmt.Fprintf(w, "\nappends, 50,000 operations/s by 8 clients of one gateway: due → acknowledged p50 %.1f, p99 %.1f ms (asked: < 20), %d of %d delivered %s\n",
			a.Acked.P50, a.Acked.P99, a.Deliveries, a.Owed, strings.Join(a.Warnings, "; "))
	}
}

// faults lists what the playground owes: the peer may fall behind, and so may
// the playground where nothing was asked of it.
func (t *table) faults() (all []string) {
	for k := range t.cells {
		s := shapeNamed(k.shape)
		best, _ := t.best(k)
		if s.peer || !best.broken() {
			continue
		}
		all = append(all, fmt.Sprintf("%v, %s, %s: %d missing, %d gaps, %d repeats, %d unequal pictures, refused %v, closed %v %s",
			k.row, k.shape, k.fsync, best.Missing, best.Gaps, best.Repeats, best.Unequal, best.Refused, best.Closed, best.Problem))
	}
	return all
}

// write writes all results of all rounds.
func (t *table) write(path string) error {
	all := map[string][]*result{}
	for k, r := range t.cells {
		all[fmt.Sprintf("%v, %s, %s", k.row, k.shape, k.fsync)] = r
	}
	text, err := json.MarshalIndent(map[string]any{"rows": all, "joins": t.joins, "appends": t.append}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}
