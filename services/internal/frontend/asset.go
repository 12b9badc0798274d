package frontend

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/cloud-pixel/playground/services/internal/httpkit"
)

// asset is one file, ready to be sent. It never changes.
type asset struct {
	contentType string
	plain       variant
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
}

// loadAssets reads all files. The result has them by URL path, index.html as
// "/" as well.
func loadAssets(files fs.FS) (map[string]*asset, error) {
	assets := make(map[string]*asset)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("no content type for %s", name)
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		assets["/"+name] = newAsset(body, contentType)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("frontend: reading the page: %w", err)
	}
	index, ok := assets["/index.html"]
	if !ok {
		return nil, fmt.Errorf("frontend: the page has no index.html")
	}
	assets["/"] = index
	return assets, nil
}

func newAsset(body []byte, contentType string) *asset {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:16])
	a := &asset{contentType: contentType, plain: variant{body, strconv.Itoa(len(body)), `"` + hash + `"`}}
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
