// Command scenarios runs load and fault scenarios against a running system and
// tells whether it keeps its promises:
//
//	scenarios stress
//	scenarios chaos
//	scenarios help stress     which settings there are
//
// It starts the shape of production (four gateways, three apis, two
// frontends, Redis) as processes of this machine, unless a state file tells of
// a playground that runs, or WS_URL and API_URL name another system. It prints
// a report, keeps it as text, JSON and HTML, and ends with 1 when a threshold
// was not met, 2 when the run could not take place.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/bench/scenarios/metrics"
	"github.com/cloud-pixel/playground/bench/scenarios/report"
	"github.com/cloud-pixel/playground/bench/scenarios/scenario"
)

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitPassed = 0
	exitFailed = 1 // a threshold was not met
	exitBroken = 2 // the run could not take place
)

func command(args []string, out, problems io.Writer) int {
	o, err := parse(args, problems)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitPassed
	case err != nil:
		_, _ = fmt.Fprintln(problems, "scenarios:", err)
		return exitBroken
	case o.help:
		help(out, o.scenario)
		return exitPassed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := run(ctx, o, problems)
	if err != nil {
		_, _ = fmt.Fprintln(problems, "scenarios:", err)
		return exitBroken
	}
	if err := errors.Join(r.Text(out), keep(r, o, out)); err != nil {
		_, _ = fmt.Fprintln(problems, "scenarios:", err)
		return exitBroken
	}
	if !r.Passed {
		return exitFailed
	}
	return exitPassed
}

// run runs a scenario. Its error is one of the preparations; what goes wrong
// under way is in the report.
func run(ctx context.Context, o options, log io.Writer) (_ *report.Report, err error) {
	thresholds, err := o.readThresholds()
	if err != nil {
		return nil, err
	}
	var r scenario.Run
	settings := scenario.NewSettings(os.LookupEnv)
	r.Common(settings)
	do := o.scenario.Prepare(settings)
	if err := settings.Err(); err != nil {
		return nil, err
	}
	r.Say = func(format string, args ...any) {
		_, _ = fmt.Fprintf(log, time.Now().Format("15:04:05 ")+format+"\n", args...)
	}
	s, err := reach(ctx, o, r.Say)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	r.Target = s.target
	exporter, err := export(o.metricsAddr, &r)
	if err != nil {
		return nil, err
	}
	defer exporter.stop()

	done := report.Report{
		Scenario: o.scenario.Name, Summary: o.scenario.Summary, Started: time.Now(),
		System: s.description, Machine: machine(), Settings: settings.Used(),
	}
	if err := do(ctx, &r); err != nil {
		done.Error = err.Error()
	}
	done.Seconds = time.Since(done.Started).Seconds()
	set := r.Measure()
	if r.Group != nil {
		done.Points = r.Group.Points()
		done.Offset = r.Group.PaintedFrom().Sub(done.Started).Seconds()
		r.Group.Close()
	}
	if r.Chaos != nil {
		done.Events = r.Chaos.Events()
	}
	done.Verdicts = thresholds[o.scenario.Name].Judge(set)
	done.Metrics, done.Notes = report.Figures(set), r.Notes()
	done.Passed = done.Error == "" && passed(done.Verdicts)
	return &done, nil
}

func passed(verdicts []metrics.Verdict) bool {
	for _, v := range verdicts {
		if !v.OK {
			return false
		}
	}
	return len(verdicts) > 0
}

// keep writes the report into files.
func keep(r *report.Report, o options, out io.Writer) error {
	if o.reports == "" {
		return nil
	}
	if err := os.MkdirAll(o.reports, 0o755); err != nil { //nolint:gosec // reports are for everybody
		return err
	}
	base := filepath.Join(o.reports, r.Scenario+"-"+r.Started.UTC().Format("20060102-150405"))
	for _, f := range []struct {
		ending string
		write  func(io.Writer) error
	}{{".txt", r.Text}, {".json", r.JSON}, {".html", r.HTML}} {
		if err := writeFile(base+f.ending, f.write); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "\n  report: %s.{txt,json,html}\n", base)
	return err
}

func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// help tells what there is, or which settings a scenario has.
func help(out io.Writer, only *scenario.Scenario) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	if only == nil {
		for _, s := range scenario.All() {
			say("  %-16s %s", s.Name, s.Summary)
		}
		say("\n`scenarios help NAME` tells the settings of one, `scenarios -h` the flags.")
		return
	}
	settings := scenario.NewSettings(func(string) (string, bool) { return "", false })
	var r scenario.Run
	only.Prepare(settings)
	r.Common(settings)
	say("%s: %s\n", only.Name, only.Summary)
	for _, s := range settings.Used() {
		say("  %-22s %-8s %s", s.Name, s.Default, s.Meaning)
	}
	all, err := scenario.Thresholds(nil)
	if err != nil {
		return // a test reads the file, too
	}
	say("\nThresholds:")
	for _, v := range all[only.Name].Judge(&metrics.Set{}) {
		say("  %s %s", v.Metric, v.Condition)
	}
}

func (o *options) readThresholds() (map[string]metrics.Thresholds, error) {
	if o.thresholds == "" {
		return scenario.Thresholds(nil)
	}
	f, err := os.Open(o.thresholds)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	all, err := scenario.Thresholds(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.TrimSpace(o.thresholds), err)
	}
	return all, nil
}
