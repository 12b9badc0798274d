package tilt

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/cloud-pixel/playground/k8s/manifests"
)

const root = "../.."

// call is one call of a function of Tilt.
type call struct {
	function string
	named    map[string]starlark.Value
}

func (c call) text(name string) string {
	s, _ := starlark.AsString(c.named[name])
	return s
}

func (c call) list(name string) []string {
	var all []string
	if l, ok := c.named[name].(starlark.Iterable); ok {
		for v := range starlark.Elements(l) {
			if s, ok := starlark.AsString(v); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// functions that the Tiltfile may use, as the API of Tilt has them, with the
// names of their parameters; of the extensions, those that it loads.
var functions = map[string]string{
	"local":                     "command quiet",
	"local_resource":            "name cmd deps serve_cmd ignore resource_deps links labels readiness_probe allow_parallel auto_init trigger_mode env",
	"k8s_yaml":                  "yaml",
	"kustomize":                 "pathToDir",
	"k8s_resource":              "workload port_forwards resource_deps links labels new_name objects",
	"port_forward":              "local_port container_port name link_path host",
	"link":                      "url name",
	"probe":                     "initial_delay_secs timeout_secs period_secs success_threshold failure_threshold exec http_get tcp_socket",
	"http_get_action":           "port host scheme path",
	"sync":                      "local_path remote_path",
	"cmd_button":                "name resource argv text icon_name location env dir inputs requires_confirmation",
	"docker_build_with_restart": "ref context entrypoint live_update dockerfile build_args only",
}

// execute runs the Tiltfile in one mode and returns what it asked for.
func execute(t *testing.T, local bool) []call {
	t.Helper()
	var calls []call
	globals := starlark.StringDict{}
	for name, parameters := range functions {
		globals[name] = starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			known := strings.Fields(parameters)
			if len(args) > len(known) {
				return nil, fmt.Errorf("%s takes %d arguments", b.Name(), len(known))
			}
			c := call{function: b.Name(), named: map[string]starlark.Value{}}
			for i, a := range args {
				c.named[known[i]] = a
			}
			for _, pair := range kwargs {
				key, _ := starlark.AsString(pair[0])
				if !slices.Contains(known, key) {
					return nil, fmt.Errorf("%s has no parameter %s", b.Name(), key)
				}
				c.named[key] = pair[1]
			}
			calls = append(calls, c)
			return starlark.String(b.Name()), nil
		})
	}
	globals["read_file"] = starlark.NewBuiltin("read_file", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		name, _ := starlark.AsString(args[0])
		text, err := os.ReadFile(filepath.Join(root, name))
		return starlark.String(text), err
	})
	exists := starlark.NewBuiltin("exists", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		name, _ := starlark.AsString(args[0])
		_, err := os.Stat(filepath.Join(root, name))
		return starlark.Bool(err == nil), nil
	})
	nothing := func(result starlark.Value) *starlark.Builtin {
		return starlark.NewBuiltin("config", func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error) {
			return result, nil
		})
	}
	settings := starlark.NewDict(1)
	if err := settings.SetKey(starlark.String("local"), starlark.Bool(local)); err != nil {
		t.Fatal(err)
	}
	globals["config"] = starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"define_bool": nothing(starlark.None), "parse": nothing(settings)})
	globals["os"] = starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{
		"path": starlarkstruct.FromStringDict(starlarkstruct.Default, starlark.StringDict{"exists": exists}),
	})
	extensions := map[string][]string{"ext://uibutton": {"cmd_button", "location"}, "ext://restart_process": {"docker_build_with_restart"}}
	thread := &starlark.Thread{Name: "Tiltfile", Load: func(_ *starlark.Thread, module string) (starlark.StringDict, error) {
		has := starlark.StringDict{}
		for _, name := range extensions[module] {
			has[name] = globals[name]
			if has[name] == nil {
				has[name] = starlark.None
			}
		}
		if len(has) == 0 {
			return nil, fmt.Errorf("no extension %s is known here", module)
		}
		return has, nil
	}}
	// Loaded names are not also global ones.
	predeclared := starlark.StringDict{}
	for name, v := range globals {
		if name != "cmd_button" && name != "docker_build_with_restart" {
			predeclared[name] = v
		}
	}
	// As Tilt itself sets them.
	options := &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true}
	if _, err := starlark.ExecFileOptions(options, thread, filepath.Join(root, "Tiltfile"), nil, predeclared); err != nil {
		t.Fatalf("local %t: %v", local, err)
	}
	return calls
}

