package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const telemetry = "github.com/cloud-pixel/playground/services/internal/telemetry"

// build makes one image and returns what to tell about it.
func build(ctx context.Context, o options, p program) (string, error) {
	temporary, err := os.MkdirTemp("", "images-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temporary) }() // nothing to do about it
	binary := filepath.Join(temporary, p.name)
	link := fmt.Sprintf("-s -w -X %s.version=%s -X %s.revision=%s", telemetry, o.version, telemetry, o.revision)
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", link, "-o", binary, p.pkg)
	c.Dir = filepath.Join(o.root, p.module)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+o.arch)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	bom, err := billOfMaterials(binary, o, p)
	if err != nil {
		return "", err
	}
	img, err := image(o, p, binary, bom)
	if err != nil {
		return "", err
	}
	name := "pixel-" + p.name
	if err := os.WriteFile(filepath.Join(o.out, name+".cdx.json"), bom, 0o644); err != nil { //nolint:gosec // as all that is built
		return "", err
	}
	archive := filepath.Join(o.out, name+".tar")
	if err := writeArchive(img, archive, name, o); err != nil {
		return "", err
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	info, err := os.Stat(archive)
	if err != nil {
		return "", err
	}
	shown, err := filepath.Rel(o.root, archive)
	if err != nil || strings.HasPrefix(shown, "..") {
		shown = archive
	}
	return fmt.Sprintf("%s:%s  %.1f MB  %s  %s", name, o.version, float64(info.Size())/1e6, shown, digest), nil
}

// image puts the parts together: what hardly ever changes in a layer of its
// own.
func image(o options, p program, binary string, bom []byte) (v1.Image, error) {
	base, err := layer(func(w *tar.Writer) error {
		roots, err := certificates()
		if err != nil {
			return err
		}
		return errors.Join(
			folder(w, "etc/"), folder(w, "etc/ssl/"), folder(w, "etc/ssl/certs/"),
			file(w, "etc/ssl/certs/ca-certificates.crt", 0o644, roots),
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}),
		)
	})
	if err != nil {
		return nil, err
	}
	own, err := layer(func(w *tar.Writer) error {
		program, err := os.ReadFile(binary)
		if err != nil {
			return err
		}
		err = errors.Join(file(w, p.name, 0o755, program), file(w, "sbom.cdx.json", 0o644, bom))
		if p.folder != "" {
			err = errors.Join(err, tree(w, filepath.Join(o.root, filepath.FromSlash(p.folder)), path.Base(p.folder)))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img,
		mutate.Addendum{Layer: base, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "certificates, folder for temporary files"}},
		mutate.Addendum{Layer: own, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "go build " + p.pkg}},
	)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", o.arch, v1.Time{Time: o.created}
	license := "Apache-2.0"
	if p.name == "k6" {
		license = "AGPL-3.0-only"
	}
	config.Config = v1.Config{
		User: "65532:65532", WorkingDir: "/",
		Entrypoint: append([]string{"/" + p.name}, p.args...),
		Env:        []string{"PATH=/", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "Cloud Pixel Playground",
			"org.opencontainers.image.description": p.description,
			"org.opencontainers.image.licenses":    license,
			"org.opencontainers.image.version":     o.version,
			"org.opencontainers.image.revision":    o.revision,
		},
	}
	if p.port != 0 {
		config.Config.ExposedPorts = map[string]struct{}{fmt.Sprintf("%d/tcp", p.port): {}}
	}
	return mutate.ConfigFile(img, config)
}

// layer makes a layer of what fill writes. Times and owners are always the
// same.
func layer(fill func(*tar.Writer) error) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(fill(w), w.Close()); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

func folder(w *tar.Writer, name string) error {
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755})
}

func file(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// tree writes a folder with all that is in it.
func tree(w *tar.Writer, dir, as string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		target := path.Join(as, filepath.ToSlash(below))
		switch {
		case entry.IsDir():
			return folder(w, target+"/")
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder", name)
		}
		content, err := os.ReadFile(name) //nolint:gosec // a file of the project
		if err != nil {
			return err
		}
		return file(w, target, 0o644, content)
	})
}

// certificates returns the roots that Mozilla trusts, as a module has them:
// what the machine trusts that builds is none of the image's business.
func certificates() ([]byte, error) {
	var b bytes.Buffer
	n := 0
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // trusted in part only, which a file cannot say
		}
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
		n++
	}
	if n < 50 {
		return nil, fmt.Errorf("only %d root certificates", n)
	}
	return b.Bytes(), nil
}

// writeArchive writes an OCI layout as one file, under a name that engines and
// nodes take for the image's.
func writeArchive(img v1.Image, name, imageName string, o options) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(name), ".layout-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	err = l.AppendImage(img, layout.WithPlatform(v1.Platform{OS: "linux", Architecture: o.arch}), layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": o.version,
		"io.containerd.image.name":          "docker.io/library/" + imageName + ":" + o.version,
	}))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(tree(w, dir, ""), w.Close()); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", b.Bytes(), 0o644); err != nil { //nolint:gosec // as all that is built
		return err
	}
	return os.Rename(name+".new", name)
}
