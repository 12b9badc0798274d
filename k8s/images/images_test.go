package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// unpack reads an archive as an engine would, and returns the image in it with
// its descriptor.
func unpack(t *testing.T, archive string) (v1.Image, v1.Descriptor) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, 0o755)
		} else {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(name, content, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatal(manifest, err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img, manifest.Manifests[0]
}

func files(t *testing.T, img v1.Image) map[string]*tar.Header {
	t.Helper()
	all := make(map[string]*tar.Header)
	rootfs := mutate.Extract(img)
	defer rootfs.Close()
	for r := tar.NewReader(rootfs); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(h.Name, "/")] = h
	}
}

// An image has the program, certificates, a folder for temporary files and its
// bill of materials; runs as nobody; says what it is; and is the same each time.
func TestImage(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for _, dir := range []string{first, second} {
		if err := run(t.Context(), []string{"-root", "../..", "-out", dir, "-version", "v9.8.7", "frontend"}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := os.ReadFile(filepath.Join(first, "pixel-frontend.tar"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(second, "pixel-frontend.tar"))
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("the same source makes two archives: %v", err)
	}
	if len(a) > 20<<20 {
		t.Errorf("%d bytes", len(a))
	}

	img, descriptor := unpack(t, filepath.Join(first, "pixel-frontend.tar"))
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	if name := descriptor.Annotations["io.containerd.image.name"]; name != "docker.io/library/pixel-frontend:v9.8.7" {
		t.Errorf("nodes would take it for %q", name)
	}
	if p := descriptor.Platform; p == nil || p.OS != "linux" || p.Architecture != runtime.GOARCH {
		t.Errorf("platform %v", p)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/frontend" || config.Config.Labels["org.opencontainers.image.version"] != "v9.8.7" || config.Config.Labels["org.opencontainers.image.revision"] == "" {
		t.Errorf("%+v", config.Config)
	}
	all := files(t, img)
	for name, mode := range map[string]int64{"frontend": 0o755, "tmp": 0o1777, "etc/ssl/certs/ca-certificates.crt": 0o644, "sbom.cdx.json": 0o644} {
		if h := all[name]; h == nil || h.Mode != mode {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if len(all) != 7 { // those, and etc, etc/ssl, etc/ssl/certs
		t.Errorf("%d files", len(all))
	}

	f, err := os.Open(filepath.Join(first, "pixel-frontend.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, c := range *bom.Components {
		found[c.Name] = true
		if c.Type == cdx.ComponentTypeLibrary && (c.Hashes == nil || c.Version == "") {
			t.Errorf("%s has no version or checksum", c.Name)
		}
	}
	for _, name := range []string{"std", "github.com/cloud-pixel/playground", "github.com/prometheus/client_golang"} {
		if !found[name] {
			t.Errorf("the bill of materials lacks %s", name)
		}
	}
	if found["github.com/redis/go-redis/v9"] {
		t.Error("the frontend does not use Redis")
	}
	if text, _ := json.Marshal(bom.Metadata); !strings.Contains(string(text), "pixel-frontend") {
		t.Errorf("%s", text)
	}
}

// The load generator comes with its scripts, and says whose licence it is under.
func TestGenerator(t *testing.T) {
	out := t.TempDir()
	if err := run(t.Context(), []string{"-root", "../..", "-out", out, "-version", "v9.8.7", "k6"}); err != nil {
		t.Fatal(err)
	}
	img, _ := unpack(t, filepath.Join(out, "pixel-k6.tar"))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.Entrypoint[0] != "/k6" || config.Config.Labels["org.opencontainers.image.licenses"] != "AGPL-3.0-only" {
		t.Errorf("%+v", config.Config)
	}
	all := files(t, img)
	for _, name := range []string{"k6", "sbom.cdx.json", "scripts/stress.js", "scripts/chaos.js", "scripts/thresholds.json", "scripts/lib/scenario.js"} {
		if all[name] == nil {
			t.Errorf("the image lacks %s", name)
		}
	}
	bom, err := os.ReadFile(filepath.Join(out, "pixel-k6.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"go.k6.io/k6"`, `"github.com/cloud-pixel/playground"`, `"k8s.io/client-go"`} {
		if !bytes.Contains(bom, []byte(name)) {
			t.Errorf("the bill of materials lacks %s", name)
		}
	}
}

func TestMistakesAreTold(t *testing.T) {
	for says, args := range map[string][]string{
		`no image "redis"`: {"redis"},
		"latest":           {"-version", "latest", "frontend"},
		"no tag":           {"-version", "v1/2", "frontend"},
		"not the project":  {"-root", t.TempDir()},
		"GOARCH":           {"-arch", "pdp11", "frontend"},
	} {
		err := run(t.Context(), append([]string{"-root", "../..", "-out", t.TempDir()}, args...))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, which does not say %q", args, err, says)
		}
	}
}
