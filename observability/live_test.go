package observability

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/dashboards"
	"github.com/cloud-pixel/playground/observability/internal/load"
	"github.com/cloud-pixel/playground/observability/internal/query"
	"github.com/cloud-pixel/playground/observability/internal/stack"
	"github.com/cloud-pixel/playground/services/fleet"
)

// The live stack of this package's tests: the shape of production with the
// real Prometheus and Alertmanager, in their committed configuration, while
// people draw. Starting it takes a while, so tests share it.
var live = struct {
	sync.Once
	*stack.Stack
	build string
	began time.Time
	err   error
	stop  func()
}{stop: func() {}}

// startLive returns the live stack. TestMain stops it.
func startLive(t *testing.T, root string) *stack.Stack {
	t.Helper()
	live.Do(func() { live.err = beginLive(root) })
	if live.err != nil {
		t.Fatal(live.err)
	}
	return live.Stack
}

func beginLive(root string) error {
	ctx := context.Background() // of all tests
	dir, err := tempDir()
	if err != nil {
		return err
	}
	live.build = filepath.Join(dir, "build")
	for name, at := range map[string]string{"playground": "../services/playground", "canary": "./canary"} {
		c := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(live.build, name), at)
		c.Dir = root
		if name == "playground" { // of another module
			c.Dir, c.Args[len(c.Args)-1] = filepath.Join(root, ".."), "./services/playground"
		}
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	live.began = time.Now()
	s, err := stack.New(ctx, stack.Options{Root: root, Build: live.build, Dir: dir, Free: true, Webhook: stack.NewWebhook(nil)})
	if err != nil {
		return err
	}
	live.stop = func() { _ = s.Stop() }
	if err := s.Start(ctx); err != nil {
		return err
	}
	now, err := fleet.ReadState(s.State)
	if err != nil {
		return err
	}
	urls, err := now.GatewayURLs()
	if err != nil {
		return err
	}
	drawing, err := load.Paint(ctx, urls, load.Normal)
	if err != nil {
		return err
	}
	reading := load.Read(ctx, now.URL, 2)
	live.stop = func() { _ = reading(); _ = drawing(); _ = s.Stop() }
	live.Stack = s
	return nil
}

// TestQueriesOnLivePrometheus asks all that dashboards, runbooks and documents
// ask, of the real Prometheus over the real system while people draw. Nothing
// may fail, and within a minute nothing may be empty, but for what a healthy
// system leaves empty: those queries name the drill that fills them, and the
// drill looks (runner).
func TestQueriesOnLivePrometheus(t *testing.T) {
	a := read(t)
	s := startLive(t, a.root)
	type question struct{ where, text, drill string }
	var all []question
	for _, q := range dashboards.Queries(a.sources) {
		all = append(all, question{q.Dashboard + ": " + q.Panel, query.Grafana(values.ReplaceAllString(q.Expr, "$1"), "1m", ".*"), q.Drill})
	}
	for path, queries := range documented(t, a.root) {
		for _, text := range queries {
			all = append(all, question{filepath.Base(path), text, a.fills[text]})
		}
	}
	// From here, not from the start: another test may have begun with the system
	// and kept it busy.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	missing, empty := all, 0
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		var still []question
		for _, q := range missing {
			// With the test's context: an error at the deadline is none of the query.
			got, err := s.Prometheus.Query(t.Context(), q.text)
			switch {
			case err != nil:
				t.Errorf("%s: %v", q.where, err)
			case len(got) == 0 && q.drill == "":
				still = append(still, q)
			case len(got) == 0:
				empty++
			}
		}
		missing = still
		if len(missing) == 0 || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	for _, q := range missing {
		t.Errorf("%s: still empty after a minute: %s", q.where, q.text)
	}
	t.Logf("%d queries, %d of them left to drills; all others had answers %.0f s after the start", len(all), empty, time.Since(live.began).Seconds())
}

// TestTargetsOnLivePrometheus: every process is scraped, and nothing else is
// expected.
func TestTargetsOnLivePrometheus(t *testing.T) {
	a := read(t)
	s := startLive(t, a.root)
	await(t, "every target is scraped", func() bool {
		down, n, err := s.Prometheus.Down(t.Context())
		// With the canary, the exporter of Redis, Prometheus and Alertmanager.
		return err == nil && len(down) == 0 && n >= stack.Gateways+stack.APIs+stack.Frontends+4
	})
	got, err := s.Prometheus.Query(t.Context(), `up`)
	if err != nil {
		t.Fatal(err)
	}
	for _, sample := range got {
		if sample.Metric["job"] == "" || sample.Metric["pod"] == "" {
			t.Errorf("%v has no job or no pod", sample.Metric)
		}
	}
}
