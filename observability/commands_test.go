package observability

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/observability/internal/stack"
	"github.com/cloud-pixel/playground/services/fleet"
)

// command is a line of a block of a runbook's Diagnosis that says sh.
type command struct{ runbook, line string }

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// diagnosis returns the commands of all runbooks of alerts.
func diagnosis(t *testing.T, a all) []command {
	t.Helper()
	var found []command
	for _, name := range a.alerts() {
		content, err := os.ReadFile(filepath.Join(a.root, "..", "runbooks", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(content), "## Diagnosis\n")
		text, _, _ = strings.Cut(text, "\n## ")
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			for _, line := range strings.Split(strings.TrimSpace(block[1]), "\n") {
				found = append(found, command{name, line})
			}
		}
	}
	return found
}

// endless are commands that show something until they are interrupted.
var endless = regexp.MustCompile(`--latency-history`)

// silent are commands that may find nothing in a healthy system.
var silent = regexp.MustCompile(`select\(\.health != "up"\)|readyz \| jq \.reason|slowlog get|--latency-history`)

// TestDiagnosisCommandsRun runs each command of each alert's runbook that is
// not for a cluster, on the live stack, with the addresses of its processes in
// the place of those that the runbooks' page explains.
func TestDiagnosisCommandsRun(t *testing.T) {
	a := read(t)
	s := startLive(t, a.root)
	now, err := fleet.ReadState(s.State)
	if err != nil {
		t.Fatal(err)
	}
	gateway, api := now.Of(fleet.Gateway)[0], now.Of(fleet.API)[0]
	dir := t.TempDir() // exports go here
	places := strings.NewReplacer(
		"localhost:6060", gateway.DebugAddr, "localhost:3002", gateway.Addr, "localhost:3001", api.Addr,
		"localhost:9090", s.Addr("prometheus"), "localhost:9093", s.Addr("alertmanager"),
		"https://pixel.example.org", now.URL, "/tmp/", dir+"/",
	)
	env := append(os.Environ(), "REDIS_URL="+now.Redis.URL, "PATH="+live.build+string(os.PathListSeparator)+os.Getenv("PATH"))
	n := 0
	for _, c := range diagnosis(t, a) {
		if strings.HasPrefix(c.line, "kubectl ") {
			continue // TestClusterCommandsNameWhatExists
		}
		n++
		run := func() (string, error) {
			limit := time.Minute
			if endless.MatchString(c.line) {
				limit = 3 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			shell := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", places.Replace(c.line))
			shell.Env, shell.Dir, shell.WaitDelay = env, dir, time.Second
			// A group of its own, so that what the shell has started ends with it.
			stack.Group(shell)
			out, err := shell.CombinedOutput()
			if endless.MatchString(c.line) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				err = nil
			}
			return strings.TrimSpace(string(out)), err
		}
		out, err := run()
		if err == nil && out == "" && !silent.MatchString(c.line) {
			// The stack has just started: some answers take a moment.
			await(t, c.runbook+": "+c.line+" says something", func() bool {
				out, err = run()
				return err != nil || out != ""
			})
		}
		if err != nil {
			t.Errorf("%s: %s: %v\n%s", c.runbook, c.line, err, out)
		}
	}
	if n == 0 {
		t.Error("no runbook has a command")
	}
	t.Logf("%d commands", n)
}

var (
	named      = regexp.MustCompile(`\b(deploy|pod)[/ ]([a-z0-9-]+)`)
	byName     = regexp.MustCompile(`app\.kubernetes\.io/name=([a-z0-9-]+)`)
	ofManifest = regexp.MustCompile(`(?m)^  name: ([a-z0-9-]+)$`)
)

// TestClusterCommandsNameWhatExists: what runbooks ask kubectl about is in the
// manifests. They run on a cluster only (k8s/cluster).
func TestClusterCommandsNameWhatExists(t *testing.T) {
	a := read(t)
	var names []string
	for _, pattern := range []string{"base/*.yaml", "components/observability/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join(a.root, "..", "k8s", filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ofManifest.FindAllStringSubmatch(string(content), -1) {
				names = append(names, m[1])
			}
		}
	}
	n := 0
	for _, c := range diagnosis(t, a) {
		if !strings.HasPrefix(c.line, "kubectl ") {
			continue
		}
		n++
		if !strings.HasPrefix(c.line, "kubectl -n pixel ") {
			t.Errorf("%s: %s is not for the namespace", c.runbook, c.line)
		}
		for _, m := range slices.Concat(named.FindAllStringSubmatch(c.line, -1), byName.FindAllStringSubmatch(c.line, -1)) {
			name := strings.TrimSuffix(m[len(m)-1], "-0") // of a stateful set
			if !slices.Contains(names, name) {
				t.Errorf("%s: %s: the manifests have no %s", c.runbook, c.line, name)
			}
		}
	}
	t.Logf("%d commands for a cluster", n)
}
