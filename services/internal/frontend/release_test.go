package frontend

import (
	"bytes"
	"encoding/json"
	"image/png"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloud-pixel/playground/web"
)

func pageOf(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for _, name := range rootFiles {
		m[name] = &fstest.MapFile{Data: []byte(name)}
	}
	for name, body := range files {
		m[name] = &fstest.MapFile{Data: []byte(body)}
	}
	return m
}

// Whatever changes in the page is another release: a file, its name, and the
// files that are not below the prefix themselves.
func TestReleaseIsOfAllFiles(t *testing.T) {
	seen := make(map[release]string)
	for what, files := range map[string]fstest.MapFS{
		"as it is":                    pageOf(map[string]string{"js/a.js": "one", "js/b.js": "two"}),
		"another file":                pageOf(map[string]string{"js/a.js": "one", "js/b.js": "two", "c.css": ""}),
		"one file less":               pageOf(map[string]string{"js/a.js": "one"}),
		"another name":                pageOf(map[string]string{"js/a.js": "one", "js/c.js": "two"}),
		"contents changed places":     pageOf(map[string]string{"js/a.js": "two", "js/b.js": "one"}),
		"the border moved":            pageOf(map[string]string{"js/a.js": "on", "js/b.js": "etwo"}),
		"another index":               pageOf(map[string]string{"js/a.js": "one", "js/b.js": "two", indexFile: "changed"}),
		"another service worker":      pageOf(map[string]string{"js/a.js": "one", "js/b.js": "two", workerFile: "changed"}),
		"another script that reloads": pageOf(map[string]string{"js/a.js": "one", "js/b.js": "two", reloadFile: "changed"}),
	} {
		_, r, err := loadAssets(files)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[r]; ok {
			t.Errorf("%q and %q are one release", what, other)
		}
		seen[r] = what
		if _, again, _ := loadAssets(files); again != r {
			t.Errorf("%q: %s, then %s", what, r, again)
		}
	}
	for _, name := range rootFiles {
		files := pageOf(nil)
		delete(files, name)
		if _, _, err := loadAssets(files); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, _, err := loadAssets(pageOf(map[string]string{"notes.docx": ""})); err == nil {
		t.Error("a file of no known type is served")
	}
}

func TestIndexNamesFilesOfTheRelease(t *testing.T) {
	index := `<a href="style.css">x</a><link href="js/a.js"><script src="js/a.js"></script><script src="config.js"></script>` +
		`<script src="reload.js"></script><a href="https://example.org/style.css"></a><p title="style.css"><a href=""></a><b data-href="js/b.js">`
	assets, r, err := loadAssets(pageOf(map[string]string{indexFile: index, "js/a.js": "", "style.css": ""}))
	if err != nil {
		t.Fatal(err)
	}
	below := r.path("")
	want := `<a href="` + below + `style.css">x</a><link href="` + below + `js/a.js"><script src="` + below + `js/a.js"></script><script src="config.js"></script>` +
		`<script src="reload.js"></script><a href="https://example.org/style.css"></a><p title="style.css"><a href=""></a><b data-href="js/b.js">`
	if got := string(assets["/"].plain.body); got != want {
		t.Errorf("\n%s; want\n%s", got, want)
	}
}

// Everything that the real index refers to is a file of the release, or one
// that keeps its address.
func TestIndexRefersToWhatIsThere(t *testing.T) {
	assets, r, err := loadAssets(web.Files)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, match := range regexp.MustCompile(`(?:href|src)="([^"]+)"`).FindAllStringSubmatch(string(assets["/"].plain.body), -1) {
		path := match[1]
		switch {
		case path == "config.js" || path == "reload.js" || path == "." || path[0] == '#':
		case !strings.HasPrefix(path, r.path("")) || assets[path] == nil:
			t.Errorf("the index refers to %s", path)
		default:
			found++
		}
	}
	if found < 6 { // style, script, manifest, icons
		t.Errorf("only %d references to files of the release", found)
	}
}

func TestAnotherReleaseIsNotStored(t *testing.T) {
	addr, _ := start(t, Options{})
	other := strings.Replace(prefix(t), "/a/", "/a/0", 1)
	for _, path := range []string{other + "js/main.js", "/a/0123/style.css", "/a/", "/a", "/js/main.js", "/style.css", prefix(t), prefix(t) + "sw.js", prefix(t) + "index.html", prefix(t) + "nothing.js"} {
		response, body := get(t, addr, path)
		if response.StatusCode != http.StatusNotFound || body != notFound || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, response.StatusCode, response.Header)
		}
	}
	if _, metrics := get(t, addr, "/metrics"); !strings.Contains(metrics, "\npixel_frontend_other_release_total 3\n") {
		t.Error("requests for other releases are not counted")
	}
}

func TestWorkerKnowsTheShell(t *testing.T) {
	addr, _ := start(t, Options{})
	response, body := get(t, addr, "/sw.js")
	first, _, _ := strings.Cut(body, "\n")
	match := regexp.MustCompile(`^const RELEASE = "([0-9a-f]{20})", FILES = (\[.*\]);$`).FindStringSubmatch(first)
	if match == nil || "/a/"+match[1]+"/" != prefix(t) || response.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("%s, %v", first, response.Header)
	}
	var files []string
	if err := json.Unmarshal([]byte(match[2]), &files); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"js/main.js", "css/main.css", "favicon.svg", "manifest.webmanifest"} {
		if !slices.Contains(files, want) {
			t.Errorf("the shell lacks %s", want)
		}
	}
	below := prefix(t)
	for _, file := range files {
		if response, _ := get(t, addr, below+file); response.StatusCode != http.StatusOK {
			t.Errorf("%s of the shell: %d", file, response.StatusCode)
		}
	}
}

// The sizes that the manifest promises are those of the icons.
func TestManifest(t *testing.T) {
	raw, err := fs.ReadFile(web.Files, "manifest.webmanifest")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Name, ID, Scope string
		StartURL        string `json:"start_url"`
		Icons           []struct{ Src, Sizes, Type, Purpose string }
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Name == "" || manifest.ID != "/" || manifest.Scope != "/" || manifest.StartURL != "/" {
		t.Errorf("%+v", manifest)
	}
	purposes := make(map[string]bool)
	for _, icon := range manifest.Icons {
		body, err := fs.ReadFile(web.Files, icon.Src)
		if err != nil {
			t.Error(err)
			continue
		}
		purposes[icon.Purpose+icon.Sizes] = true
		if icon.Type != "image/png" {
			continue
		}
		size, err := png.DecodeConfig(bytes.NewReader(body))
		if got := strconv.Itoa(size.Width) + "x" + strconv.Itoa(size.Height); err != nil || got != icon.Sizes {
			t.Errorf("%s: %s, %v; want %s", icon.Src, got, err, icon.Sizes)
		}
	}
	for _, want := range []string{"192x192", "512x512", "maskable512x512"} { // what browsers ask of one that can be installed
		if !purposes[want] {
			t.Errorf("no icon %s", want)
		}
	}
}

// What the start of a frontend costs: all files hashed and packed by gzip. And
// what follows it: the same by brotli.
func BenchmarkLoadAssets(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := loadAssets(web.Files); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPack(b *testing.B) {
	s, err := newSite(web.Files, places{}, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.pack(b.Context())
	}
	delete(s.assets, "/") // the index by another name
	for _, coding := range []string{"identity", "gzip", "br"} {
		sum := 0
		for _, a := range s.assets {
			v, _ := a.choose([]string{coding})
			sum += len(v.body)
		}
		b.ReportMetric(float64(sum), coding+"-bytes")
	}
}
