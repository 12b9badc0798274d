// Package mutations holds defects. Each *.patch of this folder breaks the
// product in one place, the way in which somebody might break it, and names
// the tests that must fail then: a test that still passes proves nothing.
// scripts/mutate applies them one by one to a copy of the tree.
//
// A patch is a unified diff with little context (git diff -U1), so that it
// survives changes nearby, below a head:
//
//	What is broken on purpose, in plain words; one paragraph.
//
//	Breaks: the promise, or the rule behind it
//	Test: ./services/internal/replica TestRetryIsNotOvertaken
//	Slow test: ./services/proofs TestRedisIsPaused
//
// There may be several tests, each of which must fail. Slow ones run only when
// they are asked for. A test of the page names a file and, in quotes, a test in
// it:
//
//	Test: web/test/outbox.test.js "an acknowledgement is cumulative"
package mutations

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

//go:embed *.patch
var files embed.FS

// Mutation is one defect.
type Mutation struct {
	Name   string // of the file, without .patch
	Text   string // what is broken
	Breaks string // what must not hold any more
	Tests  []Test // what must fail
	Patch  string // the whole file; git apply skips the head
}

// Test names one test.
type Test struct {
	// Place is a package below the root (./services/…) or a file of the page's
	// tests.
	Place string
	Name  string
	Slow  bool
}

// InNode tells whether Node runs the test, not Go.
func (t Test) InNode() bool { return strings.HasSuffix(t.Place, ".js") }

var (
	goTest   = regexp.MustCompile(`^(\./[\w/]+) (Test\w+)$`)
	nodeTest = regexp.MustCompile(`^(web/test/[\w.]+\.js) "(.+)"$`)
)

// All returns all mutations in the order of their names.
func All() ([]Mutation, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, err
	}
	var all []Mutation
	for _, e := range entries {
		text, err := fs.ReadFile(files, e.Name())
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(e.Name(), ".patch"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all = append(all, m)
	}
	return all, nil
}

func parse(name, text string) (Mutation, error) {
	m := Mutation{Name: name, Patch: text}
	head, _, found := strings.Cut(text, "\ndiff --git ")
	if !found {
		return m, errors.New("no line begins with diff --git")
	}
	what, rest, _ := strings.Cut(head, "\n\n")
	m.Text = strings.Join(strings.Fields(what), " ")
	for line := range strings.Lines(rest) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "":
		case "Breaks":
			m.Breaks = value
		case "Test", "Slow test":
			t, err := parseTest(value)
			if err != nil {
				return m, err
			}
			t.Slow = key == "Slow test"
			m.Tests = append(m.Tests, t)
		default:
			return m, fmt.Errorf("the head has %q; it may have Breaks, Test and Slow test", key)
		}
	}
	if m.Text == "" || m.Breaks == "" || len(m.Tests) == 0 {
		return m, errors.New("the head must tell what is broken, what that breaks, and which test must fail")
	}
	return m, nil
}

func parseTest(s string) (Test, error) {
	for _, form := range []*regexp.Regexp{goTest, nodeTest} {
		if found := form.FindStringSubmatch(s); found != nil {
			return Test{Place: found[1], Name: found[2]}, nil
		}
	}
	return Test{}, fmt.Errorf("%q names no test", s)
}
