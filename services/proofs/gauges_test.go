package proofs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// patience is how long these tests wait for one thing that must come about by
// itself.
const patience = 45 * time.Second

// soon is eventually with patience.
func soon(t *testing.T, ctx context.Context, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	eventually(t, ctx, what, holds)
}

// footprint is what a process holds when it has nothing to do.
type footprint struct {
	heap, stacks int64 // bytes that live after a collection
	goroutines   int
	descriptors  int
}

func (f footprint) String() string {
	return fmt.Sprintf("heap %d KiB, stacks %d KiB, %d goroutines, %d descriptors", f.heap>>10, f.stacks>>10, f.goroutines, f.descriptors)
}

// measure collects a process's garbage and tells what is left.
func measure(t *testing.T, ctx context.Context, p fleet.Process) footprint {
	t.Helper()
	var f footprint
	for range 3 { // pools and finalizers take more than one collection
		text := debug(t, ctx, p, "/debug/pprof/heap?gc=1&debug=1")
		f.heap, f.stacks = runtimeNumber(t, text, "HeapAlloc"), runtimeNumber(t, text, "Stack")
	}
	text := debug(t, ctx, p, "/debug/pprof/goroutine?debug=1")
	if _, err := fmt.Sscanf(string(text), "goroutine profile: total %d", &f.goroutines); err != nil {
		t.Fatal(err)
	}
	used, err := fleet.UsageOf(p.PID)
	if err != nil {
		t.Fatal(err)
	}
	f.descriptors = used.Descriptors
	return f
}

func debug(t *testing.T, ctx context.Context, p fleet.Process, path string) []byte {
	t.Helper()
	return ask(t, ctx, p, "http://"+p.DebugAddr+path)
}

// ask asks a process that is there, however busy it may be.
func ask(t *testing.T, ctx context.Context, p fleet.Process, url string) (text []byte) {
	t.Helper()
	var err error
	for range 5 {
		if text, err = get(ctx, url); err == nil {
			return text
		}
	}
	t.Fatalf("%s: %v", p.Pod, err)
	return nil
}

// runtimeNumber finds "# name = number" in a heap profile.
func runtimeNumber(t *testing.T, text []byte, name string) int64 {
	t.Helper()
	_, rest, found := bytes.Cut(text, []byte("\n# "+name+" = "))
	if !found {
		t.Fatalf("the profile has no %s", name)
	}
	digits := rest[:bytes.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })]
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// leastOf takes the smallest of several measurements: what comes and goes by
// itself (a probe's connection) is not what a process holds.
func leastOf(t *testing.T, ctx context.Context, p fleet.Process) footprint {
	t.Helper()
	least := measure(t, ctx, p)
	for range 2 {
		f := measure(t, ctx, p)
		least.heap, least.stacks = min(least.heap, f.heap), min(least.stacks, f.stacks)
		least.goroutines, least.descriptors = min(least.goroutines, f.goroutines), min(least.descriptors, f.descriptors)
	}
	return least
}

// metric returns the sum of a metric's series at a process, of those whose
// labels contain each of the texts.
func metric(t *testing.T, ctx context.Context, p fleet.Process, name string, labels ...string) float64 {
	t.Helper()
	text := ask(t, ctx, p, "http://"+p.Addr+"/metrics")
	sum, found := 0.0, false
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		base, with, _ := strings.Cut(series, "{")
		if base != name {
			continue
		}
		found = true
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(with, l) }) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if !found {
		t.Fatalf("%s has no metric %s", p.Pod, name)
	}
	return sum
}

// apiCalls returns how many requests about canvases the apis have had.
func apiCalls(t *testing.T, ctx context.Context, f *fleet.Fleet) (n float64) {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Of(fleet.API) {
		n += metric(t, ctx, p, "pixel_http_requests_total", `route="/api/`)
	}
	return n
}

// processes returns the processes of a service.
func processes(t *testing.T, f *fleet.Fleet, service string) []fleet.Process {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	return s.Of(service)
}
