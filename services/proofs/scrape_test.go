package proofs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/fleet"
)

// scrape is what /metrics of one process says.
type scrape struct {
	families map[string]bool
	series   map[string]float64 // by name and labels, as they stand there
	of       map[string]string  // the family of each
}

func scrapeOf(ctx context.Context, p fleet.Process) (*scrape, error) {
	text, err := get(ctx, "http://"+p.Addr+"/metrics")
	if err != nil {
		return nil, err
	}
	s := &scrape{families: map[string]bool{}, series: map[string]float64{}, of: map[string]string{}}
	family := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if rest, is := strings.CutPrefix(line, "# TYPE "); is {
			family, _, _ = strings.Cut(rest, " ")
			s.families[family] = true
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(line, " ")
		if i := strings.LastIndex(line, "} "); i > 0 { // a label may hold a space
			name, value = line[:i+1], line[i+2:]
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", p.Pod, line, err)
		}
		s.series[name], s.of[name] = n, family
	}
	return s, lines.Err()
}

// recorder scrapes all processes of a fleet again and again and knows which
// metrics have moved.
type recorder struct {
	fleet    *fleet.Fleet
	last     map[string]*scrape // by pod and process id
	families map[string]bool    // that any process has shown
	moved    map[string]bool    // series that have moved since the mark
	proven   map[string]bool    // families that have moved when they had to
}

func newRecorder(f *fleet.Fleet) *recorder {
	return &recorder{fleet: f, last: map[string]*scrape{}, families: map[string]bool{}, proven: map[string]bool{}}
}

// look scrapes everybody once. A process that does not answer is passed over.
func (r *recorder) look(t *testing.T, ctx context.Context) {
	t.Helper()
	state, err := r.fleet.State()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range state.Processes {
		s, err := scrapeOf(ctx, p)
		if err != nil {
			continue
		}
		maps.Copy(r.families, s.families)
		key := fmt.Sprint(p.Pod, p.PID)
		if before := r.last[key]; before != nil {
			for name, value := range s.series {
				if was, known := before.series[name]; !known || was != value {
					r.moved[s.of[name]+" "+name] = true
				}
			}
		}
		r.last[key] = s
	}
}

// missing returns which of the metrics have not moved since the mark. A metric
// is a name, or a name and a part of its labels with a | between.
func (r *recorder) missing(metrics []string) (all []string) {
	for _, m := range metrics {
		name, labels, _ := strings.Cut(m, "|")
		if !slices.ContainsFunc(slices.Collect(maps.Keys(r.moved)), func(moved string) bool {
			family, series, _ := strings.Cut(moved, " ")
			return family == name && strings.Contains(series, labels)
		}) {
			all = append(all, m)
		}
	}
	return all
}

// step does something and waits until each of the metrics has moved, at some
// process.
func (r *recorder) step(t *testing.T, ctx context.Context, what string, act func(), metrics ...string) {
	t.Helper()
	r.moved = map[string]bool{}
	r.look(t, ctx) // from here on
	r.moved = map[string]bool{}
	act()
	end := time.Now().Add(patience / 2)
	for {
		r.look(t, ctx)
		missing := r.missing(metrics)
		if len(missing) == 0 {
			break
		}
		if time.Now().After(end) || ctx.Err() != nil {
			t.Errorf("%s, and these did not move: %v", what, missing)
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	for _, m := range metrics {
		name, _, _ := strings.Cut(m, "|")
		r.proven[name] = true
	}
}
