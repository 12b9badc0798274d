package frontend

import (
	"bytes"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloud-pixel/playground/web"
)

// Whatever the real page imports is in the one file, also what is
// imported later; and nothing is asked for that is not there any more.
func TestModulesBecomeOneFile(t *testing.T) {
	contents := pageAsSent(t)
	joined := string(contents[mainFile])
	for _, left := range slices.Sorted(maps.Keys(contents)) {
		if strings.HasSuffix(left, ".css") && left != styleFile {
			t.Errorf("%s is left over", left)
		}
		if left == mainFile || !strings.HasPrefix(left, "js/") {
			continue
		}
		// What has nothing but types runs nowhere.
		if regexp.MustCompile(`(?m)^export \w+ \w+`).Match(contents[left]) {
			t.Errorf("%s is left over", left)
		}
	}
	names := 0
	err := fs.WalkDir(web.Files, "js", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if strings.Contains(name, "test") {
			t.Errorf("%s is part of the page", name)
		}
		body, err := fs.ReadFile(web.Files, name)
		for _, match := range regexp.MustCompile(`(?m)^export (?:async )?(?:class|function) (\w+)`).FindAllSubmatch(body, -1) {
			names++
			declared := regexp.MustCompile(`\b(?:class|function) ` + string(match[1]) + `\d*\b|\b` + string(match[1]) + `\d*=class\b`)
			if !declared.MatchString(joined) {
				t.Errorf("%s of %s is not there", match[1], name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if names < 50 {
		t.Errorf("only %d names were looked for", names)
	}
	if found := regexp.MustCompile(`\bimport\s*[({"'*]|\bfrom\s*["']`).FindAllString(joined, -1); len(found) > 0 {
		t.Errorf("something is still imported: %q", found)
	}
}

// Frontends of one build have one release, however their processors take turns
// and wherever they run: beside the sources, too.
func TestJoinedTheSameEachTime(t *testing.T) {
	first := pageAsSent(t)
	sources, err := filepath.Abs("../../../web")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{".", t.TempDir(), sources} {
		t.Chdir(folder)
		if again := pageAsSent(t); !maps.EqualFunc(first, again, bytes.Equal) {
			t.Fatalf("the same modules became different files in %s", folder)
		}
	}
}

func TestJoin(t *testing.T) {
	contents := map[string][]byte{
		mainFile:        []byte("import { deep } from './a/deep.js';\nconst late = await import('./late.js');\nconsole.log(deep, late.name);\n"),
		"js/a/deep.js":  []byte("import { shared } from '../shared.js';\nexport const deep = shared;\n"),
		"js/late.js":    []byte("import { shared } from './shared.js';\nexport const name = shared;\n"),
		"js/shared.js":  []byte("export const shared = 'so many words';\n"),
		"js/alone.js":   []byte("console.log('nobody imports me');\n"),
		styleFile:       []byte("@import './a.css';\n@import \"./sub/b.css\";\nb { & i { color: red } }\n"),
		"css/a.css":     []byte("a { color: rgb(1 2 3 / 4%) }\n"),
		"css/sub/b.css": []byte("/* c */ :root { --x: 1px; }\n"),
		"css/alone.css": []byte("u {}\n"),
	}
	if err := join(contents); err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(contents)); !slices.Equal(names, []string{"css/alone.css", styleFile, "js/alone.js", mainFile}) {
		t.Errorf("left: %v", names)
	}
	if n := strings.Count(string(contents[mainFile]), "so many words"); n != 1 {
		t.Errorf("what two modules share is there %d times", n)
	}
	// In the order of the imports, and with nothing said in another way.
	if got, want := string(contents[styleFile]), "a{color:rgb(1 2 3 / 4%)}:root{--x: 1px}b{& i{color:red}}\n"; got != want {
		t.Errorf("the style sheet is %q, not %q", got, want)
	}
}

func TestJoinRefuses(t *testing.T) {
	for body, want := range map[string]string{
		"import './missing.js';":            "js/main.js:1: ",
		"import 'left-pad';":                "no relative path",
		"import '/etc/hostname';":           "no relative path",
		"import '../../../etc/hostname';":   "the page has no ../../etc/hostname",
		"import 'https://example.org/a.js'": "no relative path",
		"const import = 1;":                 "js/main.js:1: ",
		"\n\nconsole.log(typeof a == 'x');": "js/main.js:3: ", // a warning
	} {
		contents := map[string][]byte{mainFile: []byte(body)}
		if err := join(contents); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", body, err, want)
		}
		if got := string(contents[mainFile]); got != body {
			t.Errorf("%q became %q", body, got)
		}
	}
}

func TestJoinRefusesStyles(t *testing.T) {
	for body, want := range map[string]string{
		"@import './missing.css';":                   "css/main.css:1: ",
		"@import 'https://example.org/a.css';":       "no relative path",
		"a { background: url(https://example.org) }": "no relative path",
		"a { color: red":                             "css/main.css:1: ", // a warning
	} {
		contents := map[string][]byte{styleFile: []byte(body)}
		if err := join(contents); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", body, err, want)
		}
	}
}
