// Command compare measures the playground side by side with a server on the
// Centrifuge library: the same loads, one after the other in turns (A B A B …),
// each system started afresh with a Redis of its own, and prints one table
// with the ratios. It builds what it needs, uses loopback addresses only and
// stops by itself.
//
//	go run ./bench/compare -quick   # less than a minute
//	go run ./bench/compare -full    # what docs/PERFORMANCE.md shows
//
// Of several rounds the best clean one counts: a disturbance only ever makes a
// figure worse. A round is clean when nothing else used the machine. How many
// were is part of the table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

type options struct {
	plan
	dir   string // of the binaries and results
	out   string
	built bool
}

func main() { os.Exit(command()) }

func command() int {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 1
	}
	return 0
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	isFull := f.Bool("full", false, "every row and shape, three rounds: most of an hour")
	f.Bool("quick", true, "two rows, one short round: less than a minute (the default)")
	only := f.String("rows", "", "only these rows, `CLIENTSxRATE,…`")
	names := f.String("shapes", "", "only these shapes, `name,…`: "+strings.Join(shapeNames(), ", "))
	fsync := f.String("appendfsync", "", "only these settings of Redis, `always,everysec`")
	rounds := f.Int("rounds", 0, "rounds; default 1 quick, 3 full")
	duration := f.Duration("duration", 0, "time of each measurement; default 3s quick, 10s full")
	f.StringVar(&o.dir, "build", "build", "`folder` for the programs")
	f.BoolVar(&o.built, "built", false, "the programs are there: do not build them")
	f.StringVar(&o.out, "out", "", "`file` for all results as JSON")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.plan = quick; *isFull {
		o.plan = full
	}
	if *only != "" {
		o.rows = nil
		for text := range strings.SplitSeq(*only, ",") {
			var r row
			if _, err := fmt.Sscanf(text, "%dx%g", &r.clients, &r.rate); err != nil {
				return o, fmt.Errorf("-rows: %q is not of the form 1000x200", text)
			}
			o.rows = append(o.rows, r)
		}
	}
	if *names != "" {
		o.shapes = strings.Split(*names, ",")
	}
	for _, name := range o.shapes {
		if !slices.Contains(shapeNames(), name) {
			return o, fmt.Errorf("-shapes: there is no %q; there are %s", name, strings.Join(shapeNames(), ", "))
		}
	}
	if *fsync != "" {
		o.fsync = strings.Split(*fsync, ",")
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	if *duration > 0 {
		o.duration = *duration
	}
	if f.NArg() > 0 {
		return o, errors.New("there are arguments behind the flags")
	}
	return o, nil
}

func shapeNames() (names []string) {
	for _, s := range shapes {
		names = append(names, s.name)
	}
	return names
}

func run(ctx context.Context, o options) error {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	o.dir = dir
	if !o.built {
		if err := build(ctx, o.dir); err != nil {
			return err
		}
	}
	t, measured := measureAll(ctx, o)
	if measured != nil && len(t.cells) == 0 {
		return measured
	}
	// What is measured is told, also when it was interrupted.
	t.print(os.Stdout)
	if o.out != "" {
		if err := t.write(o.out); err != nil {
			return errors.Join(measured, err)
		}
	}
	if measured != nil {
		return measured
	}
	if faults := t.faults(); len(faults) > 0 {
		return errors.New("not everything was delivered as promised:\n" + strings.Join(faults, "\n"))
	}
	return nil
}
