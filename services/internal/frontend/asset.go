package frontend

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
)

// asset is one file, ready to be sent. It never changes.
type asset struct {
	contentType  string
	cacheControl string
	// bare: no browser makes a document or a worker of it.
	bare  bool
	plain variant
	// gzip is nil where compression saves nothing.
	gzip *variant
}

// variant is one encoding of a file. Its ETag is strong, so each has its own.
type variant struct {
	body   []byte
	length string
	etag   string
}

// The types are listed here and not taken from the host's tables, which differ
// from image to image.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".png":  "image/png",

	".webmanifest": "application/manifest+json",
}

const (
	// revalidate has a browser ask each time whether a file has changed.
	revalidate = "no-cache"
	// immutable is for what stands below the hash of its contents.
	immutable = "public, max-age=31536000, immutable"
)

// The files that keep their address over releases. index.html is "/" as well.
const (
	indexFile  = "index.html"
	workerFile = "sw.js"
	reloadFile = "reload.js"
)

var rootFiles = []string{indexFile, workerFile, reloadFile}

// loadAssets reads all files and returns them by URL path, and their release.
func loadAssets(files fs.FS) (map[string]*asset, release, error) {
	contents := make(map[string][]byte)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if _, ok := contentTypes[path.Ext(name)]; !ok {
			return fmt.Errorf("no content type for %s", name)
		}
		contents[name], err = fs.ReadFile(files, name)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("frontend: reading the page: %w", err)
	}
	for _, name := range rootFiles {
		if _, ok := contents[name]; !ok {
			return nil, "", fmt.Errorf("frontend: the page has no %s", name)
		}
	}
	names := slices.Collect(maps.Keys(contents))
	r, err := releaseOf(files, names)
	if err != nil {
		return nil, "", fmt.Errorf("frontend: reading the page: %w", err)
	}
	contents[indexFile] = r.refer(contents[indexFile], func(name string) bool { _, ok := contents[name]; return ok })
	if contents[workerFile], err = r.worker(contents[workerFile], names); err != nil {
		return nil, "", fmt.Errorf("frontend: %s: %w", workerFile, err)
	}
	assets := make(map[string]*asset)
	for name, body := range contents {
		address, cacheControl := r.path(name), immutable
		if slices.Contains(rootFiles, name) {
			address, cacheControl = "/"+name, revalidate
		}
		assets[address] = newAsset(body, contentTypes[path.Ext(name)], cacheControl)
	}
	assets["/"] = assets["/"+indexFile]
	return assets, r, nil
}

func newAsset(body []byte, contentType, cacheControl string) *asset {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:16])
	a := &asset{
		contentType: contentType, cacheControl: cacheControl,
		// An SVG by itself is a document.
		bare:  cacheControl == immutable && contentType != contentTypes[".svg"] && contentType != contentTypes[".html"],
		plain: variant{body, strconv.Itoa(len(body)), `"` + hash + `"`},
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is valid
	_, _ = w.Write(body)                                       // a bytes.Buffer takes everything
	_ = w.Close()
	// Below a few hundred bytes the header alone decides; it fits one packet
	// either way.
	if packed.Len()+100 < len(body) {
		a.gzip = &variant{packed.Bytes(), strconv.Itoa(packed.Len()), `"` + hash + `-gzip"`}
	}
	return a
}

// choose returns the encoding to send for an Accept-Encoding header.
func (a *asset) choose(accept []string) (v *variant, gzipped bool) {
	if a.gzip != nil && httpkit.AcceptsGzip(accept) {
		return a.gzip, true
	}
	return &a.plain, false
}

// matches tells whether If-None-Match names the ETag. The comparison is the
// weak one, as that header asks for: proxies that compress mark ETags as weak.
func matches(ifNoneMatch []string, etag string) bool {
	for _, line := range ifNoneMatch {
		for item := range strings.SplitSeq(line, ",") {
			item = strings.TrimSpace(item)
			if item == "*" || strings.TrimPrefix(item, "W/") == etag {
				return true
			}
		}
	}
	return false
}
