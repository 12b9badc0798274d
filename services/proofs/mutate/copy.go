package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloud-pixel/playground/services/proofs/mutations"
)

// workingCopy is a copy of the tree that may be broken.
type workingCopy struct{ dir string }

// workingCopies are all of them, in one folder.
type workingCopies struct {
	dir string
	all []*workingCopy
}

// makeCopies copies the last commit n times.
func makeCopies(ctx context.Context, n int) (made *workingCopies, err error) {
	dir, err := os.MkdirTemp("", "pixel-mutate-")
	if err != nil {
		return nil, err
	}
	made = &workingCopies{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.remove())
		}
	}()
	archive := filepath.Join(dir, "tree.tar")
	if out, err := exec.CommandContext(ctx, "git", "archive", "-o", archive, "HEAD").CombinedOutput(); err != nil {
		return made, fmt.Errorf("git archive: %w: %s", err, out)
	}
	for i := range n {
		c := &workingCopy{filepath.Join(dir, fmt.Sprint(i))}
		made.all = append(made.all, c)
		if err := os.Mkdir(c.dir, 0o750); err != nil {
			return made, err
		}
		// A repository of its own, whose index is what revert goes back to.
		for _, command := range [][]string{{"tar", "-xf", archive}, {"git", "init", "-q"}, {"git", "add", "-A"}} {
			if out, err := c.command(ctx, command...).CombinedOutput(); err != nil {
				return made, fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
			}
		}
	}
	return made, nil
}

func (w *workingCopies) remove() error { return os.RemoveAll(w.dir) }

// each calls f for 0 … n-1, at the same time for as many as there are copies.
func (w *workingCopies) each(n int, f func(c *workingCopy, i int)) {
	next := make(chan int)
	var working sync.WaitGroup
	for _, c := range w.all {
		working.Go(func() {
			for i := range next {
				f(c, i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	working.Wait()
}

// command prepares a program that runs in the copy.
func (c *workingCopy) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = c.dir
	// Without the paths of this folder what is not broken is built only once,
	// and found again the next time. The copy's history is empty: there is no
	// version to stamp.
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -trimpath -buildvcs=false")
	// go test must be able to end what it started.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// try applies a mutation, runs its tests and undoes it. It returns what became
// of each, and whether all failed as they should.
func (c *workingCopy) try(ctx context.Context, m mutations.Mutation) (lines []string, ok bool) {
	patch := c.dir + ".patch"
	if err := os.WriteFile(patch, []byte(m.Patch), 0o600); err != nil {
		return []string{err.Error()}, false
	}
	if out, err := c.command(ctx, "git", "apply", "--whitespace=nowarn", patch).CombinedOutput(); err != nil {
		return []string{"DOES NOT APPLY: " + strings.TrimSpace(string(out))}, false
	}
	defer func() {
		// Also what tests have left, such as the inputs with which a property
		// failed: the next mutation must fail by itself.
		for _, command := range [][]string{{"git", "checkout", "-q", "--", "."}, {"git", "clean", "-fdxq"}} {
			if out, err := c.command(context.WithoutCancel(ctx), command...).CombinedOutput(); err != nil {
				lines, ok = append(lines, fmt.Sprintf("NOT UNDONE: %v: %s", err, out)), false
			}
		}
	}()
	// What does not build fails no test.
	if changed := goPackages(m.Patch); len(changed) > 0 {
		vet := append([]string{goTool(), "vet"}, changed...)
		if out, err := c.command(ctx, vet...).CombinedOutput(); err != nil {
			return []string{"DOES NOT BUILD: " + strings.TrimSpace(string(out))}, false
		}
	}
	ok = true
	for _, group := range byPlace(m.Tests) {
		results, err := c.runTests(ctx, group)
		if err != nil {
			lines, ok = append(lines, fmt.Sprintf("NO RESULT of %s: %v", group[0].Place, err)), false
			continue
		}
		for _, t := range group {
			r := results[t.Name]
			if !r.passed && !r.failed && len(group) > 1 {
				// A panic in another one has ended the whole run.
				if alone, err := c.runTests(ctx, []mutations.Test{t}); err == nil {
					r = alone[t.Name]
				}
			}
			switch {
			case r.hung:
				lines, ok = append(lines, fmt.Sprintf("HUNG: %s has to fail by itself", t.Name)), false
			case r.failed:
				lines = append(lines, fmt.Sprintf("%s: %s", t.Name, r.reason(t)))
			case r.passed:
				lines, ok = append(lines, fmt.Sprintf("SURVIVED: %s passes", t.Name)), false
			default:
				lines, ok = append(lines, fmt.Sprintf("NO RESULT of %s: %s", t.Name, r.why)), false
			}
		}
	}
	return lines, ok
}

// goPackages returns the packages of the Go files that a patch changes.
func goPackages(patch string) (changed []string) {
	for line := range strings.Lines(patch) {
		name, found := strings.CutPrefix(strings.TrimSpace(line), "+++ b/")
		if place := "./" + path.Dir(name); found && path.Ext(name) == ".go" && !slices.Contains(changed, place) {
			changed = append(changed, place)
		}
	}
	return changed
}

// byPlace puts tests of one package or file together.
func byPlace(tests []mutations.Test) (groups [][]mutations.Test) {
	for _, t := range tests {
		i := slices.IndexFunc(groups, func(g []mutations.Test) bool { return g[0].Place == t.Place })
		switch {
		case i < 0:
			groups = append(groups, []mutations.Test{t})
		case !slices.ContainsFunc(groups[i], func(other mutations.Test) bool { return other.Name == t.Name }):
			groups[i] = append(groups[i], t)
		}
	}
	return groups
}

// baseline is how the tests do without any mutation.
type baseline struct {
	groups   [][]mutations.Test // of one package or file each
	mu       sync.Mutex
	problems []string
}

func newBaseline(all []mutations.Mutation) *baseline {
	var tests []mutations.Test
	for _, m := range all {
		tests = append(tests, m.Tests...)
	}
	return &baseline{groups: byPlace(tests)}
}

func (b *baseline) run(ctx context.Context, c *workingCopy, i int) {
	group := b.groups[i]
	results, err := c.runTests(ctx, group)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.problems = append(b.problems, fmt.Sprintf("WITHOUT ANY MUTATION: %s: %v", group[0].Place, err))
	}
	for _, t := range group {
		if r := results[t.Name]; !r.passed {
			b.problems = append(b.problems, fmt.Sprintf("WITHOUT ANY MUTATION %s does not pass: %s", t.Name, r.why))
		}
	}
}
