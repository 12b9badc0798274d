// Package tree finds the folder observability/ and writes what is rendered
// into it.
package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Root returns the folder observability/: the nearest one above the working
// directory that holds METRICS.md and go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if exists(filepath.Join(at, "METRICS.md")) && exists(filepath.Join(at, "go.mod")) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("tree: %s is not inside of observability/", dir)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Files are rendered files: contents by path below observability/, with
// slashes.
type Files map[string][]byte

// Add puts all of more into f. A path that is there already is a mistake of
// the program.
func (f Files) Add(more Files) {
	for path, content := range more {
		if _, ok := f[path]; ok {
			panic("tree: " + path + " is rendered twice")
		}
		f[path] = content
	}
}

// Write writes the files below root and deletes what stands in their folders
// with the same kind of name (*.json, *.yaml) and is not among them.
func (f Files) Write(root string) error {
	leftover, err := f.leftover(root)
	if err != nil {
		return err
	}
	for _, path := range leftover {
		if err := os.Remove(filepath.Join(root, filepath.FromSlash(path))); err != nil {
			return err
		}
	}
	for path, content := range f {
		full := filepath.Join(root, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil { //nolint:gosec // sources, for everybody to read
			return err
		}
		if err := os.WriteFile(full, content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}

// Stale returns what Write would change below root: paths, each with why.
func (f Files) Stale(root string) ([]string, error) {
	var stale []string
	for _, path := range slices.Sorted(maps.Keys(f)) {
		stands, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			stale = append(stale, path+" is missing")
		case err != nil:
			return nil, err
		case !bytes.Equal(stands, f[path]):
			stale = append(stale, path+" differs")
		}
	}
	leftover, err := f.leftover(root)
	for _, path := range leftover {
		stale = append(stale, path+" is not rendered by anything")
	}
	return stale, err
}

// rendered are the folders in which only rendered files stand.
var rendered = []string{"rules", "rules/tests", "dashboards"}

func (f Files) leftover(root string) ([]string, error) {
	var paths []string
	for _, dir := range rendered {
		entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			path := dir + "/" + e.Name()
			if _, ours := f[path]; e.Type().IsRegular() && !ours && !strings.HasPrefix(e.Name(), ".") {
				paths = append(paths, path)
			}
		}
	}
	return paths, nil
}