// Both modes run, and what they refer to is there: folders, files, targets of
// the Makefile, resources, workloads, images.
func TestTiltfile(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	var targets []string
	for _, m := range target.FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, m[1])
	}
	for _, local := range []bool{true, false} {
		calls := execute(t, local)
		var resources, compiled []string
		for _, c := range calls {
			switch c.function {
			case "local_resource":
				resources = append(resources, c.text("name"))
			case "k8s_resource":
				resources = append(resources, c.text("workload"))
			}
			if out := regexp.MustCompile(`-o (\S+)`).FindStringSubmatch(c.text("cmd")); out != nil {
				compiled = append(compiled, out[1])
			}
		}
		counts := map[string]int{}
		for _, c := range calls {
			counts[c.function]++
			for _, name := range append(c.list("resource_deps"), c.text("resource")) {
				if name != "" && !slices.Contains(resources, name) {
					t.Errorf("%s refers to the resource %s, which does not exist", c.function, name)
				}
			}
			paths := c.list("deps")
			if c.function == "kustomize" {
				paths = append(paths, c.text("pathToDir"), c.text("pathToDir")+"/kustomization.yaml")
			}
			if d := c.text("dockerfile"); d != "" {
				paths = append(paths, d)
			}
			for _, text := range []string{c.text("cmd"), c.text("serve_cmd")} {
				if m := regexp.MustCompile(`go (?:run|build) (?:-o \S+ )?\./(\S+)`).FindStringSubmatch(text); m != nil {
					paths = append(paths, m[1])
				}
			}
			for _, p := range paths {
				if _, err := os.Stat(filepath.Join(root, p)); err != nil {
					t.Errorf("%s: %v", c.function, err)
				}
			}
			if c.function == "sync" && !slices.Contains(compiled, c.text("local_path")) {
				t.Errorf("nothing compiles %s", c.text("local_path"))
			}
			if argv := c.list("argv"); len(argv) == 2 && argv[0] == "make" && !slices.Contains(targets, argv[1]) {
				t.Errorf("there is no target %s", argv[1])
			}
			if l := c.list("labels"); strings.HasSuffix(c.function, "_resource") && len(l) != 1 {
				t.Errorf("%s %s%s is in %d groups", c.function, c.text("name"), c.text("workload"), len(l))
			}
		}
		if local {
			if counts["k8s_yaml"] != 0 || counts["local"] != 0 || counts["local_resource"] < 2 {
				t.Errorf("without a cluster: %v", counts)
			}
			continue
		}
		if counts["docker_build_with_restart"] != 3 || counts["cmd_button"] < 6 || counts["k8s_resource"] < 4 {
			t.Errorf("on a cluster: %v", counts)
		}
		checkAgainstManifests(t, calls)
	}
}

// checkAgainstManifests holds workloads, images and ports to what is deployed.
func checkAgainstManifests(t *testing.T, calls []call) {
	t.Helper()
	s, err := manifests.Render(".")
	if err != nil {
		t.Fatal(err)
	}
	images := string(s.YAML)
	for _, c := range calls {
		switch c.function {
		case "k8s_resource":
			if !slices.ContainsFunc(s.Workloads(), func(w manifests.Workload) bool { return w.Meta.Name == c.text("workload") }) {
				t.Errorf("there is no workload %s", c.text("workload"))
			}
		case "docker_build_with_restart":
			if !strings.Contains(images, "image: "+c.text("ref")+":") {
				t.Errorf("no pod uses the image %s", c.text("ref"))
			}
		case "port_forward":
			if !strings.Contains(images, "containerPort: "+c.named["container_port"].String()+"\n") {
				t.Errorf("no container has the port %v", c.named["container_port"])
			}
		}
	}
}
