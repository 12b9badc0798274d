package mutations

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

func all(t *testing.T) []Mutation {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 40 {
		t.Fatalf("only %d mutations", len(all))
	}
	return all
}

// Code moves on: a mutation that no longer applies has to be made anew.
func TestPatchesApply(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("git is needed to try the patches")
	}
	for _, m := range all(t) {
		apply := exec.CommandContext(t.Context(), "git", "apply", "--check", "--whitespace=nowarn", "-")
		apply.Dir, apply.Stdin = root, strings.NewReader(m.Patch)
		if out, err := apply.CombinedOutput(); err != nil {
			t.Errorf("services/proofs/mutations/%s.patch: %v\n%s", m.Name, err, out)
		}
		// Patches of files outside the folder in which git runs are passed over
		// in silence.
		for _, found := range regexp.MustCompile(`(?m)^--- a/(.+)$`).FindAllStringSubmatch(m.Patch, -1) {
			if _, err := os.Stat(filepath.Join(root, found[1])); err != nil || strings.HasSuffix(found[1], "_test.go") {
				t.Errorf("%s changes %s, which is no part of the product: %v", m.Name, found[1], err)
			}
		}
	}
}

// The tests that mutations name exist.
func TestKillersExist(t *testing.T) {
	texts := make(map[string]string) // by place
	for _, m := range all(t) {
		for _, test := range m.Tests {
			if _, known := texts[test.Place]; !known {
				texts[test.Place] = read(t, test)
			}
			definition := "\nfunc " + test.Name + "(t *testing.T)"
			if test.InNode() {
				definition = "\ntest('" + test.Name + "'"
			}
			if !strings.Contains(texts[test.Place], definition) {
				t.Errorf("%s names %s %s, which does not exist", m.Name, test.Place, test.Name)
			}
		}
	}
}

// read returns the text of all tests in the place of one.
func read(t *testing.T, test Test) string {
	t.Helper()
	pattern := test.Place
	if !test.InNode() {
		pattern += "/*_test.go"
	}
	files, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// Each mutation stands in docs/RELIABILITY.md beside the promise that it
// breaks, and what stands there exists.
func TestReliabilityNamesEachMutation(t *testing.T) {
	const document = "docs/RELIABILITY.md"
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, m := range all(t) {
		known[m.Name] = true
		if !strings.Contains(string(text), "[`"+m.Name+"`](../services/proofs/mutations/"+m.Name+".patch)") {
			t.Errorf("%s does not link to %s", document, m.Name)
		}
	}
	for _, found := range regexp.MustCompile(`mutations/([\w-]+)\.patch`).FindAllStringSubmatch(string(text), -1) {
		if !known[found[1]] {
			t.Errorf("%s names the mutation %s, which does not exist", document, found[1])
		}
	}
}

func TestHeads(t *testing.T) {
	const diff = "\ndiff --git a/x b/x\n"
	m, err := parse("name", "What is\nbroken.\n\nBreaks: a promise\nTest: ./services/canvas TestX\nSlow test: ./services/proofs TestY\nTest: web/test/a.test.js \"it's so\"\n"+diff)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "name" || m.Text != "What is broken." || m.Breaks != "a promise" || len(m.Tests) != 3 ||
		m.Tests[0] != (Test{"./services/canvas", "TestX", false}) || m.Tests[1] != (Test{"./services/proofs", "TestY", true}) ||
		m.Tests[2] != (Test{"web/test/a.test.js", "it's so", false}) || !m.Tests[2].InNode() || m.Tests[0].InNode() {
		t.Errorf("%+v", m)
	}
	for _, bad := range []string{
		"What.\n\nBreaks: a\nTest: ./services/canvas TestX\n",       // no diff
		"What.\n\nBreaks: a\n" + diff,                               // no test
		"What.\n\nTest: ./services/canvas TestX\n" + diff,           // no promise
		"\n\nBreaks: a\nTest: ./services/canvas TestX\n" + diff,     // no text
		"What.\n\nBreaks: a\nTest: ./services/canvas\n" + diff,      // no name
		"What.\n\nBreaks: a\nTests: ./services/canvas TestX" + diff, // no such key
	} {
		if m, err := parse("bad", bad); err == nil {
			t.Errorf("%q: %+v", bad, m)
		}
	}
}
