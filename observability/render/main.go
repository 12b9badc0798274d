// Render writes what is made from the sources of observability/: rules and
// their tests, dashboards, the kustomization.
//
//	go run ./render              writes them into observability/
//	go run ./render -check       changes nothing; exit code 1 and a list when something is stale
//	go run ./render -drills DIR  writes the rules over shorter windows into DIR
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/render"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

func main() {
	check := flag.Bool("check", false, "only tell what is stale")
	drills := flag.String("drills", "", "write the rules over shorter windows into this `folder`, and nothing else")
	factor := flag.Float64("factor", 30, "with -drills: how many times shorter")
	floor := flag.Duration("floor", 5*time.Second, "with -drills: no range becomes shorter than this")
	flag.Parse()
	if err := run(*check, *drills, *factor, *floor); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(check bool, drills string, factor float64, floor time.Duration) error {
	root, err := tree.Root()
	if err != nil {
		return err
	}
	if drills != "" {
		files, err := render.Short(root, render.Shorter{Factor: factor, Floor: floor})
		if err != nil {
			return err
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(drills, name), content, 0o644); err != nil { //nolint:gosec // for Prometheus to read
				return err
			}
		}
		return nil
	}
	files, err := render.All(root)
	if err != nil {
		return err
	}
	if !check {
		return files.Write(root)
	}
	stale, err := files.Stale(root)
	if err != nil || len(stale) == 0 {
		return err
	}
	for _, what := range stale {
		fmt.Fprintln(os.Stderr, what)
	}
	return fmt.Errorf("%d files are stale: run `make observability`", len(stale))
}
