// Command images builds the container images of the system without a container
// engine: static binaries and what they need of a file system, packed into OCI
// archives that every engine and node loads. The same source and version make
// the same bytes.
//
//	go -C k8s run ./images                            # gateway, api, frontend
//	go -C k8s run ./images -version v1.2.3 gateway
//
// It writes build/images/pixel-NAME.tar and, beside it, what the image is made
// of: pixel-NAME.cdx.json, a CycloneDX document that also lies in the image.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			_, _ = fmt.Fprintf(os.Stderr, "images: %v\n", err)
		}
		stop()
		os.Exit(1)
	}
}

// program is what an image runs.
type program struct {
	name, description string
	// module and pkg are where it is built, from the project's root.
	module, pkg string
	port        int
	args        []string
	// folder is copied into the image under its base name; empty: none.
	folder string
}

var programs = []program{
	{name: "gateway", module: ".", pkg: "./services/gateway", port: 3002, description: "WebSocket service: takes operations into the log and hands them to everybody"},
	{name: "api", module: ".", pkg: "./services/api", port: 3001, description: "Canvas API: canvases over HTTP, and their checkpoints"},
	{name: "frontend", module: ".", pkg: "./services/frontend", port: 3000, description: "The page"},
	{name: "playground", module: ".", pkg: "./services/playground", port: 8080, args: []string{"-addr", "0.0.0.0:8080"}, description: "The whole system in one process"},
	{name: "canary", module: "observability", pkg: "./canary", port: 9091, description: "Draws a pixel a second through each gateway, and tells how that went"},
	{name: "k6", module: "k6", pkg: ".", folder: "k6/scripts", description: "The load generator with its scripts (AGPL-3.0)"},
}

// deployed are built unless others are named.
var deployed = []string{"gateway", "api", "frontend", "canary"}

type options struct {
	root, out         string
	version, revision string
	arch              string
	created           time.Time
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	o := options{}
	flags.StringVar(&o.root, "root", "..", "folder of the project")
	flags.StringVar(&o.out, "out", "", "folder for the archives (default build/images of the project)")
	flags.StringVar(&o.version, "version", "", "version, and tag of the images (default: the one in k8s/base/kustomization.yaml)")
	flags.StringVar(&o.revision, "revision", "", "revision of the source (default: that of git)")
	flags.StringVar(&o.arch, "arch", runtime.GOARCH, "architecture of the nodes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		names = deployed
	}
	var err error
	if o.root, err = filepath.Abs(o.root); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(o.root, "services")); err != nil {
		return fmt.Errorf("%s is not the project: %w", o.root, err)
	}
	if o.out == "" {
		o.out = filepath.Join(o.root, "build", "images")
	}
	if o.version == "" {
		if o.version, err = pinned(filepath.Join(o.root, "k8s", "base", "kustomization.yaml")); err != nil {
			return err
		}
	}
	if err := checkTag(o.version); err != nil {
		return err
	}
	if o.revision == "" {
		o.revision = git(ctx, o.root, "describe", "--always", "--dirty=+dirty", "--abbrev=40", "--exclude=*")
	}
	o.created = time.Unix(0, 0).UTC()
	if seconds, err := strconv.ParseInt(git(ctx, o.root, "log", "-1", "--format=%ct"), 10, 64); err == nil {
		o.created = time.Unix(seconds, 0).UTC()
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil { //nolint:gosec // what is built is for everybody
		return err
	}
	for _, name := range names {
		i := slices.IndexFunc(programs, func(p program) bool { return p.name == name })
		if i < 0 {
			return fmt.Errorf("there is no image %q; there are %s", name, strings.Join(all(), ", "))
		}
		p := programs[i]
		if _, err := os.Stat(filepath.Join(o.root, p.module, "go.mod")); err != nil {
			return fmt.Errorf("%s cannot be built: %w", name, err)
		}
		built, err := build(ctx, o, p)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, _ = fmt.Fprintln(os.Stdout, built)
	}
	return nil
}

func all() []string {
	var names []string
	for _, p := range programs {
		names = append(names, p.name)
	}
	return names
}

// pinned returns the version that the manifests ask for.
func pinned(kustomization string) (string, error) {
	text, err := os.ReadFile(kustomization)
	if err != nil {
		return "", err
	}
	_, after, found := strings.Cut(string(text), "- name: pixel-gateway\n    newTag: ")
	if !found {
		return "", fmt.Errorf("%s has no newTag for pixel-gateway: give -version", kustomization)
	}
	tag, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(tag), nil
}

func checkTag(tag string) error {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
	switch {
	case tag == "latest":
		return errors.New("nodes pull what is tagged latest anew, and it says nothing: give another version")
	case tag == "" || len(tag) > 128 || strings.Trim(tag, allowed) != "" || strings.ContainsAny(tag[:1], ".-"):
		return fmt.Errorf("%q is no tag of an image", tag)
	}
	return nil
}

// git returns what git says, or nothing: the source need not be a repository.
func git(ctx context.Context, root string, args ...string) string {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
