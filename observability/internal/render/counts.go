package render

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cloud-pixel/playground/observability/internal/dashboards"
	"github.com/cloud-pixel/playground/observability/internal/drill"
	"github.com/cloud-pixel/playground/observability/internal/rules"
	"github.com/cloud-pixel/playground/observability/internal/tree"
)

// counts writes how much there is into the README files, between two comments.
func counts(root string, sources rules.Sources, built rules.Built) (tree.Files, error) {
	drills, err := drill.Load(root)
	if err != nil {
		return nil, err
	}
	cases, err := rules.LoadCases(root)
	if err != nil {
		return nil, err
	}
	runbooks, err := filepath.Glob(filepath.Join(root, "..", "runbooks", "*.md"))
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, r := range built.Alerts() {
		names[r.Alert] = true
	}
	expressions := 0
	for _, f := range built {
		for _, g := range f.Groups {
			expressions += len(g.Rules)
		}
	}
	boards, panels, queries := dashboards.Counts(sources)
	text := fmt.Sprintf("%d objectives, %d alerts (%d by severity and objective, each with a test), %d drills, %d runbooks; %d dashboards with %d panels and %d queries, %d rules.",
		len(sources.Objectives.Objectives), len(names), len(cases), len(drills), len(runbooks)-1, boards, panels, queries, expressions)
	files := tree.Files{}
	for _, path := range []string{"README.md", "../README.md"} {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		made, err := between(string(content), "<!-- counts: written by `make observability` -->", "<!-- end of counts -->", text)
		if err != nil {
			return nil, fmt.Errorf("render: %s: %w", path, err)
		}
		files[path] = []byte(made)
	}
	return files, nil
}

// between replaces what stands between two lines, and indents it like them.
func between(content, from, to, text string) (string, error) {
	before, rest, ok := strings.Cut(content, from)
	_, after, also := strings.Cut(rest, to)
	if !ok || !also {
		return "", fmt.Errorf("%s and %s are not there", from, to)
	}
	indent := before[strings.LastIndexByte(before, '\n')+1:]
	return before + from + "\n" + indent + text + "\n" + indent + to + after, nil
}
