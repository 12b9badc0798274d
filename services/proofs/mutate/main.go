// Command mutate shows that the tests have teeth. It copies the last commit
// into temporary folders, applies each mutation of package mutations there,
// runs the tests that must fail then, and reports the first line of each
// failure. A mutation that does not apply, does not build, makes a test hang or
// is not noticed is an error, as is a test that fails without any mutation.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cloud-pixel/playground/services/proofs/mutations"
)

func main() {
	all := flag.Bool("all", false, "run the slow tests, too: whole systems of processes")
	workers := flag.Int("j", max(1, runtime.NumCPU()/2), "how many copies of the tree to work in at once")
	list := flag.Bool("list", false, "only tell which mutations there are")
	flag.Usage = func() {
		_, _ = fmt.Fprintf(flag.CommandLine.Output(), "usage: mutate [-all] [-j N] [-list] [NAME…]\n\nName mutations to run only those, with their slow tests.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *workers, *all, *list, flag.Args()); err != nil {
		stop()
		_, _ = fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// choose returns the mutations of the given names, or all.
func choose(names []string) ([]mutations.Mutation, error) {
	known, err := mutations.All()
	if err != nil || len(names) == 0 {
		return known, err
	}
	var chosen []mutations.Mutation
	for _, name := range names {
		i := slices.IndexFunc(known, func(m mutations.Mutation) bool { return m.Name == strings.TrimSuffix(name, ".patch") })
		if i < 0 {
			return nil, fmt.Errorf("there is no mutation %q; -list tells which there are", name)
		}
		chosen = append(chosen, known[i])
	}
	return chosen, nil
}

func run(ctx context.Context, out io.Writer, workers int, slow, list bool, names []string) (err error) {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if list {
		for _, m := range chosen {
			_, _ = fmt.Fprintf(out, "%s\n    %s\n", m.Name, m.Text)
		}
		return nil
	}
	slow = slow || len(names) > 0
	skipped := 0
	for i := range chosen {
		if !slow {
			chosen[i].Tests = slices.DeleteFunc(slices.Clone(chosen[i].Tests), func(t mutations.Test) bool { return t.Slow })
		}
		if len(chosen[i].Tests) == 0 {
			skipped++
		}
	}
	chosen = slices.DeleteFunc(chosen, func(m mutations.Mutation) bool { return len(m.Tests) == 0 })

	begin := time.Now()
	copies, err := makeCopies(ctx, min(max(1, workers), len(chosen)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copies.remove()) }()

	// What fails anyway shows nothing.
	unbroken := newBaseline(chosen)
	copies.each(len(unbroken.groups), func(c *workingCopy, i int) { unbroken.run(ctx, c, i) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, problem := range unbroken.problems {
		_, _ = fmt.Fprintln(out, problem)
	}

	var mu sync.Mutex
	failed := len(unbroken.problems)
	copies.each(len(chosen), func(c *workingCopy, i int) {
		lines, ok := c.try(ctx, chosen[i])
		if ctx.Err() != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if !ok {
			failed++
		}
		_, _ = fmt.Fprintf(out, "%s\n    %s\n", chosen[i].Name, strings.Join(lines, "\n    "))
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	_, _ = fmt.Fprintf(out, "%d mutations in %v", len(chosen), time.Since(begin).Round(time.Second))
	if skipped > 0 {
		_, _ = fmt.Fprintf(out, ", %d left out that only slow tests notice (-all)", skipped)
	}
	_, _ = fmt.Fprintln(out)
	if failed > 0 {
		return fmt.Errorf("%d problems", failed)
	}
	return nil
}
