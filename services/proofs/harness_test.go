package proofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloud-pixel/playground/services/client"
	"github.com/cloud-pixel/playground/services/fleet"
	"github.com/cloud-pixel/playground/services/internal/embedded"
)

// full tells whether the long form of the proofs was asked for.
var full = os.Getenv("PROVE") == "full"

// pick returns a number for the short form and one for the full form.
func pick[T any](short, long T) T {
	if full {
		return long
	}
	return short
}

// program is the playground's binary, built once for all tests.
var program string

func TestMain(m *testing.M) {
	code, err := withProgram(m.Run)
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

func withProgram(run func() int) (code int, err error) {
	dir, err := os.MkdirTemp("", "pixel-proofs-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program = filepath.Join(dir, "playground")
	build := exec.Command("go", "build", "-o", program, "github.com/cloud-pixel/playground/services/playground")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return run(), nil
}

// limit bounds a whole test.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pick(3*time.Minute, 10*time.Minute))
	t.Cleanup(cancel)
	return ctx
}

// redisServer starts a redis-server that writes each append to disk before it
// answers. The test may kill, pause and start it again.
func redisServer(t *testing.T, args ...string) *embedded.Server {
	t.Helper()
	s, err := embedded.StartRedis(t.Context(), embedded.Options{AppendFsync: "always", Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// startFleet starts a playground and waits until all its processes listen. It
// is stopped at the end of the test, and what it logged is shown if the test
// failed.
func startFleet(t *testing.T, ctx context.Context, o fleet.Options) *fleet.Fleet {
	t.Helper()
	f := launchFleet(t, o)
	if _, err := f.Ready(ctx, max(1, o.Gateways), max(1, o.APIs), max(1, o.Frontends)); err != nil {
		t.Fatal(err)
	}
	return f
}

// launchFleet is startFleet without waiting. What the processes log also goes
// to o.Log, unless that is nil.
func launchFleet(t *testing.T, o fleet.Options) *fleet.Fleet {
	t.Helper()
	logs, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	o.Program = program
	if o.Log == nil {
		o.Log = logs
	} else {
		o.Log = io.MultiWriter(logs, o.Log)
	}
	o.Env = append([]string{"LOG_LEVEL=warn"}, o.Env...)
	f, err := fleet.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			showLog(t, logs.Name())
		}
		_ = logs.Close()
	})
	return f
}

// showLog shows the end of a log.
func showLog(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Log(err)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	t.Logf("the last of %d lines that the processes logged:\n%s", len(lines), strings.Join(lines[max(0, len(lines)-60):], "\n"))
}

// seed returns what a test's randomness starts from: PROVE_SEED, else something
// new. It is logged, so that a failure can be repeated.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if text := os.Getenv("PROVE_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("PROVE_SEED: %v", err)
		}
	}
	t.Logf("PROVE_SEED=%d repeats this choice of faults", n)
	return n
}

// allReady waits until every process says that it is ready, and returns what
// runs then.
func allReady(t *testing.T, ctx context.Context, f *fleet.Fleet) fleet.State {
	t.Helper()
	var s fleet.State
	eventually(t, ctx, "all processes are ready", func() bool {
		var err error
		if s, err = f.State(); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Processes {
			if _, err := get(ctx, "http://"+p.Addr+"/readyz"); err != nil {
				return false
			}
		}
		return true
	})
	return s
}

// wsURL is the playground's one port, behind which the gateways take turns.
func wsURL(t *testing.T, f *fleet.Fleet) string {
	t.Helper()
	return "ws" + strings.TrimPrefix(baseURL(t, f), "http") + "/ws"
}

func baseURL(t *testing.T, f *fleet.Fleet) string {
	t.Helper()
	s, err := f.State()
	if err != nil {
		t.Fatal(err)
	}
	return s.URL
}

// connect connects a client that is closed at the end of the test.
func connect(t *testing.T, ctx context.Context, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Dial(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually waits for a condition by asking again and again.
func eventually(t *testing.T, ctx context.Context, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}
