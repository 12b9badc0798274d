// Package livesystem gives tests the programs of this source, and the real
// services to put load on.
package livesystem

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
)

// Playground and Generator build the playground and k6 with the extension, each
// once, and return the program.
var (
	Playground = program("playground", "..", "./services/playground")
	Generator  = program("k6", ".", ".")
)

// built are folders with programs.
var built struct {
	sync.Mutex
	folders []string
}

// program builds a package of the module that lies at a path from this one.
func program(name, module, pkg string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		here, err := exec.Command("go", "env", "GOMOD").Output()
		if err != nil {
			return "", fmt.Errorf("livesystem: which module is tested: %w", err)
		}
		dir, err := os.MkdirTemp("", "pixel-k6-")
		if err != nil {
			return "", fmt.Errorf("livesystem: %w", err)
		}
		built.Lock()
		built.folders = append(built.folders, dir)
		built.Unlock()
		file := filepath.Join(dir, name)
		root := filepath.Join(filepath.Dir(strings.TrimSpace(string(here))), module)
		if text, err := exec.Command("go", "-C", root, "build", "-o", file, pkg).CombinedOutput(); err != nil {
			return "", fmt.Errorf("livesystem: building %s: %w: %s", name, err, text)
		}
		return file, nil
	})
}

// Main is a TestMain: no goroutine may be left, and what was built goes.
func Main(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		built.Lock()
		for _, dir := range built.folders {
			_ = os.RemoveAll(dir)
		}
		built.Unlock()
		os.Exit(code)
	}))
}

// Start starts services for a test, with its own program and log, and returns
// their state file when all listen and the one port sends clients to each of
// the gateways.
func Start(t testing.TB, o fleet.Options) string {
	t.Helper()
	var err error
	if o.Program, err = Playground(); err != nil {
		t.Fatal(err)
	}
	o.Log = t.Output()
	o.Env = append([]string{"LOG_LEVEL=error"}, o.Env...)
	f, err := fleet.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := f.Ready(ctx, o.Gateways, o.APIs, o.Frontends)
	if err != nil {
		t.Fatal(err)
	}
	// A gateway that listens is not ready yet, and until it is the others get
	// its share.
	for met := map[string]bool{}; len(met) < o.Gateways; {
		c, err := client.Dial(ctx, client.Options{URLs: []string{"ws" + strings.TrimPrefix(s.URL, "http") + "/ws"}, NoGrid: true})
		if err != nil {
			t.Fatal(err)
		}
		met[c.Pod()] = true
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return f.StatePath()
}
