package observability

import (
	"os"
	"testing"
)

// dirs are folders to remove when all tests have ended.
var dirs []string

func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "pixel-observability-")
	dirs = append(dirs, dir)
	return dir, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	live.stop()
	for _, dir := range dirs {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}
