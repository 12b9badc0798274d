package frontend

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// release names what this process serves: a hash of all names and contents of
// the files as they are sent, but for what they are told of the release itself.
// Two frontends that send the same have the same release, whatever they were
// built from.
type release string

// releaseOf hashes the files, by name.
func releaseOf(contents map[string][]byte) release {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		body := contents[name]
		// Lengths keep the names apart from the contents. A hash takes
		// everything.
		_, _ = fmt.Fprintf(sum, "%d %s %d ", len(name), name, len(body))
		_, _ = sum.Write(body)
	}
	return release(hex.EncodeToString(sum.Sum(nil)[:10]))
}

// path is where browsers find a file of this release.
func (r release) path(name string) string { return "/a/" + string(r) + "/" + name }

// reference is an attribute of the index that names another file.
var reference = regexp.MustCompile(`\b(href|src)="([^":?#]+)"`)

// refer makes the index name the files of this release. What is no file of
// the page stays as it is; files of the root keep their address.
func (r release) refer(index []byte, isFile func(name string) bool) []byte {
	return reference.ReplaceAllFunc(index, func(match []byte) []byte {
		parts := reference.FindSubmatch(match)
		name := string(parts[2])
		if !isFile(name) || slices.Contains(rootFiles, name) {
			return match
		}
		return []byte(string(parts[1]) + `="` + r.path(name) + `"`)
	})
}

// worker tells the service worker its release and the files of the shell. A
// browser compares the script byte by byte, so each release installs anew.
func (r release) worker(script []byte, names []string) ([]byte, error) {
	shell := slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(name string) bool {
		return slices.Contains(rootFiles, name)
	})
	list, err := json.Marshal(shell)
	if err != nil {
		return nil, err
	}
	return append([]byte("const RELEASE = "+strconv.Quote(string(r))+", FILES = "+string(list)+";\n"), script...), nil
}
