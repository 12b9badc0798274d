//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	reporting sync.Mutex
	lines     []string
)

// report notes what a proof saw.
func report(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Log(text)
	outcome := "held"
	if t.Failed() {
		outcome = "**broken**"
	}
	reporting.Lock()
	defer reporting.Unlock()
	lines = append(lines, fmt.Sprintf("| `%s` | %s | %s |", strings.ReplaceAll(t.Name(), "_", " "), outcome, text))
}

func TestMain(m *testing.M) {
	began := time.Now()
	code := m.Run()
	if err := write(began); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func write(began time.Time) error {
	const dir = "../../build/reports"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	say := func(args ...string) string {
		out, err := kubectl(ctx, args...)
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(out)
	}
	node := say("get", "nodes", "-o", `jsonpath={range .items[*]}{.status.nodeInfo.kubeletVersion}, {.status.nodeInfo.containerRuntimeVersion}, kernel {.status.nodeInfo.kernelVersion}, {.status.capacity.cpu} CPUs; {end}`)
	images := say("-n", namespace, "get", "deployments,statefulsets", "-o", `jsonpath={range .items[*]}{.spec.template.spec.containers[0].image} {end}`)
	text := fmt.Sprintf("Nodes: %s images: %s; clients: %s, %s/%s. %s, %v.\n\n| proof | outcome | what was seen |\n|---|---|---|\n%s\n",
		node, images, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		began.UTC().Format("2006-01-02"), time.Since(began).Round(time.Second), strings.Join(lines, "\n"))
	return os.WriteFile(filepath.Join(dir, "cluster.md"), []byte(text), 0o600)
}
