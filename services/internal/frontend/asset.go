package frontend

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/bits"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/andybalholm/brotli"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
)

// asset is one file, ready to be sent. Its contents never change.
type asset struct {
	contentType  string
	cacheControl string
	// bare: no browser makes a document or a worker of it.
	bare  bool
	plain variant
	// gzip and brotli are nil where compression saves nothing; brotli is so
	// too until the file's turn has come in [site.pack].
	gzip   *variant
	brotli atomic.Pointer[variant]
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
	immutable = "max-age=31536000, immutable"
)

// The files that keep their address over releases. index.html is "/" as well.
const (
	indexFile  = "index.html"
	workerFile = "sw.js"
	reloadFile = "reload.js"
)

var rootFiles = []string{indexFile, workerFile, reloadFile}

// read reads the files, by name.
func read(files fs.FS) (map[string][]byte, error) {
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
		return nil, fmt.Errorf("frontend: reading the page: %w", err)
	}
	for _, name := range rootFiles {
		if _, ok := contents[name]; !ok {
			return nil, fmt.Errorf("frontend: the page has no %s", name)
		}
	}
	return contents, nil
}

// loadAssets reads all files and returns what is sent, by URL path, and its
// release.
func loadAssets(files fs.FS) (map[string]*asset, release, error) {
	contents, err := read(files)
	if err != nil {
		return nil, "", err
	}
	if err := join(contents); err != nil {
		return nil, "", fmt.Errorf("frontend: joining the page's modules and style sheets: %w", err)
	}
	names := slices.Collect(maps.Keys(contents))
	r := releaseOf(contents)
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
	hash := hex.EncodeToString(sum[:8]) // of one address over time, so few bits do
	a := &asset{
		contentType: contentType, cacheControl: cacheControl,
		// An SVG by itself is a document.
		bare:  cacheControl == immutable && contentType != contentTypes[".svg"] && contentType != contentTypes[".html"],
		plain: variant{body, strconv.Itoa(len(body)), `"` + hash + `"`},
	}
	a.gzip = a.variant("gzip", func(w io.Writer) io.WriteCloser {
		packer, _ := gzip.NewWriterLevel(w, gzip.BestCompression) // the level is valid
		return packer
	})
	return a
}

// pack makes the brotli encoding, a sixth smaller than gzip and some hundred
// times slower: a second for the whole page.
func (a *asset) pack() {
	// The smallest window that holds the file: both ends set it aside.
	window := min(max(bits.Len(uint(len(a.plain.body))), 10), 24)
	a.brotli.Store(a.variant("br", func(w io.Writer) io.WriteCloser {
		return brotli.NewWriterOptions(w, brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: window})
	}))
}

// variant returns the file as a content coding packs it, or nil where that
// saves nothing.
func (a *asset) variant(coding string, packer func(io.Writer) io.WriteCloser) *variant {
	if a.contentType == contentTypes[".png"] {
		return nil
	}
	var packed bytes.Buffer
	w := packer(&packed)
	_, _ = w.Write(a.plain.body) // a bytes.Buffer takes everything
	_ = w.Close()
	// Below a few hundred bytes the header alone decides; it fits one packet
	// either way.
	if packed.Len()+100 >= len(a.plain.body) {
		return nil
	}
	return &variant{packed.Bytes(), strconv.Itoa(packed.Len()), strings.TrimSuffix(a.plain.etag, `"`) + "-" + coding + `"`}
}

// choose returns the encoding to send for an Accept-Encoding header, and its
// content coding: "" for none.
func (a *asset) choose(accept []string) (v *variant, coding string) {
	packed := a.brotli.Load()
	offers := make([]string, 0, 2)
	if packed != nil {
		offers = append(offers, "br")
	}
	if a.gzip != nil {
		offers = append(offers, "gzip")
	}
	switch coding = httpkit.ChooseEncoding(accept, offers...); coding {
	case "br":
		return packed, coding
	case "gzip":
		return a.gzip, coding
	}
	return &a.plain, ""
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
