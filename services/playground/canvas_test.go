package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/services/internal/embedded"
)

// The commands on a canvas, with flags on either side of the file, files by
// pipe, and exit codes.
func TestCanvasCommands(t *testing.T) {
	server, err := embedded.StartMemory(t.Context(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	run := func(want int, says string, in []byte, args string) (out []byte) {
		t.Helper()
		var o, e bytes.Buffer
		// The environment names another server: the flag wins.
		env := map[string]string{"REDIS_URL": "redis://127.0.0.1:1", "MAX_CANVASES": "2"}
		code := runCanvas(context.WithoutCancel(t.Context()), strings.Fields(args), terminal{
			in: bytes.NewReader(in), out: &o, err: &e, env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		})
		if code != want || !strings.Contains(o.String()+e.String(), says) {
			t.Errorf("canvas %s: exit code %d, want %d and %q:\n%s%s", args, code, want, says, o.String(), e.String())
		}
		return o.Bytes()
	}
	redis := " -redis " + server.URL()
	file := filepath.Join(t.TempDir(), "art.pixels")
	sample := "../internal/archive/testdata/version-1.pixels"

	run(0, "Back up", nil, "-h")
	run(0, "-replace", nil, "import -h")
	run(2, "none of export", nil, "exprot "+file)
	run(2, "one file is enough", nil, "export a b")
	run(2, "-force", nil, "import -force "+file)
	run(2, "127.0.0.1:1", nil, "verify")
	run(2, `no canvas "main"`, nil, "verify"+redis)

	run(0, "there was no canvas art", nil, "import "+sample+" -id art"+redis)
	run(0, "looks so already", nil, "import"+redis+" -id art "+sample)
	run(0, "exported", nil, "export -id art "+file+redis)
	run(2, "-force", nil, "export -id art"+redis+" "+file)
	run(0, "looked so at 2", nil, "verify -id art"+redis+" "+file)
	piped := run(0, "", nil, "export - -id art"+redis)
	run(0, "looked so at 2", piped, "verify - -id art"+redis)
	run(0, "shows the file's picture", piped, "import - -id copy"+redis)
	run(2, "at most 2", piped, "import - -id third"+redis)
	run(1, "damaged", piped[:100], "verify - -id art"+redis)
	run(1, "not an archive", []byte("hello"), "import - -id art"+redis)
}
