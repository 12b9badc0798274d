package readme

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)|src="([^"]+)"`)
	testName   = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	makeName   = regexp.MustCompile("`make ([a-z0-9-]+)[^`]*`")
	makeTarget = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

// walk calls f with each file of the project that ends in suffix, by its path
// below the root.
func walk(t *testing.T, suffix string, f func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "build" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, suffix):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, name)
		f(filepath.ToSlash(below), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocuments checks what the documents refer to: files, tests and targets of
// the Makefile.
func TestDocuments(t *testing.T) {
	tests := make(map[string]bool)
	walk(t, "_test.go", func(_, text string) {
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
	})
	makefile, err := os.ReadFile(root + "Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := make(map[string]bool)
	for _, m := range makeTarget.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	documents := 0
	walk(t, ".md", func(name, text string) {
		documents++
		for _, m := range testName.FindAllStringSubmatch(text, -1) {
			if !tests[m[1]] {
				t.Errorf("%s names %s, which does not exist", name, m[1])
			}
		}
		for _, m := range makeName.FindAllStringSubmatch(text, -1) {
			if !targets[m[1]] {
				t.Errorf("%s names `make %s`, which does not exist", name, m[1])
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1]+m[2], "#")
			if target == "" || strings.Contains(target, ":") {
				continue // within the page, or to another place
			}
			if _, err := os.Stat(root + path.Join(path.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s: %v", name, target, err)
			}
		}
	})
	if documents < 4 || len(tests) < 100 || len(targets) < 5 {
		t.Errorf("found only %d documents, %d tests and %d targets", documents, len(tests), len(targets))
	}
}

// TestReliabilityNamesEachProof checks that no proof stands apart from the
// promise that it is for.
func TestReliabilityNamesEachProof(t *testing.T) {
	const name = "docs/RELIABILITY.md"
	text, err := os.ReadFile(root + name)
	if err != nil {
		t.Fatal(err)
	}
	proofs := 0
	walk(t, "_test.go", func(file, code string) {
		dir := path.Dir(file)
		if dir != "services/proofs" && dir != "services/proofs/model" {
			return
		}
		for _, m := range testFunc.FindAllStringSubmatch(code, -1) {
			if m[1] == "TestMain" {
				continue
			}
			if proofs++; !strings.Contains(string(text), "`"+m[1]+"`") {
				t.Errorf("%s does not name %s of %s", name, m[1], file)
			}
		}
	})
	if proofs < 10 {
		t.Errorf("found only %d proofs", proofs)
	}
}
