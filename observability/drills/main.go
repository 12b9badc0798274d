// Command drills breaks everything that an alert watches, one fault of the
// catalogue after the other, and sees whether the alert comes:
//
//	go run ./drills                    all of them; half an hour
//	go run ./drills -run 'Redis.*'     some: alerts, or runs that share a word
//	go run ./drills -again             those that went wrong the last time
//
// `make drills` builds what it needs. It writes report.md and report.json, and
// exits with 1 when a drill did not go as its entry in catalogue.yaml says.
// Faults are for processes that it has started itself, on this machine, and end
// with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/runner"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

func main() {
	some := flag.String("run", "", "`pattern` of the alerts or runs to do")
	build := flag.String("build", "../build", "`folder` with the programs")
	report := flag.String("report", "../build/drills", "`folder` for the report")
	quiet := flag.Duration("quiet", 3*time.Minute, "how long nothing is broken")
	again := flag.Bool("again", false, "only the runs that went wrong in the report that is there, which is amended")
	keep := flag.Bool("keep", false, "keep data and logs of the runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends this program at once; its children follow.
	context.AfterFunc(ctx, stop)
	failed, err := run(ctx, *some, *build, *report, *quiet, *keep, *again)
	if err != nil {
		fmt.Fprintln(os.Stderr, "drills:", err)
	}
	if failed > 0 || err != nil {
		os.Exit(1)
	}
}

func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format+"\n", args...) }

// run does the drills and returns how many failed.
func run(ctx context.Context, some, build, report string, quiet time.Duration, keep, again bool) (failed int, err error) {
	root, err := tree.Root()
	if err != nil {
		return 0, err
	}
	if build, err = filepath.Abs(build); err != nil {
		return 0, err
	}
	pattern, err := regexp.Compile("^(?:" + some + ")$")
	if err != nil {
		return 0, err
	}
	all, err := drill.Load(root)
	if err != nil {
		return 0, err
	}
	var before runner.Report
	if again {
		if before, err = runner.ReadReport(filepath.Join(report, "report.json")); err != nil {
			return 0, err
		}
	}
	dir, err := os.MkdirTemp("", "pixel-drills-")
	if err != nil {
		return 0, err
	}
	if keep {
		say("data and logs: %s", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	o := runner.Options{Root: root, Build: build, Dir: dir, Quiet: quiet, Say: say}
	began := time.Now()
	var outcomes []runner.Outcome
	for _, r := range runner.Runs(all) {
		chosen := some == "" || pattern.MatchString(r.Name) || slices.ContainsFunc(r.Drills, func(d drill.Drill) bool { return pattern.MatchString(d.Alert) })
		wrong := slices.ContainsFunc(before.Outcomes, func(c runner.Outcome) bool {
			return len(c.Problems) > 0 && slices.ContainsFunc(r.Drills, func(d drill.Drill) bool { return d.Alert == c.Alert })
		})
		if !chosen || (again && !wrong) {
			continue
		}
		start := time.Now()
		came, err := runner.Do(ctx, o, r)
		if err != nil {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			// What could not be run has failed; the others are not to blame.
			for _, d := range r.Drills {
				came = append(came, runner.Outcome{Alert: d.Alert, Run: r.Name, Fault: d.Fault.String(), Panel: d.Panel.String(), Problems: []string{err.Error()}})
			}
		}
		outcomes = append(outcomes, came...)
		say("%s (%.0f s)", r.Name, time.Since(start).Seconds())
		for _, c := range came {
			say("  %-28s fired after %4.1f s, cleared after %5.1f s; %s: %s", c.Alert, c.Fired.Seconds(), c.Cleared.Seconds(), c.Panel, c.Shown)
			for _, p := range c.Problems {
				say("    FAILED: %s", p)
			}
		}
	}
	if len(outcomes) == 0 {
		return 0, fmt.Errorf("no drill is called %q", some)
	}
	r := runner.NewReport(outcomes, time.Since(began))
	if again {
		r, outcomes = before.Amend(r), before.Outcomes
	}
	say("\n%d of %d drills went as they should, in %v; report: %s", len(outcomes)-r.Failed(), len(outcomes), r.Took.Round(time.Second), filepath.Join(report, "report.md"))
	return r.Failed(), r.Write(report)
}
