package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/cloud-pixel/playground/services/proofs/mutations"
)

// result is what became of a test.
type result struct {
	passed, failed bool
	hung           bool   // it was ended for taking too long
	why            string // the first line that was logged with its place
	last           string // the last of them; nothing of the harness of the proofs
}

// reason is the line that tells best why a test failed. Proofs log what they
// have measured before they judge it.
func (r result) reason(t mutations.Test) string {
	if t.Slow && r.last != "" {
		return r.last
	}
	return r.why
}

func goTool() string {
	if tool := os.Getenv("GO"); tool != "" {
		return tool
	}
	return "go"
}

// runTests runs tests of one package or file. An error means that they could
// not be run; a test without a result did not run.
func (c *workingCopy) runTests(ctx context.Context, tests []mutations.Test) (map[string]result, error) {
	place := tests[0].Place
	var patterns []string
	timeout := "3m"
	for _, t := range tests {
		patterns = append(patterns, regexp.QuoteMeta(t.Name))
		if t.Slow {
			timeout = "15m"
		}
	}
	pattern := "^(" + strings.Join(patterns, "|") + ")$"
	var cmd *exec.Cmd
	if tests[0].InNode() {
		cmd = c.command(ctx, "node", "--test", "--test-reporter=tap", "--test-name-pattern="+pattern, place)
	} else {
		cmd = c.command(ctx, goTool(), "test", "-json", "-count=1", "-timeout="+timeout, "-run="+pattern, place)
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	results := make(map[string]result)
	if tests[0].InNode() {
		readTAP(out, results)
	} else if err := readGo(out, results); err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, errors.New("no test ran: " + lastLine(out))
	}
	return results, nil
}

var (
	position = regexp.MustCompile(`^\s*(\S+\.go:\d+: .*\S)`)
	panicked = regexp.MustCompile(`^\s*(panic: .*\S|fatal error: .*\S)`)
)

// readGo reads what go test -json prints. Only tests of the top level count;
// what their subtests print is theirs.
func readGo(out []byte, results map[string]result) error {
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	hung := false
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue // what the program that was tested printed itself
		}
		name, _, isSub := strings.Cut(event.Test, "/")
		if event.Action == "build-fail" {
			return errors.New("the tests do not build")
		}
		if strings.Contains(event.Output, "panic: test timed out") {
			hung = true
		}
		if name == "" {
			continue
		}
		r := results[name]
		switch {
		case event.Action == "output":
			found := position.FindStringSubmatch(event.Output)
			if found == nil {
				found = panicked.FindStringSubmatch(event.Output)
			}
			if found == nil {
				break
			}
			if r.why == "" {
				r.why = found[1]
			}
			if !strings.HasPrefix(found[1], "harness_test.go") {
				r.last = found[1]
			}
		case event.Action == "pass" && !isSub:
			r.passed = true
		case event.Action == "fail": // also of a subtest: a panic there leaves its parent without a word
			r.failed, r.hung = true, hung
		}
		results[name] = r
	}
	return lines.Err()
}

var (
	tapLine  = regexp.MustCompile(`^(not )?ok \d+ - (.*?)( # .*)?$`)
	tapError = regexp.MustCompile(`^( +)error: (.*)$`)
)

// readTAP reads what node --test prints: the tests of a file, each followed by
// what is wrong with it.
func readTAP(out []byte, results map[string]result) {
	lines := strings.Split(string(out), "\n")
	for i, line := range lines {
		found := tapLine.FindStringSubmatch(line)
		if found == nil || strings.Contains(found[3], "SKIP") {
			continue
		}
		r := result{passed: found[1] == "", failed: found[1] != ""}
		if r.failed {
			r.why = tapWhy(lines[i+1:])
		}
		results[found[2]] = r
	}
}

// tapWhy returns the error that follows a "not ok": the rest of its line, or
// the block below it, of which the beginning is enough.
func tapWhy(lines []string) string {
	for i, line := range lines {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "not ok ") {
			break
		}
		found := tapError.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		if !strings.HasPrefix(found[2], "|") {
			return strings.Trim(found[2], `'"`)
		}
		var block []string
		for _, line := range lines[i+1:] {
			if line != "" && !strings.HasPrefix(line, found[1]+" ") {
				break
			}
			block = append(block, strings.Fields(line)...)
		}
		const enough = 25
		return strings.Join(block[:min(len(block), enough)], " ")
	}
	return ""
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
