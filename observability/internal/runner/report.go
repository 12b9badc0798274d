package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is what is told of all runs.
type Report struct {
	Date     string        `json:"date"`
	Machine  string        `json:"machine"`
	Took     time.Duration `json:"took_ns"`
	Factor   int           `json:"times_shorter"`
	Outcomes []Outcome     `json:"drills"`
}

// NewReport returns the report of what came out, and how long that took.
func NewReport(outcomes []Outcome, took time.Duration) Report {
	return Report{
		Date: time.Now().UTC().Format(time.DateOnly), Machine: fmt.Sprintf("%s, %d processors", runtime.GOOS, runtime.NumCPU()),
		Took: took, Factor: factor, Outcomes: outcomes,
	}
}

// ReadReport reads a report that Write has written.
func ReadReport(path string) (Report, error) {
	var r Report
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	return r, err
}

// Amend returns the report with what came of drills that were run again in the
// place of what had come of them before.
func (r Report) Amend(again Report) Report {
	outcomes := slices.Clone(again.Outcomes)
	for i := range outcomes {
		outcomes[i].Tries++
	}
	made := r
	made.Took += again.Took
	made.Outcomes = slices.Clone(r.Outcomes)
	for i, o := range made.Outcomes {
		if n := slices.IndexFunc(outcomes, func(a Outcome) bool { return a.Alert == o.Alert }); n >= 0 {
			made.Outcomes[i] = outcomes[n]
		}
	}
	return made
}

// Failed returns how many drills did not go as their entry says.
func (r Report) Failed() int {
	n := 0
	for _, o := range r.Outcomes {
		if len(o.Problems) > 0 {
			n++
		}
	}
	return n
}

// Write writes report.md and report.json.
func (r Report) Write(dir string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(content, '\n'), 0o644); err != nil { //nolint:gosec // as above
		return err
	}
	return os.WriteFile(filepath.Join(dir, "report.md"), []byte(r.Markdown()), 0o644) //nolint:gosec // as above
}

// Markdown tells of it as people read it.
func (r Report) Markdown() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# Drills of %s\n", r.Date)
	say("%d of %d drills went as the [catalogue](../../observability/drills/catalogue.yaml) says, in %s, on %s. Written by `make drills`.\n",
		len(r.Outcomes)-r.Failed(), len(r.Outcomes), r.Took.Round(time.Second), r.Machine)
	say("Each line is a fault in a playground in the shape of production, with the real Prometheus and Alertmanager. Windows, waits and intervals are %d times shorter than in production and come from the same objectives and alerts; burn rates over days, which a run of minutes cannot fill, are left to the tests of the rules. *Fired* is the time from the fault to the alert's arrival at its receiver, *cleared* from the end of the fault to the arrival of its end; both beside what is allowed. *Shown* is what the panel showed then, and did not before.\n", r.Factor)
	say("| alert | fault | fired | cleared | receiver | panel | shown | |")
	say("|---|---|---:|---:|---|---|---|---|")
	for _, o := range r.Outcomes {
		verdict := "ok"
		if o.Tries > 1 {
			verdict = fmt.Sprintf("ok, at try %d", o.Tries)
		}
		if len(o.Problems) > 0 {
			verdict = "**failed**"
		}
		cleared := "never"
		if o.Clears > 0 {
			cleared = fmt.Sprintf("%s / %s", seconds(o.Cleared), seconds(o.Clears))
		}
		say("| [%s](../../runbooks/%s.md) | %s | %s / %s | %s | %s | %s | %s | %s |",
			o.Alert, o.Alert, o.Fault, seconds(o.Fired), seconds(o.Within), cleared, o.Receiver, cell(o.Panel), o.Shown, verdict)
	}
	if slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Tries > 1 }) {
		say("\nA second try is a run that was done again: because the machine was starved, or after something was mended (`make drills DRILLS=-again`).")
	}
	say("\n## What else arrived\n")
	say("An alert that the entries of a run do not name makes its first drill fail. *Kept back* are alerts that fired and that Alertmanager inhibited as long as the fault lasted.\n")
	say("| run | arrived besides | kept back |")
	say("|---|---|---|")
	told := map[string]bool{}
	for _, o := range r.Outcomes {
		if told[o.Run] {
			continue
		}
		told[o.Run] = true
		say("| %s | %s | %s |", o.Run, list(o.Besides), list(o.Kept))
	}
	if r.Failed() > 0 {
		say("\n## What went wrong\n")
		for _, o := range r.Outcomes {
			for _, p := range o.Problems {
				say("- %s: %s", o.Alert, p)
			}
		}
	}
	say("\n## As they arrived\n")
	for _, o := range r.Outcomes {
		if o.Summary != "" {
			say("- **%s**: %s", o.Alert, o.Summary)
		}
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// cell keeps a bar from ending a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func list(names []string) string {
	if len(names) == 0 {
		return "–"
	}
	return strings.Join(names, ", ")
}
